"""The typed tree that a rule is: a closed set of nodes, canonical JSON with a hash, and its way back to text."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import date
from enum import StrEnum
from functools import cached_property
from typing import Any, cast

from .messages import Detail, Mismatch
from .values import Value

MAX_DEPTH = 100
MAX_NODES = 4_000
INT_MIN, INT_MAX = -(2**63), 2**63 - 1


class Kind(StrEnum):
    """The kinds of value that a rule can speak of."""

    BOOL = "bool"
    INT = "int"
    STRING = "string"
    ENUM = "enum"
    DAY = "day"
    CENTS = "cents"


@dataclass(frozen=True, slots=True)
class Type:
    """A kind of value; for an enum also which one, for members of different enums never compare."""

    kind: Kind
    enum: str = ""

    def __str__(self) -> str:
        return f"enum:{self.enum}" if self.kind is Kind.ENUM else self.kind.value

    @staticmethod
    def read(text: str) -> "Type":
        """The type that a word such as `cents` or `enum:school_stage` names."""
        kind, _, enum = text.partition(":")
        try:
            found = Type(Kind(kind), enum)
        except ValueError:
            raise Mismatch("unknown-type", found=text, allowed=tuple(Kind)) from None
        if (found.kind is Kind.ENUM) is not bool(enum):
            raise Mismatch("type-form", found=text)
        return found


BOOL, INT, STRING = Type(Kind.BOOL), Type(Kind.INT), Type(Kind.STRING)
DAY, CENTS = Type(Kind.DAY), Type(Kind.CENTS)
ORDERED = frozenset({Kind.INT, Kind.DAY, Kind.CENTS})
OPERATORS = frozenset({"==", "!=", "<", "<=", ">", ">="})
CALCULATIONS = frozenset({"+", "-", "*", "/", "%"})


def _need(holds: bool, code: str, *, advice: str = "", **params: Detail) -> None:
    if not holds:
        raise Mismatch(code, advice=advice, **params)


def _sound(holds: bool, detail: str) -> None:
    """What no text could have made, and only a stored tree can get wrong."""
    if not holds:
        raise Mismatch("not-a-tree", detail=detail)


def _named(*names: object) -> None:
    _sound(all(isinstance(n, str) and n for n in names), "a name must be a word that is not empty")


def _nodes(*nodes: object) -> None:
    _sound(all(isinstance(n, _Node) for n in nodes), "a part of the tree must itself be a node")


def _advice(left: Type, right: Type) -> str:
    kinds = {left.kind, right.kind}
    if kinds == {Kind.INT, Kind.CENTS}:
        return "write-cents"
    if kinds == {Kind.DAY, Kind.STRING}:
        return "write-day"
    if kinds == {Kind.DAY, Kind.INT}:
        return "ask-age"
    if kinds == {Kind.ENUM}:
        return "enums-differ"
    if kinds in ({Kind.INT, Kind.STRING}, {Kind.CENTS, Kind.STRING}):
        return "number-in-quotes"
    if Kind.ENUM in kinds and Kind.STRING in kinds:
        return "member-in-quotes"
    return ""


def _boolean(node: "Node", code: str) -> None:
    if node.type != BOOL:
        raise Mismatch(code, advice="compare-it" if node.type.kind in ORDERED else "", found=str(node.type))


def _alike(left: Type, right: Type, code: str, **params: Detail) -> None:
    if left != right:
        raise Mismatch(code, advice=_advice(left, right), left=str(left), right=str(right), **params)


class _Node:
    """What all nodes share."""

    __slots__ = ()

    @property
    def parts(self) -> tuple["Node", ...]:
        """The nodes directly below, in the order in which they are written."""
        return ()


@dataclass(frozen=True, slots=True)
class Literal(_Node):
    """A value written in the rule itself."""

    type: Type
    value: Value

    def __post_init__(self) -> None:
        _sound(isinstance(self.type, Type), "a literal needs a type")
        wanted = {Kind.BOOL: bool, Kind.INT: int, Kind.CENTS: int, Kind.DAY: date}.get(self.type.kind, str)
        _need(type(self.value) is wanted, "literal-type", expected=str(self.type))
        if wanted is str:
            halved = any("\ud800" <= character <= "\udfff" for character in cast("str", self.value))
            _need(not halved, "no-such-character")
        if wanted is int:
            _need(INT_MIN <= cast("int", self.value) <= INT_MAX, "number-too-long")


@dataclass(frozen=True, slots=True)
class Fact(_Node):
    """What a register states about the person under judgement."""

    name: str
    type: Type

    def __post_init__(self) -> None:
        _named(self.name)
        _sound(isinstance(self.type, Type), "a fact needs a type")


@dataclass(frozen=True, slots=True)
class Parameter(_Node):
    """A dated amount of the rulebook, by name."""

    name: str
    type: Type

    def __post_init__(self) -> None:
        _named(self.name)
        _sound(isinstance(self.type, Type), "a parameter needs a type")


@dataclass(frozen=True, slots=True)
class Today(_Node):
    """The day for which is decided."""

    @property
    def type(self) -> Type:
        return DAY


@dataclass(frozen=True, slots=True)
class Until(_Node):
    """The last day on which a stated fact holds; 9999-12-31 where no end is stated."""

    fact: str

    def __post_init__(self) -> None:
        _named(self.fact)

    @property
    def type(self) -> Type:
        return DAY


@dataclass(frozen=True, slots=True)
class Not(_Node):
    """The opposite of a condition."""

    term: "Node"

    def __post_init__(self) -> None:
        _nodes(self.term)
        _boolean(self.term, "condition-after-not")

    @property
    def parts(self) -> tuple["Node", ...]:
        return (self.term,)

    @property
    def type(self) -> Type:
        return BOOL


@dataclass(frozen=True, slots=True)
class Negative(_Node):
    """A number with its sign turned."""

    term: "Node"

    def __post_init__(self) -> None:
        _nodes(self.term)
        _need(self.term.type in {INT, CENTS}, "negative-of", found=str(self.term.type))

    @property
    def parts(self) -> tuple["Node", ...]:
        return (self.term,)

    @property
    def type(self) -> Type:
        return self.term.type


@dataclass(frozen=True, slots=True)
class _Chain(_Node):
    terms: tuple["Node", ...]

    def __post_init__(self) -> None:
        _sound(
            isinstance(self.terms, tuple) and len(self.terms) > 1, "&& and || need at least two conditions"
        )
        _nodes(*self.terms)
        for term in self.terms:
            _boolean(term, "condition-in-chain")

    @property
    def parts(self) -> tuple["Node", ...]:
        return self.terms

    @property
    def type(self) -> Type:
        return BOOL


class And(_Chain):
    """All of these conditions."""

    __slots__ = ()


class Or(_Chain):
    """At least one of these conditions."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Compare(_Node):
    """One value measured against another of the same type."""

    operator: str
    left: "Node"
    right: "Node"

    def __post_init__(self) -> None:
        _sound(isinstance(self.operator, str) and self.operator in OPERATORS, "there is no such comparison")
        _nodes(self.left, self.right)
        left, right = self.left.type, self.right.type
        _alike(left, right, "not-comparable")
        if self.operator not in {"==", "!="}:
            _need(left.kind in ORDERED, "no-order", found=str(left), operator=self.operator)

    @property
    def parts(self) -> tuple["Node", ...]:
        return (self.left, self.right)

    @property
    def type(self) -> Type:
        return BOOL


