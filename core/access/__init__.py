"""Who is calling: principals, their keys and sessions, roles, and the guards on every door."""
