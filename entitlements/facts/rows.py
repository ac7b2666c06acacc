"""The wide row of each person as rules read it: what stands where, for statements that judge everybody at once."""

from collections.abc import Collection
from datetime import date
from typing import Any

from sqlalchemy import Boolean, Date, bindparam, func
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from entitlements.facts.catalogue import CATALOGUE, HOUSEHOLDS
from entitlements.facts.models import CURRENT, UNTIL
from entitlements.language.sql import Cell, Rows, Shared

_ALONE, _LISTED = "alone_", "listed_"


class _WrittenDay(FunctionElement[date]):
    """A day out of a text such as 2026-01-31."""

    type = Date()
    inherit_cache = True


@compiles(_WrittenDay)
def _as_day(element: _WrittenDay, compiler: SQLCompiler, **how: Any) -> str:
    return f"CAST({compiler.process(element.clauses, **how)} AS DATE)"


@compiles(_WrittenDay, "sqlite")
def _as_text(element: _WrittenDay, compiler: SQLCompiler, **how: Any) -> str:
    # There a day is such a text, and a cast would make a number of it.
    return f"({compiler.process(element.clauses, **how)})"


_SHARED = {name: Shared(CURRENT.c[name], bindparam(_ALONE + name, type_=Boolean())) for name in HOUSEHOLDS}

CURRENT_ROWS = Rows(
    source=CURRENT,
    key=CURRENT.c.person_id,
    facts={
        name: Cell(CURRENT.c[name], until=CURRENT.c[name + UNTIL], always_known=kind.always_known)
        for name, kind in CATALOGUE.items()
    },
    households=_SHARED,
)
"""What holds today; who is in no household is known to be in none where the list is complete."""

DATED_ROWS = Rows(
    source=CURRENT,
    key=CURRENT.c.person_id,
    facts={
        name: Cell(
            CURRENT.c[name],
            since=func.coalesce(
                _WrittenDay(CURRENT.c.sources[(name, 0)].as_string()),
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
