"""The second back end: the same rules as set statements, for everybody at once."""

from .compiled import MISSING, SAYS, Compiled, Says
from .compiler import compile_rules
from .persons import Persons, answer
from .rows import Cell, Rows, Shared

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