@dataclass(frozen=True, slots=True)
class Arithmetic(_Node):
    """A calculation with whole numbers or amounts of money; `/` and `%` are for whole numbers only.

    `/` drops what is left over and `%` keeps it, with the sign of the left side, as in CEL.
    """

    operator: str
    left: "Node"
    right: "Node"

    def __post_init__(self) -> None:
        _sound(
            isinstance(self.operator, str) and self.operator in CALCULATIONS, "there is no such calculation"
        )
        _nodes(self.left, self.right)
        left, right = self.left.type, self.right.type
        for side in (left, right):
            _need(side in {INT, CENTS}, "calculates-with", operator=self.operator, found=str(side))
        if self.operator == "*":
            _need(INT in {left, right}, "money-times-money")
        elif self.operator in {"/", "%"}:
            _need(CENTS not in {left, right}, "money-divided", operator=self.operator)
        else:
            _alike(left, right, "units-mixed", operator=self.operator)

    @property
    def parts(self) -> tuple["Node", ...]:
        return (self.left, self.right)

    @property
    def type(self) -> Type:
        return CENTS if CENTS in {self.left.type, self.right.type} else INT


@dataclass(frozen=True, slots=True)
class Choose(_Node):
    """The value of the first case whose condition holds, otherwise the last value."""

    cases: tuple[tuple["Node", "Node"], ...]
    otherwise: "Node"

    def __post_init__(self) -> None:
        _sound(isinstance(self.cases, tuple) and len(self.cases) > 0, "a choice needs at least one case")
        _nodes(self.otherwise)
        for case in self.cases:
            _sound(isinstance(case, tuple) and len(case) == 2, "each case has a condition and a value")
            _nodes(*case)
            _boolean(case[0], "condition-before-choice")
            _alike(case[1].type, self.otherwise.type, "choice-types")

    @property
    def parts(self) -> tuple["Node", ...]:
        return (*(part for case in self.cases for part in case), self.otherwise)

    @property
    def type(self) -> Type:
        return self.otherwise.type


