"""The trail: what was done by whom, sealed in order, so that nobody can change it unseen."""
