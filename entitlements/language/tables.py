"""Decision tables: another way to write a rule. A table becomes the same tree as text does, and a tree a table where it can."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import reduce
from graphlib import CycleError, TopologicalSorter
from typing import Any

from . import tree as t
from .cells import ANY, Cell, cell_of
from .grid import Grid, gaps, in_words, overlaps, read_grid, unreachable
from .messages import Mismatch, RuleError
from .syntax import Parser, parse
from .tree import Node, Tree, Vocabulary
from .values import Value


class Hit(StrEnum):
    """Which of the rows that hold count."""

    FIRST = "first"
    UNIQUE = "unique"
    """Like first, and the checks refuse two rows that can both hold."""
    COLLECT = "collect"


class Collect(StrEnum):
    """What a table that collects makes of the rows that hold."""

    ANY = "any"
    """Whether any of them does."""
    SUM = "sum"
    LEAST = "least"
    GREATEST = "greatest"


@dataclass(frozen=True, slots=True)
class Table:
    """A grid of cells, what each row comes to, and what counts where none holds."""

    grid: Grid
    hit: Hit
    collect: Collect | None
    outputs: tuple[Node, ...]
    """For each row what it comes to; none where only is asked whether any holds."""
    otherwise: Node | None

    def tree(self) -> Tree:
        """The rule that the table is; a first row that is unknown leaves open which row counts, and so the whole."""
        conditions = [self.grid.condition(row) for row in range(len(self.grid.rows))]
        made = self._chosen(conditions) if self.collect is None else self._collected(conditions)
        t.measure(made)
        return Tree(made)

    def _chosen(self, conditions: Sequence[Node]) -> Node:
        last, cases = self.otherwise, list(zip(conditions, self.outputs, strict=True))
        if last is None:
            # Every combination has its row, so where none above holds it is the last one.
            last = cases.pop()[1]
        return t.Choose(tuple(cases), last) if cases else last

    def _collected(self, conditions: Sequence[Node]) -> Node:
        if self.collect is Collect.ANY:
            return t.Or(tuple(conditions)) if len(conditions) > 1 else conditions[0]
        last = t.Literal(self.outputs[0].type, 0) if self.collect is Collect.SUM else self.otherwise
        assert last is not None
        terms: list[Node] = [
            t.Choose(((when, then),), last) for when, then in zip(conditions, self.outputs, strict=True)
        ]
        if self.collect is Collect.SUM:
            return reduce(lambda left, right: t.Arithmetic("+", left, right), terms)
        return t.Extreme(str(self.collect), tuple(terms))

    def to_json(self) -> dict[str, Any]:
        """The table as a form or a file writes it."""
        rows: list[dict[str, Any]] = [{"when": [str(cell) for cell in row]} for row in self.grid.rows]
        for row, output in zip(rows, self.outputs, strict=False):
            row["then"] = t.show(output)
        found: dict[str, Any] = {"hit": str(self.hit)}
        if self.collect is not None:
            found["collect"] = str(self.collect)
        found |= {"inputs": [t.show(item) for item in self.grid.inputs], "rows": rows}
        return found if self.otherwise is None else found | {"otherwise": t.show(self.otherwise)}


# --- from what somebody wrote ---------------------------------------------------------------------------------

_KEYS = frozenset({"hit", "collect", "inputs", "rows", "otherwise", "note"})


def read_table(source: object, vocabulary: Vocabulary) -> Table:
    """The table that a JSON object or a section of a file is; RuleError with the cell or field that is wrong."""
    if not isinstance(source, Mapping) or not source.keys() <= _KEYS:
        raise RuleError(Mismatch("table-shape"))
    hit, collect = read_hit(source)
    rows = source.get("rows")
    if not isinstance(rows, list):
        raise RuleError(Mismatch("table-empty")).at("rows")
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping) or not row.keys() <= {"when", "then", "note"}:
            raise RuleError(Mismatch("table-row-shape")).at(f"rows[{number}]")
    grid = read_grid(source.get("inputs"), [row.get("when") for row in rows], vocabulary)
    if collect is Collect.ANY:
        if "otherwise" in source or any("then" in row for row in rows):
            raise RuleError(Mismatch("table-output-of-any"))
        return Table(grid, hit, collect, (), None)
    outputs = _outputs(rows, vocabulary)
    otherwise = None
    if source.get("otherwise") is not None:
        otherwise = _output(source["otherwise"], vocabulary, "otherwise")
    table = Table(grid, hit, collect, *_alike(outputs, otherwise, vocabulary))
    _check_outputs(table)
    return table


def read_hit(source: Mapping[Any, Any]) -> tuple[Hit, Collect | None]:
    """The hit policy, and what is made of the rows where all count."""
    try:
        hit = Hit(source.get("hit", "first"))
    except ValueError:
        raise RuleError(Mismatch("table-hit")).at("hit") from None
    if hit is not Hit.COLLECT:
        if "collect" in source:
            raise RuleError(Mismatch("table-shape")).at("collect")
        return hit, None
    try:
        return hit, Collect(source.get("collect", "any"))
    except ValueError:
        raise RuleError(Mismatch("table-collect")).at("collect") from None


def _outputs(rows: Sequence[Mapping[str, object]], vocabulary: Vocabulary) -> list[Node]:
    found = []
    for number, row in enumerate(rows):
        if "then" not in row:
            raise RuleError(Mismatch("table-output-missing")).at(f"rows[{number}]")
        found.append(_output(row["then"], vocabulary, f"rows[{number}].then"))
    return found


def _output(text: object, vocabulary: Vocabulary, place: str) -> Node:
    if isinstance(text, bool | int):
        text = str(text).lower()
    if not isinstance(text, str):
        raise RuleError(Mismatch("table-row-shape")).at(place)
    try:
        return parse(text, vocabulary).root
    except RuleError as error:
        raise error.at(place) from None


def _alike(
    outputs: list[Node], otherwise: Node | None, vocabulary: Vocabulary
) -> tuple[tuple[Node, ...], Node | None]:
    every = [*outputs, *([] if otherwise is None else [otherwise])]
    told = next((output for output in every if output.type.enum), None)
    if told is not None:
        reader = Parser([], vocabulary)
        try:
            every = [reader.towards(output, told) for output in every]
        except Mismatch as error:
            raise RuleError(error).at("rows") from None
    for number, output in enumerate(every):
        if output.type != every[0].type:
            place = f"rows[{number}].then" if number < len(outputs) else "otherwise"
            differ = Mismatch("table-output-types", left=str(every[0].type), right=str(output.type))
            raise RuleError(differ).at(place)
    return tuple(every[: len(outputs)]), None if otherwise is None else every[-1]


def _check_outputs(table: Table) -> None:
    kind = table.outputs[0].type
    if table.collect is Collect.SUM:
        if kind not in {t.INT, t.CENTS}:
            raise RuleError(Mismatch("table-sum-of", found=str(kind))).at("rows[0].then")
        if table.otherwise is not None:
            raise RuleError(Mismatch("table-otherwise-of-sum")).at("otherwise")
    elif table.collect is not None:
        if kind.kind not in t.ORDERED:
            raise RuleError(Mismatch("extreme-of", function=str(table.collect), found=str(kind)))
        if table.otherwise is None:
            raise RuleError(Mismatch("table-otherwise-needed"))


# --- checks ---------------------------------------------------------------------------------------------------


def faults(table: Table, parameters: Mapping[str, Value]) -> list[RuleError]:
    """What is wrong with the table for these amounts: combinations without a row, or with two, and rows for nothing."""
    found = grid_faults(table.grid, table.hit, parameters)
    if table.collect is None and table.otherwise is None:
        for missing in gaps(table.grid, parameters):
            found.append(RuleError(Mismatch("table-gap", missing=in_words(table.grid, missing))))
    return found


def grid_faults(grid: Grid, hit: Hit, parameters: Mapping[str, Value]) -> list[RuleError]:
    """What is wrong with the rows: two that can both hold though only one may, and rows that never count."""
    found: list[RuleError] = []
    if hit is Hit.UNIQUE:
        for one, other, both in overlaps(grid, parameters):
            twice = Mismatch("table-overlap", first=one + 1, second=other + 1, both=in_words(grid, both))
            found.append(RuleError(twice).at(f"rows[{other}]"))
    if hit is Hit.FIRST:
        for row in unreachable(grid, parameters):
            found.append(RuleError(Mismatch("table-row-never", row=row + 1)).at(f"rows[{row}]"))
    return found


# --- from a tree ----------------------------------------------------------------------------------------------


def as_table(tree: Tree) -> Table | None:
    """A table that becomes exactly this tree; `None` where there is none."""
    for attempt in _attempts(tree.root):
        if attempt is not None and attempt.tree() == tree:
            return attempt
    return None


def _attempts(root: Node) -> Iterator[Table | None]:
    match root:
        case t.Choose(cases, otherwise):
            if grid := _grid([when for when, _ in cases]):
                yield Table(grid, Hit.FIRST, None, tuple(then for _, then in cases), otherwise)
        case t.Or(terms):
            if grid := _grid(terms):
                yield Table(grid, Hit.COLLECT, Collect.ANY, (), None)
        case t.Arithmetic("+"):
            yield _collecting(_terms(root), Collect.SUM)
        case t.Extreme(operator, terms):
            yield _collecting(terms, Collect(operator))
        case _ if root.type == t.BOOL:
            if grid := _grid([root]):
                yield Table(grid, Hit.COLLECT, Collect.ANY, (), None)


def _terms(node: Node) -> Sequence[Node]:
    found: list[Node] = []
    while isinstance(node, t.Arithmetic) and node.operator == "+":
        found.append(node.right)
        node = node.left
    return [node, *reversed(found)]


def _collecting(terms: Sequence[Node], collect: Collect) -> Table | None:
    choices = [term for term in terms if isinstance(term, t.Choose) and len(term.cases) == 1]
    if len(choices) < len(terms) or len({choice.otherwise for choice in choices}) > 1:
        return None
    grid = _grid([choice.cases[0][0] for choice in choices])
    if grid is None:
        return None
    outputs = tuple(choice.cases[0][1] for choice in choices)
    otherwise = None if collect is Collect.SUM else choices[0].otherwise
    return Table(grid, Hit.COLLECT, collect, outputs, otherwise)


def _grid(conditions: Sequence[Node]) -> Grid | None:
    """Rows and inputs, so that in each row the inputs stand in the order in which its condition asks for them."""
    asked = [_row(condition) for condition in conditions]
    order: TopologicalSorter[Node] = TopologicalSorter()
    for row in asked:
        items = [item for item, _ in row]
        if len(set(items)) < len(items):
            return None
        for before, item in zip([None, *items], items, strict=False):
            order.add(item, *([] if before is None else [before]))
    try:
        inputs = tuple(order.static_order())
    except CycleError:
        return None
    if not inputs:
        return None
    rows = tuple(tuple(dict(row).get(item, ANY) for item in inputs) for row in asked)
    return Grid(inputs, rows)


def _row(condition: Node) -> list[tuple[Node, Cell]]:
    if condition == t.Literal(t.BOOL, value=True):
        return []
    whole = cell_of(condition)
    if not isinstance(condition, t.And) or whole[0] != condition:
        return [whole]
    return [cell_of(term) for term in condition.terms]
