"""Programmes as data: what they ask, what they bring, since when, and what they say about one person on one day."""
