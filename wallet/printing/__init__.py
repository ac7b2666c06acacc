"""The card on paper: made at the desk, the same to look at for everybody, taken back at a word when it is lost."""
