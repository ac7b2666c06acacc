"""What became of a part of a rule: its value, and beside it what is missing, as the bits of a number."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import case

from entitlements.language.messages import Mismatch

from .expressions import number, one_or_zero
from .numbers import ANYTHING
from .rows import Expression

MAX_NAMED = 62
"""How many different missing facts one statement can name: each is a bit of a 64-bit number."""


@dataclass(frozen=True, slots=True)
class Said:
    """What became of a part of a rule."""

    value: Expression
    """NULL: unknown or fault."""
    open: Expression | None = None
    """What is missing, as a number: always there if the part can both be unknown and fail."""
    names: frozenset[str] = frozenset()
    """What may be missing; if nothing may, the part is never unknown."""
    fails: bool = False
    """Whether the part may be a fault."""
    layer: int = 0
    """The lowest layer that has everything the expressions name."""
    depth: int = 0
    span: tuple[int, int] = ANYTHING
    """For whole numbers and amounts, the least and the greatest it can be."""

    @property
    def may_be_null(self) -> bool:
        return bool(self.names) or self.fails


class Missing:
    """The bits by which missing facts are named; where nobody asks for names, there is one for all of them."""

    def __init__(self, *, named: bool) -> None:
        self.named = named
        self.bits: dict[str, int] = {}

    def bit(self, name: str) -> Expression:
        """The bit of a fact, as a number."""
        if not self.named:
            return number(1)
        if name not in self.bits:
            if len(self.bits) == MAX_NAMED:
                raise Mismatch(f"one statement names at most {MAX_NAMED} missing facts; ask for fewer rules")
            self.bits[name] = 1 << len(self.bits)
        return number(self.bits[name])

    def bits_of(self, names: Iterable[str]) -> list[int]:
        """The bits of these facts."""
        for name in sorted(names):
            self.bit(name)
        return sorted({self.bits.get(name, 1) for name in names})

    def tells_apart(self, names: frozenset[str], *, fails: bool) -> bool:
        """Whether what is missing must be kept beside the value."""
        return bool(names) and (fails or self.named)

    def mask(self, said: Said) -> Expression | None:
        """What is missing in a part, as a number; `None` if nothing ever is. May say the value once more."""
        if not said.names:
            return None
        return said.open if said.open is not None else one_or_zero(said.value.is_(None))

    def where_null(self, value: Expression, name: str, names: frozenset[str]) -> Expression | None:
        """What is missing where a value is that can be nothing but unknown."""
        if not self.tells_apart(names, fails=False):
            return None
        return case((value.is_(None), self.bit(name)), else_=number(0))
