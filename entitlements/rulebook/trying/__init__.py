"""Trying rules before they are kept: what a rule says of some facts, and everything that a rule may speak of."""
