"""What it takes to know a whole city: loading it, judging everybody, a night's changes, a draft tried on all."""
