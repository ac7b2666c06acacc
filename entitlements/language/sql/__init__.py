"""The second back end: the same rules as set statements, for everybody at once."""

from .compiler import MISSING, SAYS, Cell, Compiled, Rows, Says, Shared, compile_rules
from .persons import Persons, answer

__all__ = [
    "MISSING",
    "SAYS",
    "Cell",
    "Compiled",
    "Persons",
    "Rows",
    "Says",
    "Shared",
    "answer",
    "compile_rules",
]
