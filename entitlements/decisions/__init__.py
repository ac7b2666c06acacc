"""What one rule version said about one person on one day, why, and what follows from it."""
