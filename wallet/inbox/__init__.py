"""What the city has told a person, where they read it."""