@dataclass(frozen=True, slots=True)
class OneOf(_Node):
    """Whether a value is among those written down."""

    item: "Node"
    options: tuple[Literal, ...]

    def __post_init__(self) -> None:
        _nodes(self.item)
        _sound(isinstance(self.options, tuple), "in needs a list")
        for option in self.options:
            _need(isinstance(option, Literal), "list-literals")
            _alike(self.item.type, option.type, "not-among")

    @property
    def parts(self) -> tuple["Node", ...]:
        return (self.item, *self.options)

    @property
    def type(self) -> Type:
        return BOOL


@dataclass(frozen=True, slots=True)
class Extreme(_Node):
    """The least or the greatest of some values of one type."""

    operator: str
    terms: tuple["Node", ...]

    def __post_init__(self) -> None:
        _sound(self.operator in ("least", "greatest"), "there is least(...) and greatest(...)")
        _need(isinstance(self.terms, tuple) and len(self.terms) > 0, "extreme-empty", function=self.operator)
        _nodes(*self.terms)
        first = self.terms[0].type
        _need(first.kind in ORDERED, "extreme-of", function=self.operator, found=str(first))
        for term in self.terms:
            _alike(first, term.type, "extreme-types", function=self.operator)

    @property
    def parts(self) -> tuple["Node", ...]:
        return self.terms

    @property
    def type(self) -> Type:
        return self.terms[0].type


@dataclass(frozen=True, slots=True)
class Under(_Node):
    """Whether the person has not yet completed so many years, today or at the first of the month.

    `born` names the earliest day of birth that is possible, `latest` the last one where it is known in part.
    """

    born: str
    latest: str
    years: "Node"
    at: str

    def __post_init__(self) -> None:
        _named(self.born)
        _sound(isinstance(self.latest, str), "the name of the latest possible day must be a word")
        _need(isinstance(self.years, (Literal, Parameter)) and self.years.type == INT, "age-form")
        if isinstance(self.years, Literal):
            _need(0 <= cast("int", self.years.value) <= 150, "age-range")
        _need(isinstance(self.at, str) and self.at in {"today", "month_start"}, "age-day")

    @property
    def parts(self) -> tuple["Node", ...]:
        return (self.years,)

    @property
    def type(self) -> Type:
        return BOOL


def _household(household: object, term: object) -> None:
    _named(household)
    _nodes(term)
    _boolean(cast("Node", term), "condition-of-members")
    nested = any(isinstance(node, AnyMember | CountMembers | RankAmong) for node in walk(cast("Node", term)))
    _need(not nested, "household-in-household")


@dataclass(frozen=True, slots=True)
class AnyMember(_Node):
    """Whether the condition holds for at least one member of the household."""

    household: str
    term: "Node"

    def __post_init__(self) -> None:
        _household(self.household, self.term)

    @property
    def parts(self) -> tuple["Node", ...]:
        return (self.term,)

    @property
    def type(self) -> Type:
        return BOOL


