"""Whether this process is alive, and whether it can serve: for those who run it, and for what stands before it."""
