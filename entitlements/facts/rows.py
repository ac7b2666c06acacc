"""The wide row of each person as rules read it: what stands where, for statements that judge everybody at once."""

from collections.abc import Collection
from datetime import date
from typing import Any

from sqlalchemy import Boolean, Date, and_, bindparam, func, literal_column
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from entitlements.facts.catalogue import CATALOGUE, HOUSEHOLDS
from entitlements.facts.models import CURRENT, UNSURE, UNTIL
from entitlements.language.sql import Cell, Rows, Shared

_ALONE, _LISTED = "alone_", "listed_"


class _Since(FunctionElement[date]):
    """Since when a fact is stated: the day with which the source begins that names it (`deriving.sources_of`)."""

    type = Date()
    inherit_cache = True


_LOOK = "SELECT {day} FROM {each}({sources}) AS s WHERE ' ' || s.value || ' ' LIKE '% ' || {name} || ' %'"


@compiles(_Since)
def _as_day(element: _Since, compiler: SQLCompiler, **how: Any) -> str:
    sources, name = (compiler.process(clause, **how) for clause in element.clauses)
    day = "CAST(substr(s.key, 1, 10) AS DATE)"
    return f"({_LOOK.format(day=day, each='json_each_text', sources=sources, name=name)})"


@compiles(_Since, "sqlite")
def _as_text(element: _Since, compiler: SQLCompiler, **how: Any) -> str:
    # There a day is a text, and a cast would make a number of it.
    sources, name = (compiler.process(clause, **how) for clause in element.clauses)
    return f"({_LOOK.format(day='substr(s.key, 1, 10)', each='json_each', sources=sources, name=name)})"


_SHARED = {
    name: Shared(
        CURRENT.c[name], and_(bindparam(_ALONE + name, type_=Boolean()), CURRENT.c[name + UNSURE].is_(None))
    )
    for name in HOUSEHOLDS
}

CURRENT_ROWS = Rows(
    source=CURRENT,
    key=CURRENT.c.person_id,
    facts={
        name: Cell(CURRENT.c[name], until=CURRENT.c[name + UNTIL], always_known=kind.always_known)
        for name, kind in CATALOGUE.items()
    },
    households=_SHARED,
)
"""What holds today; who is in no household is known to be in none where the list is complete, and was read."""

DATED_ROWS = Rows(
    source=CURRENT,
    key=CURRENT.c.person_id,
    facts={
        name: Cell(
            CURRENT.c[name],
            since=func.coalesce(
                _Since(CURRENT.c.sources, literal_column(f"'{name}'")),
                bindparam(_LISTED + name, type_=Date()),
            ),
            until=CURRENT.c[name + UNTIL],
            always_known=kind.always_known,
        )
        for name, kind in CATALOGUE.items()
    },
    households=_SHARED,
    current=False,
)
"""The same, with the day since which each fact is stated: for what is asked of a day that has passed."""


def given(alone: Collection[str] = (), listed: dict[str, date] | None = None) -> dict[str, Any]:
    """What statements over these rows must be given: who is in no household where the list says so, and since
    when a fact is known of whoever the lists leave out.
    """
    return {_ALONE + name: name in alone for name in HOUSEHOLDS} | {
        _LISTED + name: (listed or {}).get(name, date.max) for name in CATALOGUE
    }
