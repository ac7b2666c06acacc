"""Condition forms: a rule as a page lets somebody put it together, group by group and condition by condition.

A closed list of kinds of condition says which facts each fits and which fields it has; a page is built from that list.
A form becomes the same tree as text does, and a tree becomes a form where it can.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, cast

from . import tree as t
from .messages import Mismatch, RuleError, catalogue
from .tree import Kind, Node, Tree, Type, Vocabulary

MAX_DEPTH = 30
GROUPS = ("all", "any", "not")
ORDER = ("==", "!=", "<", "<=", ">", ">=")
EQUALITY = ("==", "!=")
Form = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a condition: its name, and what a page offers there."""

    name: str
    input: str
    """fact, household, operator, value, values, percent, years, age-day or condition."""
    operators: tuple[str, ...] = ()
    optional: bool = False


@dataclass(frozen=True, slots=True)
class ConditionKind:
    """A kind of condition that a form can hold."""

    name: str
    fits: tuple[Kind, ...]
    """The types of fact that it can be asked of; empty where it asks of no single fact."""
    fields: tuple[Field, ...]
    read: Callable[["_Reader", Mapping[str, object]], Node]
    write: Callable[[Node], Form | None]

    def label(self, language: str) -> str:
        """What a page calls it."""
        return str(catalogue()["conditions"][self.name][language])


def read_form(source: object, vocabulary: Vocabulary) -> Tree:
    """The rule that a form is; RuleError with the field that is wrong, such as `all[1].value`."""
    reader = _Reader(vocabulary, source, "", 0)
    root = reader.condition()
    try:
        t.measure(root)
    except Mismatch as error:
        raise RuleError(error) from None
    return Tree(root)


def as_form(tree: Tree) -> Form | None:
    """A form that becomes exactly this tree; `None` where there is none."""
    return _write(tree.root)


