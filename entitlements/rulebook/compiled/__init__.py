"""The whole rulebook of a day as one statement over the wide rows: what `decide` says of each person, of everybody."""

from .answers import ALLOWANCE, AMOUNT, CHARGE, ESSENCE, GROUND, OUTCOME, TARIFFS
from .asked import due_on
from .book import CompiledBook, compile_book

__all__ = [
    "ALLOWANCE",
    "AMOUNT",
    "CHARGE",
    "ESSENCE",
    "GROUND",
    "OUTCOME",
    "TARIFFS",
    "CompiledBook",
    "compile_book",
    "due_on",
]
