"""Reads a rulebook's YAML, parses its rules, and refuses the whole if a day lacks a rule or an amount."""

import re
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, Literal, cast, get_args

import yaml

from core.errors import Unprocessable
from entitlements.facts.catalogue import CATALOGUE, HOUSEHOLDS, LANGUAGES, ValueNotReadable, vocabulary
from entitlements.language import Kind, Mismatch, RuleError, Tree, Type, Value, Vocabulary, parse
from entitlements.language import tree as t
from entitlements.language.days import ONE_DAY
from entitlements.language.forms import read_form
from entitlements.language.tables import Hit

from .programmes import (
    AllowanceRule,
    AmountRule,
    ChargeRule,
    DatedValue,
    Dependency,
    Ground,
    Origin,
    Outcome,
    Param,
    Parameter,
    ProgrammeRules,
    ReasonTemplate,
    Referral,
    Requirement,
    Rulebook,
    RuleVersion,
    Tariff,
    TariffRule,
    Terms,
    Validity,
    WorkedCase,
)
from .tables import Written, first_fault, line_of, read_ground_rows, read_written

UNITS = {kind.value: Type(kind) for kind in Kind if kind is not Kind.ENUM}
PERIOD = re.compile(r"P(\d{1,2})([MY])")
TARIFF_BITS = 32
NOTHING = t.Tree(t.Literal(t.CENTS, 0))
Shared = Mapping[str, tuple[Ground, ...]]
"""Tables of grounds that several programmes of a city rest on, by name."""


class RulebookError(Unprocessable):
    """A rulebook that cannot stand, with file and line."""

    slug = "rulebook-not-sound"
    title = "The rulebook cannot stand like this"

    def __init__(self, message: str, file: str, line: int) -> None:
        super().__init__(f"{file}, line {line}: {message}", file=file, line=line)
        self.message, self.file, self.line = message, file, line

    def noting(self, more: str) -> "RulebookError":
        """The same, with something added at the end."""
        return RulebookError(self.message + more, self.file, self.line)


class _Section(dict[Any, Any]):
    """A mapping of the file that remembers its line and those of its values, and how it was written."""

    line: int
    lines: dict[Any, int]
    written: str


class _Loader(yaml.SafeLoader):
    """YAML with line numbers, which refuses a key that stands twice."""


EARLIEST, LATEST = date(1900, 1, 1), date(2199, 12, 31)
"""Days of which a rulebook speaks; beyond, calendars end and a day after cannot be named."""
MOST_CENTS = 10**10
"""A hundred million euros: whatever a city of millions adds up of it fits into 64 bits."""


def _section(loader: _Loader, node: yaml.MappingNode) -> Iterable[_Section]:
    section = _Section()
    section.line, section.lines = node.start_mark.line + 1, {}
    section.written = _written(node)
    yield section
    for key_node, value_node in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise yaml.constructor.ConstructorError(None, None, "a key is one word", key_node.start_mark)
        key = loader.construct_object(key_node, deep=True)
        if key in section:
            raise yaml.constructor.ConstructorError(
                None, None, f"{key} stands here twice", key_node.start_mark
            )
        # The text of a block (| or >) begins on the line below its sign.
        block = isinstance(value_node, yaml.ScalarNode) and value_node.style in {"|", ">"}
        section.lines[key] = value_node.start_mark.line + (2 if block else 1)
        section[key] = loader.construct_object(value_node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _section)


def _written(node: yaml.MappingNode) -> str:
    """The lines as they stand in the text, moved to the left margin."""
    start, end = node.start_mark, node.end_mark
    buffer = cast("str", start.buffer)  # kept where a text is read, and only lost where a stream is
    return textwrap.dedent(" " * start.column + buffer[start.pointer : end.pointer]).rstrip()


def _open(path: Path) -> _Section:
    return _section_of(path.read_text(encoding="utf-8"), path.name)


