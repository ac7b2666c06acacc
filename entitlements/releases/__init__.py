"""How rules change: a draft, a gate that it must pass, a second person, and a day in the future."""