# --- reading --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Reader:
    """One group or condition of a form, and where it stands."""

    vocabulary: Vocabulary
    source: object
    place: str
    depth: int

    def wrong(self, mismatch: Mismatch, field: str = "") -> RuleError:
        place = ".".join(part for part in (self.place, field) if part)
        return RuleError(mismatch).at(place or "form")

    def below(self, source: object, place: str) -> "_Reader":
        whole = f"{self.place}.{place}" if self.place else place
        return _Reader(self.vocabulary, source, whole, self.depth + 1)

    def make(self, build: Callable[[], Node], field: str = "") -> Node:
        try:
            return build()
        except Mismatch as error:
            raise self.wrong(error, field) from None

    def condition(self) -> Node:
        if self.depth > MAX_DEPTH:
            raise self.wrong(Mismatch("form-too-deep", most=MAX_DEPTH))
        source = self.source
        if not isinstance(source, dict):
            raise self.wrong(Mismatch("form-shape"))
        if len(source) == 1 and (group := next(iter(source))) in GROUPS:
            return self.group(str(group), source[group])
        kind = source.get("kind")
        if not isinstance(kind, str):
            raise self.wrong(Mismatch("form-shape"))
        known = CONDITIONS.get(kind)
        if known is None:
            raise self.wrong(Mismatch("form-kind", found=kind, allowed=tuple(CONDITIONS)), "kind")
        names = tuple(field.name for field in known.fields)
        for name in source:
            if name not in {"kind", *names}:
                raise self.wrong(Mismatch("form-field", found=str(name), allowed=names), str(name))
        for field in known.fields:
            if field.name not in source and not field.optional:
                raise self.wrong(Mismatch("form-field-missing", found=field.name), field.name)
        return known.read(self, cast("Mapping[str, object]", source))

    def group(self, group: str, inside: object) -> Node:
        if group == "not":
            term = self.below(inside, "not").condition()
            return self.make(lambda: t.Not(term))
        if not isinstance(inside, list) or len(inside) < 2:
            raise self.wrong(Mismatch("form-empty"), group)
        terms = tuple(self.below(part, f"{group}[{n}]").condition() for n, part in enumerate(inside))
        return self.make(lambda: (t.And if group == "all" else t.Or)(terms))

    # --- fields ---------------------------------------------------------------------------------------------

    def fact(self, source: Mapping[str, object], kind: "ConditionKind", field: str = "fact") -> t.Fact:
        name = source[field]
        speakable = self.vocabulary.facts.get(name) if isinstance(name, str) else None
        if speakable is None:
            raise self.wrong(Mismatch("unknown-fact", advice="see-the-list", found=str(name)), field)
        if speakable.latest:
            raise self.wrong(Mismatch("known-in-part", found=str(name)), field)
        if speakable.type.kind not in kind.fits:
            misfit = Mismatch(
                "form-fact-type", kind=kind.name, allowed=kind.fits, found=str(name), type=str(speakable.type)
            )
            raise self.wrong(misfit, field)
        return t.Fact(str(name), speakable.type)

    def household(self, source: Mapping[str, object]) -> str:
        name = source["household"]
        kinds = tuple(sorted(self.vocabulary.households))
        if not isinstance(name, str) or name not in kinds:
            raise self.wrong(Mismatch("unknown-household", found=str(name), allowed=kinds), "household")
        return name

    def operator(self, source: Mapping[str, object], allowed: tuple[str, ...]) -> str:
        operator = source["operator"]
        if operator not in allowed:
            raise self.wrong(Mismatch("form-operator", found=str(operator), allowed=allowed), "operator")
        return str(operator)

    def value(self, given: Any, type_: Type, field: str = "value") -> Node:
        """A written value, `{"parameter": name}`, `{"fact": name}` of the same type, or the word today."""
        match given:
            case {"parameter": str(name)} if len(given) == 1:
                known = self.vocabulary.parameters.get(name)
                if known is None:
                    unknown = Mismatch(
                        "unknown-parameter",
                        advice="there-are",
                        found=name,
                        allowed=tuple(sorted(self.vocabulary.parameters)),
                    )
                    raise self.wrong(unknown, field)
                return t.Parameter(name, known)
            case {"fact": str(name)} if len(given) == 1:
                speakable = self.vocabulary.facts.get(name)
                if speakable is None or speakable.latest:
                    code = "unknown-fact" if speakable is None else "known-in-part"
                    raise self.wrong(Mismatch(code, found=name), field)
                return t.Fact(name, speakable.type)
            case "today" if type_ == t.DAY:
                return t.Today()
        return self.literal(given, type_, field)

    def literal(self, given: object, type_: Type, field: str) -> t.Literal:
        value: Any = given
        if type_ == t.DAY and isinstance(given, str):
            try:
                value = date.fromisoformat(given) if len(given) == len("2026-01-31") else given
            except ValueError:
                raise self.wrong(Mismatch("no-such-day"), field) from None
        if type_.kind is Kind.ENUM:
            members = self.vocabulary.members(type_.enum)
            if value not in members:
                stray = Mismatch("not-a-member", found=str(given), enum=type_.enum, allowed=members)
                raise self.wrong(stray, field)
        try:
            return t.Literal(type_, value)
        except Mismatch as error:
            told = Mismatch("form-value", expected=str(type_)) if error.code == "literal-type" else error
            raise self.wrong(told, field) from None

    def compare(self, source: Mapping[str, object], left: Node, allowed: tuple[str, ...]) -> Node:
        operator, right = self.operator(source, allowed), self.value(source["value"], left.type)
        return self.make(lambda: t.Compare(operator, left, right), "value")


# --- writing --------------------------------------------------------------------------------------------------


def _write(node: Node) -> Form | None:
    for kind in CONDITIONS.values():
        form = kind.write(node)
        if form is not None:
            return {"kind": kind.name, **form}
    match node:
        case t.And() | t.Or():
            below = [_write(term) for term in node.terms]
            return None if None in below else {"all" if isinstance(node, t.And) else "any": below}
        case t.Not():
            inside = _write(node.term)
            return None if inside is None else {"not": inside}
    return None


def _written(node: Node) -> tuple[object] | None:
    """The value of a field, in a tuple of its own; `None` where a form cannot hold it."""
    match node:
        case t.Literal():
            return (node.value.isoformat() if isinstance(node.value, date) else node.value,)
        case t.Parameter():
            return ({"parameter": node.name},)
        case t.Fact():
            return ({"fact": node.name},)
        case t.Today():
            return ("today",)
    return None


# --- the closed list ------------------------------------------------------------------------------------------


def _read_holds(reader: _Reader, source: Mapping[str, object]) -> Node:
    return reader.fact(source, CONDITIONS["holds"])


def _write_holds(node: Node) -> Form | None:
    return {"fact": node.name} if isinstance(node, t.Fact) and node.type == t.BOOL else None


def _read_does_not_hold(reader: _Reader, source: Mapping[str, object]) -> Node:
    return t.Not(reader.fact(source, CONDITIONS["does_not_hold"]))


def _write_does_not_hold(node: Node) -> Form | None:
    return _write_holds(node.term) if isinstance(node, t.Not) else None


