"""How facts arrive: handed over by a register, checked row by row, applied household by household."""
