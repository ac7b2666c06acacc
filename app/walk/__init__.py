"""What stands outside and calls: a phone, a scanner, a register, people with a browser; and the story they play."""