@dataclass(frozen=True, slots=True)
class CountMembers(_Node):
    """For how many members of the household the condition holds."""

    household: str
    term: "Node"

    def __post_init__(self) -> None:
        _household(self.household, self.term)

    @property
    def parts(self) -> tuple["Node", ...]:
        return (self.term,)

    @property
    def type(self) -> Type:
        return INT


@dataclass(frozen=True, slots=True)
class RankAmong(_Node):
    """Which place by age the person takes among the members for whom the condition holds.

    The eldest has 1; whoever does not fulfil the condition has 0; equal birth dates are told apart by key.
    """

    household: str
    term: "Node"
    born: str
    latest: str

    def __post_init__(self) -> None:
        _household(self.household, self.term)
        _named(self.born)
        _sound(isinstance(self.latest, str), "the name of the latest possible day must be a word")

    @property
    def parts(self) -> tuple["Node", ...]:
        return (self.term,)

    @property
    def type(self) -> Type:
        return INT


Node = (
    Literal
    | Fact
    | Parameter
    | Today
    | Until
    | Not
    | Negative
    | And
    | Or
    | Compare
    | Arithmetic
    | Choose
    | OneOf
    | Extreme
    | Under
    | AnyMember
    | CountMembers
    | RankAmong
)

_TAGS: Mapping[str, type[Any]] = {
    "literal": Literal,
    "fact": Fact,
    "parameter": Parameter,
    "today": Today,
    "until": Until,
    "not": Not,
    "negative": Negative,
    "and": And,
    "or": Or,
    "compare": Compare,
    "arithmetic": Arithmetic,
    "choose": Choose,
    "one_of": OneOf,
    "extreme": Extreme,
    "under": Under,
    "any_member": AnyMember,
    "count_members": CountMembers,
    "rank_among": RankAmong,
}
_NAMES = {cls: tag for tag, cls in _TAGS.items()}


def walk(node: Node) -> Iterator[Node]:
    """The node and everything below it."""
    waiting = [node]
    while waiting:
        current = waiting.pop()
        yield current
        waiting.extend(reversed(current.parts))


def measure(node: Node) -> None:
    """Refuses a tree that is larger or deeper than any rule needs to be."""
    level, depth, count = [node], 0, 0
    while level:
        depth, count = depth + 1, count + len(level)
        _need(depth <= MAX_DEPTH, "too-deep", most=MAX_DEPTH)
        _need(count <= MAX_NODES, "too-many-parts", most=MAX_NODES)
        level = [part for upper in level for part in upper.parts]


# --- JSON ---------------------------------------------------------------------------------------------------


def _encode(value: object) -> object:
    match value:
        case _Node():
            pairs = {f.name: _encode(getattr(value, f.name)) for f in fields(cast("Any", value))}
            return {"node": _NAMES[type(value)], **pairs}
        case tuple():
            return [_encode(item) for item in value]
        case Type():
            return str(value)
        case date():
            return value.isoformat()
        case _:
            return value


def _decode(value: object, depth: int = 0) -> Any:
    _need(depth <= 3 * MAX_DEPTH, "too-deep", most=MAX_DEPTH)
    if isinstance(value, list):
        return tuple(_decode(item, depth + 1) for item in value)
    if not isinstance(value, dict):
        return value
    known = _TAGS.get(str(value.get("node")))
    if known is None:
        raise Mismatch("not-a-tree", detail=f"there is no node {value.get('node')!r:.40}")
    names = {f.name for f in fields(known)}
    _sound(set(value) == {"node", *names}, f"a node {value['node']} has exactly the parts {sorted(names)}")
    found = {name: _decode(value[name], depth + 1) for name in names}
    if "type" in found:
        found["type"] = Type.read(str(found["type"]))
        if known is Literal and found["type"] == DAY:
            found["value"] = _day(found["value"])
    return known(**found)


def _day(value: object) -> date:
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise Mismatch("not-a-tree", detail="a day is written 2026-01-31") from None


