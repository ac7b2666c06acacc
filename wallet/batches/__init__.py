"""Cards on paper for a whole city: made by the thousand, drawn for the print house, told to each holder."""
