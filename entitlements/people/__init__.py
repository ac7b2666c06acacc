"""Whom the city knows: persons, what they are called, who may sign in as them and act for them, who lives with whom."""
