"""The one neutral card that a holder sees, and the batches of signed cards that a phone shows codes from."""
