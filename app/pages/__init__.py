"""Pages that belong to no single folder: the start, the reference of the API, its problem types."""