def _section_of(text: str, file: str, loader: type[_Loader] = _Loader) -> _Section:
    try:
        # A subclass of the safe loader: it constructs nothing but plain values and sections.
        content = yaml.load(text, Loader=loader)  # noqa: S506
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "this is not YAML"
        raise RulebookError(str(problem), file, mark.line + 1 if mark else 1) from None
    except (RecursionError, ValueError, AttributeError, KeyError):
        # Brackets deeper than a parser can follow, a day that no calendar has, or what calls itself a day, or a yes
        # or no, and is none.
        raise RulebookError(
            "this is nested too deeply, or holds a value that is not what it calls itself", file, 1
        ) from None
    if not isinstance(content, _Section):
        raise RulebookError("the file must hold a mapping", file, 1)
    return content


class _Page:
    """One section of a file, read key by key; what it does not know, it refuses."""

    def __init__(self, section: object, file: str, above: "_Page | None" = None) -> None:
        if not isinstance(section, _Section):
            raise RulebookError("a mapping is needed here", file, above.section.line if above else 1)
        self.section: _Section = section
        self.file = file
        self.tables: list[tuple[_Page, str, Written]] = [] if above is None else above.tables
        """The decision tables of the file as far as it is read, each with where it stands."""

    def wrong(self, message: str, key: str = "") -> RulebookError:
        return RulebookError(message, self.file, self.section.lines.get(key, self.section.line))

    def only(self, *keys: str) -> None:
        for key in self.section:
            if key not in keys:
                raise self.wrong(f"{key} means nothing here; there is {', '.join(keys)}", key)

    def get(self, key: str, kind: type[Any], default: Any = ...) -> Any:
        if key not in self.section:
            if default is ...:
                raise self.wrong(f"{key} is missing")
            return default
        value = self.section[key]
        if type(value) is not kind and not (value is None and default is None):
            raise self.wrong(f"{key} must be a {kind.__name__}", key)
        if isinstance(value, date) and not EARLIEST <= value <= LATEST:
            raise self.wrong(f"{key} is a day from {EARLIEST.year} to {LATEST.year}", key)
        return value

    def text(self, key: str, default: Any = ...) -> str:
        return cast("str", self.get(key, str, default))

    def day(self, key: str, default: Any = ...) -> date:
        return cast("date", self.get(key, date, default))

    def one_of(self, key: str, words: tuple[str, ...], default: Any = ...) -> Any:
        value = self.get(key, str, default)
        if key in self.section and value not in words:
            raise self.wrong(f"{key} is one of {', '.join(words)}", key)
        return value

    def page(self, key: str) -> "_Page":
        if key not in self.section:
            raise self.wrong(f"{key} is missing")
        return _Page(self.section[key], self.file, self)

    def pages(self, key: str) -> "list[_Page]":
        return [_Page(entry, self.file, self) for entry in self.get(key, list, [])]

    def named(self, key: str) -> "dict[str, _Page]":
        if key not in self.section:
            return {}
        below = self.page(key)
        return {str(name): below.page(name) for name in below.section}

    def named_lists(self, key: str) -> tuple[str, ...]:
        """The names under which lists stand in a section below."""
        return tuple(map(str, self.page(key).section)) if key in self.section else ()

    def label(self) -> Mapping[str, str]:
        label = self.page("label")
        label.only(*LANGUAGES)
        return {language: label.text(language) for language in LANGUAGES}

    def origin(self) -> Origin:
        return Origin(self.text("statute"), self.text("source", ""), self.get("assumption", bool, False))

    def rule(self, key: str, known: Vocabulary, wanted: Type = t.BOOL) -> Tree:
        given = self.section.get(key)
        if isinstance(given, bool):
            given = "true" if given else "false"
        try:
            if isinstance(given, str):
                tree = self._parsed(given, known)
            elif isinstance(given, _Section) and set(given) == {"form"}:
                tree = read_form(given["form"], known)
            elif isinstance(given, _Section) and set(given) == {"table"} and isinstance(given["table"], dict):
                tree, written = read_written(given["table"], known)
                self.tables.append((self, key, written))
            else:
                raise self.wrong(f"{key} must be a rule: a text, a form or a table", key)
        except RuleError as error:
            raise self.misread(error, key) from None
        if tree.type != wanted:
            raise self.wrong(f"{key} must answer with {wanted}, but this is {tree.type}", key)
        return tree

    def _parsed(self, text: str, known: Vocabulary) -> Tree:
        doubts: list[RuleError] = []
        tree = parse(text, known, doubts=doubts)
        for doubt in doubts:
            raise doubt
        return tree

    def misread(self, error: RuleError, key: str) -> RulebookError:
        """A rule that cannot be read, with its line in the file."""
        given = self.section.get(key)
        if error.place:
            below = next(iter(given)) if isinstance(given, _Section) else ""
            line = line_of(given, f"{below}.{error.place}") or self.section.lines[key]
            return RulebookError(f"{error.place}: {error.message}", self.file, line)
        line = self.section.lines[key] + max(error.line, 1) - 1
        column = f" (column {error.column} of {key})" if error.line else ""
        return RulebookError(f"{error.message}{column}", self.file, line)

    def optional_rule(self, key: str, known: Vocabulary, wanted: Type = t.BOOL) -> Tree | None:
        return self.rule(key, known, wanted) if key in self.section else None

    def reason(self, key: str = "reason") -> ReasonTemplate:
        if isinstance(self.section.get(key), _Section):
            reason = self.page(key)
            code = reason.text("code")
            given = sorted((k, v) for k, v in reason.section.items() if k != "code")
            if not all(isinstance(v, str | int | None) for _, v in given):
                raise reason.wrong("the parameters of a reason are words and numbers")
            names: Iterable[tuple[str, Param]] = given
            return ReasonTemplate(code, tuple(names))
        return ReasonTemplate(self.text(key))

    def months(self, key: str) -> int | None:
        if key not in self.section:
            return None
        period = PERIOD.fullmatch(self.text(key))
        if period is None:
            raise self.wrong(f"{key} is a period such as P3M or P1Y", key)
        return int(period[1]) * (12 if period[2] == "Y" else 1)


