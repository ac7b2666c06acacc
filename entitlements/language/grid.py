"""Inputs by rows of cells, which is what a decision table asks; and whether every combination has its row, and one only."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import combinations, islice

from . import tree as t
from .cells import ANY, Cell, read_cell, values_of
from .messages import Mismatch, RuleError
from .sense import span
from .syntax import parse
from .tree import Kind, Node, Vocabulary
from .values import Value

MAX_ROWS, MAX_INPUTS, MAX_STEPS = 300, 20, 100_000
MAX_WORK = 2_000_000
"""So many comparisons of a cell with a value are made for one table; a larger one is to be split."""
MOST_GAPS = 10
_OTHER = "\0"
"""Stands for every text that no cell names."""


@dataclass(frozen=True, slots=True)
class Grid:
    """What each row asks of each input; a row holds where all its cells do."""

    inputs: tuple[Node, ...]
    rows: tuple[tuple[Cell, ...], ...]
    members: tuple[tuple[str, ...], ...] = ()
    """For each input that is an enum, all its members; they are needed for nothing but the checks."""

    def condition(self, row: int) -> Node:
        """The row as one condition."""
        pairs = zip(self.rows[row], self.inputs, strict=True)
        asked = [condition for cell, item in pairs if (condition := cell.condition(item)) is not None]
        if not asked:
            return t.Literal(t.BOOL, value=True)
        return asked[0] if len(asked) == 1 else t.And(tuple(asked))

    def catches_all(self, row: int) -> bool:
        """Whether the row holds whatever the inputs are."""
        return all(cell == ANY for cell in self.rows[row])


def read_grid(inputs: object, rows: Sequence[object], vocabulary: Vocabulary) -> Grid:
    """Inputs as texts and, for each row, a list with a cell for each of them; RuleError with its place."""
    if not isinstance(inputs, list) or not inputs or not rows:
        raise RuleError(Mismatch("table-empty"))
    for found, most, what in ((rows, MAX_ROWS, "rows"), (inputs, MAX_INPUTS, "inputs")):
        if len(found) > most:
            raise RuleError(Mismatch("table-too-large", most=most, what=what))
    items: list[Node] = []
    for number, text in enumerate(inputs):
        place = f"inputs[{number}]"
        if not isinstance(text, str):
            raise RuleError(Mismatch("table-shape")).at(place)
        try:
            item = parse(text, vocabulary).root
        except RuleError as error:
            raise error.at(place) from None
        if item in items:
            raise RuleError(Mismatch("table-input-twice", found=text)).at(place)
        items.append(item)
    return Grid(
        tuple(items),
        tuple(_read_row(row, number, items, vocabulary) for number, row in enumerate(rows)),
        tuple(vocabulary.members(item.type.enum) if item.type.enum else () for item in items),
    )


def _read_row(row: object, number: int, items: Sequence[Node], vocabulary: Vocabulary) -> tuple[Cell, ...]:
    place = f"rows[{number}].when"
    if not isinstance(row, list):
        raise RuleError(Mismatch("table-row-shape")).at(place)
    if len(row) != len(items):
        raise RuleError(Mismatch("table-row", expected=len(items), found=len(row))).at(place)
    cells = []
    for column, (text, item) in enumerate(zip(row, items, strict=True)):
        try:
            cells.append(read_cell(_text(text), item, vocabulary))
        except RuleError as error:
            raise error.at(f"{place}[{column}]") from None
    return tuple(cells)


def _text(cell: object) -> str:
    """A cell as it was meant: in YAML a lone number or truth value needs no quotation marks."""
    match cell:
        case bool():
            return "true" if cell else "false"
        case int() | str():
            return str(cell)
    raise RuleError(Mismatch("cell-form", found=str(cell)))


# --- regions: all values of an input that no cell tells apart -------------------------------------------------


@dataclass(frozen=True, slots=True)
class Region:
    """Values of one input for which the same rows hold, as a cell would write them; bit n stands for row n."""

    shown: str
    rows: int


def _regions(grid: Grid, column: int, parameters: Mapping[str, Value]) -> list[Region]:
    """Every value that the input can have, in as few regions as the cells tell apart."""
    item = grid.inputs[column]
    cells = [row[column] for row in grid.rows]
    named = {value for cell in cells for value in values_of(cell, parameters)}
    if 2 * (len(named) + 1) * sum(len(cell.tests) for cell in cells) > MAX_WORK // len(grid.inputs):
        raise RuleError(Mismatch("table-too-hard"))

    def rows_at(value: Value) -> int:
        return sum(1 << n for n, cell in enumerate(cells) if cell.fits(value, parameters))

    found: dict[int, list[str]] = {}
    if item.type.kind in t.ORDERED:
        for low, high, rows in _ranges(item, {_number(value) for value in named}, rows_at):
            found.setdefault(rows, []).append(_between(low, high, item))
    else:
        for value in _values(item, named, grid.members[column] if grid.members else ()):
            shown = "any other" if value == _OTHER else t.show_literal(t.Literal(item.type, value))
            found.setdefault(rows_at(value), []).append(shown)
    return [Region(", ".join(shown), rows) for rows, shown in found.items()]


def _values(item: Node, named: set[Value], members: tuple[str, ...]) -> Sequence[Value]:
    if item.type.kind is Kind.BOOL:
        return (True, False)
    if item.type.kind is Kind.ENUM:
        return members
    return (*sorted(map(str, named)), _OTHER)


def _ranges(item: Node, named: set[int], rows_at: Callable[[Value], int]) -> list[tuple[int, int, int]]:
    """Ranges of numbers or days, both ends included, with the rows that hold there; neighbours that agree are one."""
    least, most = _domain(item)
    begins = sorted({least, *(n for number in named for n in (number, number + 1) if least < n <= most)})
    found: list[tuple[int, int, int]] = []
    for begin, following in zip(begins, [*begins[1:], most + 1], strict=True):
        rows = rows_at(_value(begin, item))
        if found and found[-1][2] == rows:
            found[-1] = (found[-1][0], following - 1, rows)
        else:
            found.append((begin, following - 1, rows))
    return found


def _domain(item: Node) -> tuple[int, int]:
    return (date.min.toordinal(), date.max.toordinal()) if item.type.kind is Kind.DAY else span(item)


def _number(value: Value) -> int:
    assert isinstance(value, int | date)
    return value.toordinal() if isinstance(value, date) else value


def _value(number: int, item: Node) -> Value:
    return date.fromordinal(number) if item.type.kind is Kind.DAY else number


def _between(low: int, high: int, item: Node) -> str:
    least, most = _domain(item)

    def shown(number: int) -> str:
        return t.show_literal(t.Literal(item.type, _value(number, item)))

    if low == high:
        return shown(low)
    if (low, high) == (least, most):
        return "-"
    if low == least:
        return f"<= {shown(high)}"
    return f">= {shown(low)}" if high == most else f"[{shown(low)}..{shown(high)}]"


# --- what is left out, and what is said twice -----------------------------------------------------------------

Combination = tuple[str, ...]
"""For each input the values meant, as a cell would write them."""


class _Walk:
    """Goes through the combinations region by region; which rows are left decides all that follows."""

    def __init__(self, grid: Grid, parameters: Mapping[str, Value]) -> None:
        self.columns = [_regions(grid, column, parameters) for column in range(len(grid.inputs))]
        self.steps = 0
        self.covered: set[tuple[int, int, int]] = set()

    def gaps(self, rows: int, within: int = 0) -> Iterator[Combination]:
        """Combinations for which none of these rows holds, among those for which all the rows `within` do."""
        yield from self._gaps(0, rows, within, ())

    def _gaps(self, column: int, rows: int, within: int, before: Combination) -> Iterator[Combination]:
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise RuleError(Mismatch("table-too-hard"))
        if rows == 0 and not within:
            yield before + ("-",) * (len(self.columns) - column)
        elif column == len(self.columns):
            if rows == 0:
                yield before
        elif (column, rows, within) not in self.covered:
            found = False
            for region in self.columns[column]:
                if region.rows & within == within:
                    for gap in self._gaps(column + 1, rows & region.rows, within, (*before, region.shown)):
                        found = True
                        yield gap
            if not found:
                self.covered.add((column, rows, within))

    def overlap(self, one: int, other: int) -> Combination | None:
        """A combination for which two rows both hold."""
        both = (1 << one) | (1 << other)
        shared: list[str] = []
        for regions in self.columns:
            shown = next((region.shown for region in regions if region.rows & both == both), None)
            if shown is None:
                return None
            shared.append(shown)
        return tuple(shared)


def gaps(grid: Grid, parameters: Mapping[str, Value]) -> list[Combination]:
    """Combinations of inputs for which no row holds, at most ten of them."""
    walk = _Walk(grid, parameters)
    return list(islice(walk.gaps((1 << len(grid.rows)) - 1), MOST_GAPS))


def overlaps(grid: Grid, parameters: Mapping[str, Value]) -> list[tuple[int, int, Combination]]:
    """Pairs of rows that both hold for some combination, with that combination; at most ten of them."""
    walk = _Walk(grid, parameters)
    found = (
        (one, other, shared)
        for one, other in combinations(range(len(grid.rows)), 2)
        if (shared := walk.overlap(one, other)) is not None
    )
    return list(islice(found, MOST_GAPS))


def unreachable(grid: Grid, parameters: Mapping[str, Value]) -> list[int]:
    """Rows that are never the first to hold: those above hold for all that they would, or they hold for nothing."""
    walk = _Walk(grid, parameters)
    return [
        row for row in range(len(grid.rows)) if next(walk.gaps((1 << row) - 1, within=1 << row), None) is None
    ]


def in_words(grid: Grid, combination: Combination) -> str:
    """A combination with the names of its inputs; those that make no difference are left out."""
    told = [
        f"{t.show(item)}: {shown}"
        for item, shown in zip(grid.inputs, combination, strict=True)
        if shown != "-"
    ]
    return "; ".join(told) or "-"
