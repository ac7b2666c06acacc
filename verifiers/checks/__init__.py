"""One scan judged: the same judgement at a server, at an offline scanner and in a browser."""