NOTED = ("statute", "source", "assumption", "note")
NO_LABELS: Mapping[str, Mapping[str, str]] = {}


def load_rulebook(path: Path) -> Rulebook:
    """Reads the rulebook of one city from its folder: `rulebook.yaml`, the programmes, and their worked cases."""
    front = _Page(_open(path / "rulebook.yaml"), "rulebook.yaml")
    front.only("city", "tariffs", "parameters", "grounds", "note")
    tariffs = _tariffs(front)
    files = sorted(
        f for f in path.glob("*.yaml") if f.name != "rulebook.yaml" and not f.name.endswith(".cases.yaml")
    )
    pages = [_Page(_open(file), file.name) for file in files]

    parameters: dict[str, Parameter] = {}
    for page in (front, *pages):
        for name, entry in page.named("parameters").items():
            if name in parameters:
                raise page.page("parameters").wrong(f"the parameter {name} is defined elsewhere too", name)
            parameters[name] = _parameter(name, entry)
    known = vocabulary({name: parameter.type for name, parameter in parameters.items()})

    shared = {name: _grounds(front.page("grounds"), name, known) for name in front.named_lists("grounds")}
    programmes: dict[str, ProgrammeRules] = {}
    for page in pages:
        rules = _programme(page, known, parameters, tariffs, shared)
        if rules.name in programmes:
            raise page.wrong(f"the programme {rules.name} stands in another file too", "programme")
        programmes[rules.name] = rules
    _check_dependencies(pages, programmes)
    cases = tuple(
        case
        for file in sorted(path.glob("*.cases.yaml"))
        for case in _cases(_open(file), file.name, programmes)
    )
    rulebook = Rulebook(front.text("city"), tariffs, parameters, programmes, cases)
    try:
        rulebook.order()
    except ValueError as error:
        raise front.wrong(str(error)) from None
    return rulebook


def _tariffs(front: _Page) -> dict[str, Tariff]:
    tariffs: dict[str, Tariff] = {}
    for name, page in front.named("tariffs").items():
        page.only("bit", "label", "note")
        bit = page.get("bit", int)
        if not 0 <= bit < TARIFF_BITS or any(other.bit == bit for other in tariffs.values()):
            raise page.wrong(f"each tariff has a bit of its own from 0 to {TARIFF_BITS - 1}", "bit")
        tariffs[name] = Tariff(name, bit, page.label())
    return tariffs


