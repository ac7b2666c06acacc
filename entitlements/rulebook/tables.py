"""Rules that a rulebook writes as a form or a decision table, and the proof that a table leaves nothing out."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from entitlements.language import RuleError, Tree, Value, Vocabulary
from entitlements.language.grid import Grid, read_grid
from entitlements.language.messages import Mismatch
from entitlements.language.tables import Hit, Table, faults, grid_faults, read_hit, read_table

from .programmes import Parameter

_STEP = re.compile(r"([a-z]\w*)|\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Written:
    """A table as it stands in a file, to be checked once the days are known on which it counts."""

    grid: Grid
    hit: Hit
    table: Table | None
    """None where the rows are grounds: whoever fulfils none of them is refused, so that nothing is left out."""

    def faults(self, parameters: Mapping[str, Value]) -> list[RuleError]:
        """What is wrong with it for these amounts."""
        if self.table is not None:
            return faults(self.table, parameters)
        return grid_faults(self.grid, self.hit, parameters)

    def parameters(self) -> frozenset[str]:
        """The parameters that its cells name."""
        cells = (cell for row in self.grid.rows for cell in row)
        return frozenset(
            constant.name for cell in cells for constant in cell.constants() if hasattr(constant, "name")
        )


def read_written(section: Mapping[str, Any], known: Vocabulary) -> tuple[Tree, Written]:
    """The rule that a table of values is."""
    table = read_table(section, known)
    return table.tree(), Written(table.grid, table.hit, table)


def read_ground_rows(section: Mapping[str, Any], known: Vocabulary) -> tuple[tuple[Tree, ...], Written]:
    """For each row of a table of grounds its condition; all else that the rows say is for the caller to read."""
    if not section.keys() <= {"hit", "inputs", "rows", "note"}:
        raise RuleError(Mismatch("table-shape"))
    hit, _ = read_hit(section)
    rows = section.get("rows")
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise RuleError(Mismatch("table-row-shape")).at("rows")
    grid = read_grid(section.get("inputs"), [row.get("when") for row in rows], known)
    conditions = tuple(Tree(grid.condition(row)) for row in range(len(rows)))
    return conditions, Written(grid, hit, None)


def first_fault(
    written: Written, parameters: Mapping[str, Parameter], since: date, until: date | None
) -> tuple[date, RuleError] | None:
    """The first day on which the table does not hold, from the rule's first day to its last, and why."""
    used = written.parameters()
    days = {since, *(dated.since for name in used for dated in parameters[name].values)}
    for day in sorted(day for day in days if since <= day and (until is None or day <= until)):
        amounts = {name: dated.value for name in used if (dated := parameters[name].on(day)) is not None}
        try:
            found: Iterable[RuleError] = written.faults(amounts)
        except Mismatch as error:
            found = [RuleError(error)]
        for fault in found:
            return day, fault
    return None


def line_of(section: Any, place: str) -> int | None:
    """The line of the file in which a place such as `rows[2].when[1]` stands; the nearest line above that is known."""
    line = None
    for step in _steps(place):
        lines = getattr(section, "lines", None)
        if isinstance(step, str) and lines is not None and step in lines:
            line = lines[step]
        try:
            section = section[step]
        except (KeyError, IndexError, TypeError):
            return line
        line = getattr(section, "line", line)
    return line


def _steps(place: str) -> Iterator[str | int]:
    for name, number in _STEP.findall(place):
        yield name or int(number)
