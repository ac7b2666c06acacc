"""Which departments vouch for what, and which person each of their numbers means."""
