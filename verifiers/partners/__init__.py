"""The organisations that give something for a card, and who speaks for them."""
