"""The codes a person shows: their letters, their text, and the picture a scanner reads."""