def _parameter(name: str, page: _Page) -> Parameter:
    page.only("unit", "values", "note")
    unit = UNITS[page.one_of("unit", tuple(UNITS))]
    values: list[DatedValue] = []
    for entry in page.pages("values"):
        entry.only("from", "value", *NOTED)
        try:
            value = t.Literal(unit, cast("Value", entry.section.get("value"))).value
        except Mismatch:
            raise entry.wrong(f"the value of {name} must be {unit}", "value") from None
        if unit.kind is Kind.CENTS and not -MOST_CENTS <= cast("int", value) <= MOST_CENTS:
            raise entry.wrong(f"the value of {name} is an amount of at most {MOST_CENTS} cents", "value")
        dated = DatedValue(entry.day("from"), value, entry.origin())
        if values and dated.since <= values[-1].since:
            raise entry.wrong(f"the values of {name} stand in the order of their days, each day once", "from")
        values.append(dated)
    if not values:
        raise page.wrong(f"the parameter {name} has no value on any day")
    return Parameter(name, unit, tuple(values))


def _programme(
    page: _Page,
    known: Vocabulary,
    parameters: Mapping[str, Parameter],
    tariffs: Mapping[str, Tariff],
    shared: Shared,
    *,
    labels: Mapping[str, Mapping[str, str]] = NO_LABELS,
) -> ProgrammeRules:
    page.only("programme", "label", "parameters", "versions", *NOTED)
    name = page.text("programme")
    versions: list[RuleVersion] = []
    for entry in page.pages("versions"):
        version = _version(name, entry, known, tariffs, shared)
        before = versions[-1] if versions else None
        if before and (before.until is None or version.since <= before.until):
            raise entry.wrong(
                f"{version.since} has two rules of {name}: the one before must end earlier", "from"
            )
        if before and before.until and version.since > before.until + ONE_DAY:
            raise entry.wrong(
                f"{name} has no rule from {before.until + ONE_DAY} to {version.since - ONE_DAY}", "from"
            )
        for where, key, written in entry.tables:
            fault = first_fault(written, parameters, version.since, version.until)
            if fault is not None:
                on = "" if fault[0] == version.since else f" (from {fault[0]} on)"
                raise where.misread(fault[1], key).noting(on)
        entry.tables.clear()
        for used in sorted({used for tree in version.trees() for used in tree.parameters()}):
            if parameters[used].on(version.since) is None:
                first = parameters[used].values[0].since
                raise entry.wrong(
                    f"{used} has no value before {first}, but this rule counts from {version.since}"
                )
        versions.append(version)
    if not versions:
        raise page.wrong(f"{name} has no rule at all")
    # A programme that stands already need not be named again.
    label = labels[name] if name in labels and "label" not in page.section else page.label()
    return ProgrammeRules(name, label, tuple(versions))


def _version(
    programme: str, page: _Page, known: Vocabulary, tariffs: Mapping[str, Tariff], shared: Shared
) -> RuleVersion:
    page.only(
        *("from", "until", "requires", "grounds", "on_request", "hit", "otherwise", "refer", "validity"),
        *("tariffs", "allowances", "amounts", "charges", "after", *NOTED),
    )
    since, until = page.day("from"), page.get("until", date, None)
    if until is not None and until < since:
        raise page.wrong("a rule ends on or after its first day", "until")
    hit = page.one_of("hit", ("first", "any"), "first")
    if isinstance(page.section.get("grounds"), str):
        grounds = shared[page.one_of("grounds", tuple(shared))]
    elif isinstance(page.section.get("grounds"), _Section):
        grounds, hit = _ground_table(page, known)
    else:
        grounds = _grounds(page, "grounds", known)
    if (asked := page.get("on_request", bool, None)) is not None:
        grounds = tuple(replace(ground, on_request=asked) for ground in grounds)
    return RuleVersion(
        programme=programme,
        since=since,
        until=until,
        origin=page.origin(),
        requirements=tuple(_requirement(entry, known) for entry in page.pages("requires")),
        hit=hit,
        grounds=grounds,
        otherwise=page.reason("otherwise"),
        referrals=tuple(_referral(entry, known) for entry in page.pages("refer")),
        validity=_validity(page.page("validity")),
        tariffs=tuple(_tariff_rule(entry, known, tariffs) for entry in page.pages("tariffs")),
        allowances=tuple(_allowance(entry, known) for entry in page.pages("allowances")),
        amounts=tuple(_amount(entry, known) for entry in page.pages("amounts")),
        charges=tuple(_charge(entry, known, grounds) for entry in page.pages("charges")),
        depends_on=tuple(_dependency(entry) for entry in page.pages("after")),
    )


