"""In whose name credentials are signed, and with which keys."""