def _read_compares(reader: _Reader, source: Mapping[str, object]) -> Node:
    fact = reader.fact(source, CONDITIONS["compares"])
    return reader.compare(source, fact, ORDER if fact.type.kind in t.ORDERED else EQUALITY)


def _write_compares(node: Node) -> Form | None:
    match node:
        case t.Compare(operator, t.Fact() as fact, right) if fact.type != t.BOOL:
            value = _written(right)
            return value and {"fact": fact.name, "operator": operator, "value": value[0]}
    return None


def _read_is_one_of(reader: _Reader, source: Mapping[str, object]) -> Node:
    fact, values = reader.fact(source, CONDITIONS["is_one_of"]), source["values"]
    if not isinstance(values, list):
        raise reader.wrong(Mismatch("form-values", expected=str(fact.type)), "values")
    options = tuple(reader.literal(value, fact.type, f"values[{n}]") for n, value in enumerate(values))
    return t.OneOf(fact, options)


def _write_is_one_of(node: Node) -> Form | None:
    match node:
        case t.OneOf(t.Fact() as fact, options) if fact.type != t.BOOL:
            values = [value[0] for option in options if (value := _written(option)) is not None]
            return {"fact": fact.name, "values": values}
    return None


def _read_age(reader: _Reader, source: Mapping[str, object]) -> t.Under:
    name = source["fact"]
    speakable = reader.vocabulary.facts.get(name) if isinstance(name, str) else None
    if speakable is None:
        raise reader.wrong(Mismatch("unknown-fact", advice="see-the-list", found=str(name)), "fact")
    if speakable.type != t.DAY:
        raise reader.wrong(Mismatch("under-of", found=str(name), type=str(speakable.type)), "fact")
    years, at = reader.value(source["years"], t.INT, "years"), source.get("at", "today")
    made = reader.make(lambda: t.Under(str(name), speakable.latest, years, cast("str", at)), "years")
    assert isinstance(made, t.Under)
    return made


def _read_has_reached(reader: _Reader, source: Mapping[str, object]) -> Node:
    return t.Not(_read_age(reader, source))


def _write_younger(node: Node) -> Form | None:
    if not isinstance(node, t.Under):
        return None
    years = _written(node.years)
    at = {} if node.at == "today" else {"at": node.at}
    return years and {"fact": node.born, "years": years[0], **at}


def _write_has_reached(node: Node) -> Form | None:
    return _write_younger(node.term) if isinstance(node, t.Not) else None


def _read_stated_until(reader: _Reader, source: Mapping[str, object]) -> Node:
    name = source["fact"]
    if not isinstance(name, str) or name not in reader.vocabulary.facts:
        raise reader.wrong(Mismatch("unknown-fact", advice="see-the-list", found=str(name)), "fact")
    return reader.compare(source, t.Until(name), ORDER)


def _write_stated_until(node: Node) -> Form | None:
    match node:
        case t.Compare(operator, t.Until(fact), right):
            value = _written(right)
            return value and {"fact": fact, "operator": operator, "value": value[0]}
    return None


def _read_share(reader: _Reader, source: Mapping[str, object]) -> Node:
    kind = CONDITIONS["share"]
    fact, other = reader.fact(source, kind), reader.fact(source, kind, "of")
    operator, percent = reader.operator(source, ORDER), reader.value(source["percent"], t.INT, "percent")
    sound = percent.type == t.INT and isinstance(percent, t.Literal | t.Parameter)
    if not sound or (isinstance(percent, t.Literal) and not 1 <= cast("int", percent.value) <= 10_000):
        raise reader.wrong(Mismatch("form-percent"), "percent")

    def build() -> Node:
        hundred = t.Arithmetic("*", fact, t.Literal(t.INT, 100))
        return t.Compare(operator, hundred, t.Arithmetic("*", other, percent))

    return reader.make(build, "of")


def _write_share(node: Node) -> Form | None:
    match node:
        case t.Compare(
            operator,
            t.Arithmetic("*", t.Fact() as fact, t.Literal(_, 100)),
            t.Arithmetic("*", t.Fact() as other, (t.Literal() | t.Parameter()) as percent),
        ) if fact.type == other.type:
            if isinstance(percent, t.Literal) and not 1 <= cast("int", percent.value) <= 10_000:
                return None
            value = _written(percent)
            return value and {"fact": fact.name, "operator": operator, "percent": value[0], "of": other.name}
    return None


def _member(reader: _Reader, source: Mapping[str, object]) -> tuple[str, Node]:
    return reader.household(source), reader.below(source["condition"], "condition").condition()


def _read_any_member(reader: _Reader, source: Mapping[str, object]) -> Node:
    household, term = _member(reader, source)
    return reader.make(lambda: t.AnyMember(household, term), "condition")