def _requirement(page: _Page, known: Vocabulary) -> Requirement:
    page.only("when", "reason", *NOTED)
    return Requirement(page.rule("when", known), page.reason(), page.origin())


def _grounds(page: _Page, key: str, known: Vocabulary) -> tuple[Ground, ...]:
    return _told_apart(page, key, tuple(_ground(entry, known) for entry in page.pages(key)))


def _ground_table(page: _Page, known: Vocabulary) -> tuple[tuple[Ground, ...], Literal["first", "any"]]:
    """Grounds as the rows of a decision table: of those that hold the first counts, or where all are collected any."""
    below = page.page("grounds")
    below.only("table")
    if "hit" in page.section:
        raise page.wrong("the table of grounds says itself which hit counts", "hit")
    table = below.page("table")
    try:
        conditions, written = read_ground_rows(table.section, known)
    except RuleError as error:
        raise page.misread(error, "grounds") from None
    page.tables.append((page, "grounds", written))
    grounds = tuple(
        _ground(row, known, when) for row, when in zip(table.pages("rows"), conditions, strict=True)
    )
    return _told_apart(page, "grounds", grounds), "any" if written.hit is Hit.COLLECT else "first"


def _told_apart(page: _Page, key: str, grounds: tuple[Ground, ...]) -> tuple[Ground, ...]:
    if not grounds:
        raise page.wrong("a rule needs at least one ground", key)
    if len({ground.name for ground in grounds}) < len(grounds):
        raise page.wrong("two grounds have the same name", key)
    return grounds


def _ground(page: _Page, known: Vocabulary, when: Tree | None = None) -> Ground:
    page.only("name", "when", "payer", "reason", "on_request", "reaches_back", *NOTED)
    return Ground(
        name=page.text("name"),
        when=page.rule("when", known) if when is None else when,
        payer=page.text("payer", None),
        reason=page.reason(),
        origin=page.origin(),
        on_request=page.get("on_request", bool, False),
        reaches_back=page.months("reaches_back"),
    )


def _referral(page: _Page, known: Vocabulary) -> Referral:
    page.only("when", "reason", "even_if_granted", *NOTED)
    always = page.get("even_if_granted", bool, False)
    return Referral(page.rule("when", known), page.reason(), page.origin(), always)


def _validity(page: _Page) -> Validity:
    page.only("length", "ends_with", "round_up", *NOTED)
    ends_with = page.one_of("ends_with", ("ground", "condition"), None)
    round_up = page.one_of("round_up", ("month", "quarter", "year"), None)
    return Validity(page.months("length"), ends_with, round_up)


def _tariff_rule(page: _Page, known: Vocabulary, tariffs: Mapping[str, Tariff]) -> TariffRule:
    page.only("name", "when", *NOTED)
    name = page.one_of("name", tuple(tariffs))
    return TariffRule(name, page.optional_rule("when", known))


def _allowance(page: _Page, known: Vocabulary) -> AllowanceRule:
    page.only(
        *("kind", "terms", "monthly", "unit_ceiling", "ceiling"),
        *("when", "accrual", "carry_over", "grace", *NOTED),
    )
    page.months("grace")
    terms = page.one_of("terms", get_args(Terms), "monthly")
    by_month = terms == "monthly"
    for key in ("unit_ceiling", "ceiling") if by_month else ("monthly", "accrual", "carry_over"):
        if key in page.section:
            raise page.wrong(f"{key} means nothing where the terms are {terms}", key)
    return AllowanceRule(
        kind=page.text("kind"),
        monthly=page.rule("monthly", known, t.CENTS) if by_month else NOTHING,
        when=page.optional_rule("when", known),
        accrual=page.one_of("accrual", ("monthly", "upfront")) if by_month else "monthly",
        carry_over=page.one_of("carry_over", ("none", "within_approval", "to_next_approval"))
        if by_month
        else "none",
        grace=page.text("grace", "P0M"),
        origin=page.origin(),
        terms=terms,
        unit_ceiling=page.optional_rule("unit_ceiling", known, t.CENTS),
        ceiling=page.optional_rule("ceiling", known, t.CENTS),
    )


