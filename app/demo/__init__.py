"""The demo: an invented city, and the provider at which its people sign in."""
