"""The layers of a statement: what is said more than once gets a name in one layer and is read in those above it."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import column, select, type_coerce
from sqlalchemy.sql.elements import ColumnClause
from sqlalchemy.sql.selectable import CTE, FromClause, Select
from sqlalchemy.types import TypeEngine

from .expressions import BOOLEAN, DAY, names, size
from .rows import Expression, Rows

MAX_WEIGHT = 1_000
"""How much may be worked out anew for whoever says a name again, before its layer is kept as a table."""


@dataclass(frozen=True, slots=True)
class Beside:
    """Something worked out from all rows of a layer, joined to each of them."""

    name: str
    own: str
    """The name in the layer to which it is joined."""
    theirs: str
    uses: frozenset[str]
    build: Callable[[FromClause], Select[Any]]


class Layers:
    """Names for expressions; and in the end the statement's CTEs, each with only the columns that are needed above.

    Layer 0 reads the rows. What is named at a layer is worked out from it, and seen from the next one on.
    """

    def __init__(self, rows: Rows, prefix: str) -> None:
        self.rows, self.prefix = rows, prefix
        self.columns: dict[str, ColumnClause[Any]] = {}
        self.level = 0
        """The layer at which all households are looked at."""
        self.beside: list[Beside] = []
        self._known: dict[tuple[str, str], str] = {}
        self._read: dict[str, Expression] = {}
        self._named: list[dict[str, Expression]] = []

    def from_row(
        self, what: str, name: str, expression: Expression, type_: TypeEngine[Any]
    ) -> ColumnClause[Any]:
        """A column of the lowest layer, the same one for the same thing."""
        known = self._known.get((what, name))
        if known is None:
            made = self._column("b", type_)
            known = self._known[what, name] = made.name
            self._read[known] = expression
        return self.columns[known]

    def key(self) -> ColumnClause[Any]:
        """What tells a person from all others."""
        return self.from_row("key", "", self.rows.key, self.rows.key.type)

    def stated(self, name: str) -> ColumnClause[Any]:
        """A day of birth, which holds on every day there is."""
        return self.from_row("stated", name, self.rows.cell(name).value, DAY)

    def household(self, name: str) -> tuple[ColumnClause[Any], Expression]:
        """The household of a kind to which a person belongs, and whether there is known to be none."""
        shared = self.rows.shared(name)
        return (
            self.from_row("household", name, shared.household, shared.household.type),
            self.from_row("alone", name, shared.alone, BOOLEAN),
        )

    def name(self, expression: Expression, layer: int, type_: TypeEngine[Any]) -> ColumnClause[Any]:
        """The expression by a name, seen from the layer above on."""
        made = self._column("x", type_)
        while len(self._named) <= layer:
            self._named.append({})
        self._named[layer][made.name] = expression
        return made

    def _column(self, letter: str, type_: TypeEngine[Any]) -> ColumnClause[Any]:
        name = f"{letter}{len(self.columns)}"
        self.columns[name] = column(name, type_)
        return self.columns[name]

    def up_to(self, top: int, answers: Sequence[Expression]) -> FromClause:
        """The layers from the rows up to the one from which the answers are read."""
        said = Counter(name for expression in answers for name in names(expression))
        needed = [frozenset(said)]
        uses_of = {name: Counter(names(made)) for layer in self._named for name, made in layer.items()}
        for below in reversed(range(top)):
            above = needed[0]
            own = above & self._named[below].keys()
            uses = sum((uses_of[name] for name in own), Counter[str]())
            if below == self.level:
                uses.update(name for beside in self.beside for name in (*beside.uses, beside.own))
            said.update(uses)
            needed.insert(0, frozenset((above - own) | (uses.keys() & self.columns.keys())))

        layer = self._lowest(needed[0])
        weights = dict.fromkeys(needed[0], 1)
        for number in range(top):
            above, made = needed[number + 1], self._named[number]
            for name in above & made.keys():
                parts = sum(times * weights[part] for part, times in uses_of[name].items() if part in weights)
                weights[name] = size(made[name]) + parts
            heavy = any((said[name] - 1) * weights[name] > MAX_WEIGHT for name in above)
            kept = heavy or (bool(self.beside) and number + 1 == self.level)
            if kept:
                weights = dict.fromkeys(above, 1)
            layer = self._next(layer, number, above, kept=kept)
        return layer

    def _lowest(self, needed: frozenset[str]) -> CTE:
        found = (
            type_coerce(self._read[name], self.columns[name].type).label(name) for name in self._order(needed)
        )
        # Read anew by whoever looks at it, because the table has indexes and a copy of it has none.
        read = select(*found).select_from(self.rows.source)
        if self.rows.where is not None:
            read = read.where(self.rows.where)
        return read.cte(f"{self.prefix}0").prefix_with("NOT MATERIALIZED")

    def _next(self, layer: CTE, number: int, needed: frozenset[str], *, kept: bool) -> CTE:
        made = self._named[number]
        source: FromClause = layer
        for beside in self.beside if number == self.level else ():
            group = beside.build(layer).cte(beside.name)
            source = source.outerjoin(group, column(beside.own) == column(beside.theirs))
        # Of a table it is read until the last column that is asked for: what most look at comes first.
        often = frozenset(name for beside in self.beside for name in (*beside.uses, beside.own))
        order = (
            sorted(self._order(needed), key=lambda name: name not in often) if kept else self._order(needed)
        )
        found = (made[name].label(name) if name in made else self.columns[name] for name in order)
        hint = "MATERIALIZED" if kept else "NOT MATERIALIZED"
        return select(*found).select_from(source).cte(f"{self.prefix}{number + 1}").prefix_with(hint)

    def _order(self, needed: frozenset[str]) -> list[str]:
        return [name for name in self.columns if name in needed]