@dataclass(frozen=True)
class Tree:
    """A rule as it is kept: typed, unchangeable, the same bytes for the same meaning wherever it is written."""

    root: Node

    @property
    def type(self) -> Type:
        """The kind of value that the rule answers with."""
        return self.root.type

    @cached_property
    def canonical(self) -> str:
        """The canonical JSON: sorted keys, no spaces."""
        return canonical_json(_encode(self.root))

    @cached_property
    def tree_hash(self) -> str:
        """SHA-256 of the canonical JSON, in hexadecimal."""
        return hashlib.sha256(self.canonical.encode()).hexdigest()

    def to_json(self) -> Any:
        """The tree as plain lists, mappings and scalars."""
        return _encode(self.root)

    @staticmethod
    def from_json(source: object) -> "Tree":
        """The tree from its JSON (text, or already read), with everything checked again."""
        try:
            root = _decode(json.loads(source) if isinstance(source, str) else source)
        except RecursionError:
            raise Mismatch("too-deep", most=MAX_DEPTH) from None
        except json.JSONDecodeError as error:
            raise Mismatch("not-json", line=error.lineno, column=error.colno) from None
        _nodes(root)
        measure(root)
        return Tree(root)

    def mentions(self) -> frozenset[str]:
        """The facts and kinds of household that the rule looks at."""
        return frozenset(name for node in walk(self.root) for name in _looks_at(node))

    def parameters(self) -> frozenset[str]:
        """The parameters that the rule uses."""
        return frozenset(node.name for node in walk(self.root) if isinstance(node, Parameter))

    @cached_property
    def moments(self) -> tuple[tuple[str, Node], ...]:
        """What can turn as time passes, each with the household whose members it is asked of (empty: the person)."""
        return tuple(dict.fromkeys(_moments(self.root, "")))

    def __str__(self) -> str:
        return show(self.root)


def _moments(node: Node, household: str) -> Iterator[tuple[str, Node]]:
    timeless = isinstance(node, Literal | Parameter) and node.type != DAY
    if isinstance(node, Fact | Until | Under | Literal | Parameter) and not timeless:
        yield household, node
    inside = node.household if isinstance(node, AnyMember | CountMembers | RankAmong) else household
    for part in node.parts:
        yield from _moments(part, inside)


def canonical_json(value: object) -> str:
    """JSON with sorted keys and no spaces: equal values give equal bytes."""
    return _CANONICAL.encode(value)


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _looks_at(node: Node) -> tuple[str, ...]:
    match node:
        case Fact():
            return (node.name,)
        case Until():
            return (node.fact,)
        case Under():
            return (node.born,)
        case AnyMember() | CountMembers():
            return (node.household,)
        case RankAmong():
            return (node.household, node.born)
        case _:
            return ()


# --- back to text -------------------------------------------------------------------------------------------

_CHOICE, _OR, _AND, _RELATION, _SUM, _PRODUCT, _SIGN, _WHOLE = range(8)
_LEVELS = {"+": _SUM, "-": _SUM, "*": _PRODUCT, "/": _PRODUCT, "%": _PRODUCT}


def show(node: Node) -> str:
    """The text that parses to exactly this tree."""
    return _show(node)[1]


def _within(node: Node, level: int) -> str:
    own, text = _show(node)
    return text if own >= level else f"({text})"


