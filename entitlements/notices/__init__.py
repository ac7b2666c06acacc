"""What a person must be told, by which channel, and from which day it counts as received."""
