"""Uses that were taken: how often a guest may, taken by one statement, and forgotten when the period ends."""
