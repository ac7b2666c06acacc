"""The places where a card is shown, and the number that the sign at their door carries."""