def _show(node: Node) -> tuple[int, str]:
    match node:
        case Literal():
            text = show_literal(node)
            if node.type.kind is Kind.ENUM:
                return _WHOLE, f"member({node.type.enum}, {text})"
            return (_SIGN if text.startswith("-") else _WHOLE), text
        case Fact():
            return _WHOLE, node.name
        case Parameter():
            return _WHOLE, f"param.{node.name}"
        case Today():
            return _WHOLE, "today"
        case Until():
            return _WHOLE, f"until({node.fact})"
        case Not():
            return _SIGN, "!" + _within(node.term, _SIGN)
        case Negative():
            # -(1) would read as the literal -1, so numbers keep their brackets.
            number = isinstance(node.term, Literal) and node.term.type == INT
            return _SIGN, f"-({show(node.term)})" if number else "-" + _within(node.term, _WHOLE)
        case And():
            return _AND, " && ".join(_within(term, _RELATION) for term in node.terms)
        case Or():
            return _OR, " || ".join(_within(term, _AND) for term in node.terms)
        case Compare():
            # One side tells of which enum the other is a member.
            right = _beside(node.right, _SUM)
            left = _within(node.left, _SUM) if isinstance(node.right, Literal) else _beside(node.left, _SUM)
            return _RELATION, f"{left} {node.operator} {right}"
        case Arithmetic():
            level = _LEVELS[node.operator]
            return level, f"{_within(node.left, level)} {node.operator} {_within(node.right, level + 1)}"
        case Choose():
            cases = "".join(f"{_within(when, _OR)} ? {_beside(then, _OR)} : " for when, then in node.cases)
            told = any(not isinstance(then, Literal) for _, then in node.cases)
            return _CHOICE, cases + (_beside if told else _within)(node.otherwise, _OR)
        case OneOf():
            return _RELATION, f"{_within(node.item, _SUM)} in [{', '.join(map(show_literal, node.options))}]"
        case Extreme():
            return _WHOLE, f"{node.operator}({', '.join(map(show, node.terms))})"
        case Under():
            at = "" if node.at == "today" else f", {node.at}"
            return _WHOLE, f"under({node.born}, {show(node.years)}{at})"
        case AnyMember() | CountMembers() | RankAmong():
            return _WHOLE, f"{_NAMES[type(node)]}({node.household}, {show(node.term)})"


def _beside(node: Node, level: int) -> str:
    """A part beside another that tells its enum, if it has one."""
    return show_literal(node) if isinstance(node, Literal) else _within(node, level)


def show_literal(literal: Literal) -> str:
    """A written value; a member of an enum as its word alone, for where the enum is told."""
    match literal.type.kind:
        case Kind.BOOL:
            return "true" if literal.value else "false"
        case Kind.INT:
            return str(literal.value)
        case Kind.CENTS:
            return f"cents({literal.value})"
        case Kind.DAY:
            return f'day("{literal.value}")'
        case Kind.STRING | Kind.ENUM:
            return quote(str(literal.value))


def quote(text: str) -> str:
    """A text in quotation marks, with everything escaped that is not plain ASCII."""
    plain = (c if " " <= c <= "~" and c not in '"\\' else f"\\U{ord(c):08x}" for c in text)
    return '"' + "".join(plain) + '"'


# --- what a rule may speak of -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Speakable:
    """A fact as rules know it: its type, an enum's members, and for a day known in part the name of its latest."""

    type: Type
    members: tuple[str, ...] = ()
    latest: str = ""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Everything that a rule may name: facts, parameters and kinds of household."""

    facts: Mapping[str, Speakable]
    parameters: Mapping[str, Type] = field(default_factory=dict)
    households: frozenset[str] = frozenset()
    birth: str = "birth_date"
    """The fact by which ranks within a household are told."""

    def members(self, enum: str) -> tuple[str, ...]:
        """The members of an enum."""
        return next((f.members for f in self.facts.values() if f.type == Type(Kind.ENUM, enum)), ())


def check(tree: Tree, vocabulary: Vocabulary) -> tuple[str, ...]:
    """What in a stored tree the vocabulary of today no longer knows, or knows otherwise."""
    wrong: list[str] = []
    for node in walk(tree.root):
        match node:
            case Fact() if getattr(vocabulary.facts.get(node.name), "type", None) != node.type:
                wrong.append(f"{node.name} is no fact of type {node.type}")
            case Parameter() if vocabulary.parameters.get(node.name) != node.type:
                wrong.append(f"{node.name} is no parameter of type {node.type}")
            case Until() if node.fact not in vocabulary.facts:
                wrong.append(f"{node.fact} is no fact")
            case Under() if getattr(vocabulary.facts.get(node.born), "latest", None) != node.latest:
                wrong.append(f"{node.born} is no day that may be known in part")
            case AnyMember() | CountMembers() | RankAmong() if node.household not in vocabulary.households:
                wrong.append(f"{node.household} is no kind of household")
            case Literal() if node.type.kind is Kind.ENUM and node.value not in vocabulary.members(
                node.type.enum
            ):
                wrong.append(f"{node.value} is no member of {node.type.enum}")
            case _:
                pass
    return tuple(wrong)