def _amount(page: _Page, known: Vocabulary) -> AmountRule:
    page.only("kind", "cents", "due", "when", *NOTED)
    try:
        # 2001 is a common year: 29 February would not come every year.
        due = date.fromisoformat(f"2001-{page.text('due')}")
    except ValueError:
        raise page.wrong("due is a day of every year such as 08-01, in quotation marks", "due") from None
    return AmountRule(
        kind=page.text("kind"),
        cents=page.rule("cents", known, t.CENTS),
        month=due.month,
        day=due.day,
        when=page.optional_rule("when", known),
        origin=page.origin(),
    )


def _charge(page: _Page, known: Vocabulary, grounds: tuple[Ground, ...]) -> ChargeRule:
    page.only("kind", "monthly", "when", "grounds", *NOTED)
    names = tuple(page.get("grounds", list, []))
    if not all(isinstance(name, str) and name in {ground.name for ground in grounds} for name in names):
        raise page.wrong("a charge names grounds of its own rule", "grounds")
    monthly, when = page.rule("monthly", known, t.CENTS), page.optional_rule("when", known)
    return ChargeRule(page.text("kind"), monthly, when, names, page.origin())


def _dependency(page: _Page) -> Dependency:
    page.only("programme", "outcomes")
    outcomes = page.get("outcomes", list)
    allowed = (Outcome.GRANTED.value, Outcome.REFUSED.value)
    if not outcomes or not all(outcome in allowed for outcome in outcomes):
        raise page.wrong("outcomes lists granted, refused or both", "outcomes")
    return Dependency(page.text("programme"), tuple(Outcome(outcome) for outcome in outcomes))


def _check_dependencies(pages: list[_Page], programmes: Mapping[str, ProgrammeRules]) -> None:
    for page in pages:
        for entry in page.pages("versions"):
            for after in entry.pages("after"):
                if after.text("programme") not in programmes:
                    raise after.wrong("there is no such programme in this rulebook", "programme")


def _cases(content: _Section, file: str, programmes: Mapping[str, ProgrammeRules]) -> Iterable[WorkedCase]:
    front = _Page(content, file)
    front.only("programme", "cases", "note")
    programme = front.one_of("programme", tuple(programmes))
    for page in front.pages("cases"):
        page.only("name", "day", "facts", "rest_absent", "households", "expect", "note")
        facts = _facts(page.page("facts"))
        households = {}
        for kind in page.page("households").section if "households" in page.section else ():
            if kind not in HOUSEHOLDS:
                raise page.wrong(f"{kind} is no kind of household", "households")
            members = page.page("households").pages(kind)
            households[kind] = tuple(_facts(member) for member in members)
        yield WorkedCase(
            programme=programme,
            name=page.text("name"),
            day=page.day("day"),
            facts=facts,
            households=households,
            rest_absent=page.get("rest_absent", bool, False),
            expect=page.page("expect").section,
            file=file,
            line=page.section.line,
        )


def _facts(page: _Page) -> _Section:
    """What a worked case states of one person: values, or values with the days they hold and who says so."""
    page.only(*CATALOGUE)
    for name, given in page.section.items():
        value = given
        if isinstance(given, _Section):
            details = page.page(name)
            details.only("value", "since", "until", "register")
            since = details.day("since") if "since" in details.section else EARLIEST
            until = details.get("until", date, None)
            if until is not None and until < since:
                raise details.wrong(f"{name} ends on or after its first day", "until")
            details.text("register", None)
            value = details.section.get("value")
        try:
            CATALOGUE[name].read(value)
        except ValueNotReadable as error:
            raise page.wrong(str(error), name) from None
    return page.section
