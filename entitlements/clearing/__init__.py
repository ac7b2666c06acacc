"""Settles who is who: numbers that wait, persons who turn out to be one, numbers that meant somebody else."""
