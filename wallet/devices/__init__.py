"""The phones that hold cards: enrolled by proving that they have their key, removed or replaced at a word."""