def _write_any_member(node: Node) -> Form | None:
    if not isinstance(node, t.AnyMember):
        return None
    inside = _write(node.term)
    return inside and {"household": node.household, "condition": inside}


def _read_count(reader: _Reader, source: Mapping[str, object]) -> Node:
    household, term = _member(reader, source)
    counted = reader.make(lambda: t.CountMembers(household, term), "condition")
    return reader.compare(source, counted, ORDER)


def _read_rank(reader: _Reader, source: Mapping[str, object]) -> Node:
    household, term = _member(reader, source)
    birth = reader.vocabulary.birth
    if birth not in reader.vocabulary.facts:
        raise reader.wrong(Mismatch("no-birth-date", found=birth))
    latest = reader.vocabulary.facts[birth].latest
    ranked = reader.make(lambda: t.RankAmong(household, term, birth, latest), "condition")
    return reader.compare(source, ranked, ORDER)


def _writer_of_numbers(kind: type[t.CountMembers | t.RankAmong]) -> Callable[[Node], Form | None]:
    def write(node: Node) -> Form | None:
        if not isinstance(node, t.Compare) or not isinstance(node.left, kind):
            return None
        inside, value = _write(node.left.term), _written(node.right)
        if inside is None or value is None:
            return None
        return {
            "household": node.left.household,
            "condition": inside,
            "operator": node.operator,
            "value": value[0],
        }

    return write


def _read_always(_reader: _Reader, _source: Mapping[str, object]) -> Node:
    return t.Literal(t.BOOL, value=True)


def _write_always(node: Node) -> Form | None:
    return {} if node == t.Literal(t.BOOL, value=True) else None


def _read_never(_reader: _Reader, _source: Mapping[str, object]) -> Node:
    return t.Literal(t.BOOL, value=False)


def _write_never(node: Node) -> Form | None:
    return {} if node == t.Literal(t.BOOL, value=False) else None


_FACT = Field("fact", "fact")
_COMPARED = (Field("operator", "operator", ORDER), Field("value", "value"))
_AGE = (_FACT, Field("years", "years"), Field("at", "age-day", optional=True))
_ASKED = (Field("household", "household"), Field("condition", "condition"))
_NUMBERED = (Kind.INT, Kind.CENTS)


def _listed(*kinds: ConditionKind) -> Mapping[str, ConditionKind]:
    return {kind.name: kind for kind in kinds}


CONDITIONS: Mapping[str, ConditionKind] = _listed(
    ConditionKind("holds", (Kind.BOOL,), (_FACT,), _read_holds, _write_holds),
    ConditionKind("does_not_hold", (Kind.BOOL,), (_FACT,), _read_does_not_hold, _write_does_not_hold),
    ConditionKind(
        "compares",
        (Kind.INT, Kind.CENTS, Kind.DAY, Kind.ENUM, Kind.STRING),
        (_FACT, *_COMPARED),
        _read_compares,
        _write_compares,
    ),
    ConditionKind(
        "is_one_of",
        (Kind.ENUM, Kind.INT, Kind.CENTS, Kind.DAY, Kind.STRING),
        (_FACT, Field("values", "values")),
        _read_is_one_of,
        _write_is_one_of,
    ),
    ConditionKind("younger_than", (Kind.DAY,), _AGE, _read_age, _write_younger),
    ConditionKind("has_reached", (Kind.DAY,), _AGE, _read_has_reached, _write_has_reached),
    ConditionKind("stated_until", tuple(Kind), (_FACT, *_COMPARED), _read_stated_until, _write_stated_until),
    ConditionKind(
        "share",
        _NUMBERED,
        (_FACT, Field("operator", "operator", ORDER), Field("percent", "percent"), Field("of", "fact")),
        _read_share,
        _write_share,
    ),
    ConditionKind("any_member", (), _ASKED, _read_any_member, _write_any_member),
    ConditionKind(
        "count_members", (), (*_ASKED, *_COMPARED), _read_count, _writer_of_numbers(t.CountMembers)
    ),
    ConditionKind("rank_among", (), (*_ASKED, *_COMPARED), _read_rank, _writer_of_numbers(t.RankAmong)),
    ConditionKind("always", (), (), _read_always, _write_always),
    ConditionKind("never", (), (), _read_never, _write_never),
)


def kinds_for(fits: Kind) -> Iterable[ConditionKind]:
    """The kinds of condition that can be asked of a fact of this type."""
    return (kind for kind in CONDITIONS.values() if fits in kind.fits)
