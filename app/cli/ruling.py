"""Try a rule by hand or by the thousand: what it says of some facts, by both back ends side by side."""

import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo

import click

from app.cli.releasing import check, load
from core.clock import SystemClock, day_of
from core.settings import Settings
from entitlements.facts.catalogue import (
    CATALOGUE,
    HOUSEHOLDS,
    RULEBOOKS,
    ValueNotReadable,
    department_to_ask,
    vocabulary,
)
from entitlements.language import (
    Fault,
    Kind,
    Known,
    Mismatch,
    Result,
    RuleError,
    Speakable,
    Stated,
    Subject,
    Tree,
    Type,
    Unknown,
    Value,
    Vocabulary,
    evaluate,
    parse,
)
from entitlements.language.forms import as_form, read_form
from entitlements.language.messages import LANGUAGES
from entitlements.language.sql import answer
from entitlements.language.sql.together import MOST, Case, Together
from entitlements.language.syntax import RESERVED
from entitlements.language.tables import as_table, faults, read_table
from entitlements.language.tree import INT_MAX, INT_MIN
from entitlements.rulebook.cases import subject_of
from entitlements.rulebook.programmes import WorkedCase
from entitlements.rulebook.rules import RulebookError, load_rulebook

ANY_DAY = date(2000, 1, 1)
ANY_MOMENT = datetime(2000, 1, 1, tzinfo=UTC)
AT_ONCE = 4 * MOST
BACK_ENDS = ("interpreter", "sql")
_ENUM = re.compile(r"enum\s*\((.*)\)", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TAKEN = RESERVED | {"true", "false", "null", "today", "param"}
_TYPES = tuple(kind.value for kind in Kind if kind is not Kind.ENUM)

Said = dict[str, Any]


@click.group()
def rules() -> None:
    """What rules say."""


@rules.command("try")
@click.option("--expr", help="The rule, for example: sgb2 && under(birth_date, 18)")
@click.option("--form", help="The rule as a condition form, as JSON or @file.")
@click.option("--table", help="The rule as a decision table, as JSON or @file.")
@click.option("--show", is_flag=True, help="Also print the rule as text, form and table, where it can be.")
@click.option(
    "--facts",
    default="{}",
    help='What is known, as JSON or @file: {"sgb2": true, "kiz": {"value": true, "until": "2026-12-31"}}. '
    "What is not named is unknown.",
)
@click.option(
    "--households",
    default="{}",
    help='Who else is in each kind of household, as JSON or @file: {"registered_household": [{"kiz": true}]}.',
)
@click.option("--rest-absent", is_flag=True, help="Read silence as the registers' complete lists mean it.")
@click.option("--on", type=click.DateTime(["%Y-%m-%d"]), help="The day to decide for; otherwise today.")
@click.option(
    "--city",
    envvar="CITYCARD_CITY",
    default=Settings.model_fields["city"].default,
    show_default=True,
    help="Whose amounts stand behind param.name.",
)
@click.option(
    "--lang", "language", type=click.Choice(LANGUAGES), default="en", help="The language of complaints."
)
@click.option(
    "--json",
    "by_line",
    is_flag=True,
    help='Read one case per line from standard input: {"expr": "x > 1", "vars": {"x": {"type": "int", "value": 2}}}.',
)
def try_(  # noqa: PLR0917  (the options of a command)
    expr: str | None,
    form: str | None,
    table: str | None,
    facts: str,
    households: str,
    on: datetime | None,
    city: str,
    language: str,
    *,
    show: bool,
    rest_absent: bool,
    by_line: bool,
) -> None:
    """Ask both back ends what a rule says; fail if they differ.

    Each says {"value": …}, {"unknown": [what is missing]} or {"error": …}. The types of --json are bool, int, string,
    enum(a, b), day and cents; a value that is null is unknown.
    """
    if by_line:
        answer_lines(sys.stdin.buffer)
        return
    if sum(given is not None for given in (expr, form, table)) != 1:
        raise click.UsageError("give one rule with --expr, --form or --table, or cases with --json")
    day = (
        on.date() if on else day_of(SystemClock().now(), ZoneInfo(Settings.model_fields["time_zone"].default))
    )
    subject = _person(
        _object("--facts", facts), _object("--households", households), day, rest_absent=rest_absent
    )
    doubts: list[RuleError] = []
    try:
        rulebook = load_rulebook(RULEBOOKS / city)
        known = vocabulary({name: parameter.type for name, parameter in rulebook.parameters.items()})
        if form is not None:
            tree = read_form(_object("--form", form), known)
        elif table is not None:
            read = read_table(_object("--table", table), known)
            doubts, tree = faults(read, rulebook.parameters_on(day)), read.tree()
        else:
            tree = parse(expr or "", known, doubts=doubts)
        said = both(tree, subject, rulebook.parameters_on(day), day)
    except RuleError as error:
        raise click.ClickException(_complaint(error, expr, language)) from None
    except (Mismatch, RulebookError, OSError) as error:
        raise click.ClickException(str(error)) from None
    for back_end, words in _told(**said).items():
        click.echo(f"{back_end:12} {json.dumps(words, ensure_ascii=False)}")
    for missing in sorted(_missing(said["interpreter"])):
        click.echo(f"{'':12} {missing}: ask {department_to_ask(missing)}")
    for doubt in doubts:
        click.echo(f"{'doubt':12} {_complaint(doubt, None, language)}")
    if show:
        _show(tree)
    if said["interpreter"] != said["sql"]:
        sys.exit(1)


def _complaint(error: RuleError, text: str | None, language: str) -> str:
    excerpt = error.excerpt(text) if text is not None and not error.place else ""
    return "\n".join(part for part in (error.complaint(language), excerpt) if part)


def _show(tree: Tree) -> None:
    form, table = as_form(tree), as_table(tree)
    click.echo(f"{'text':12} {tree}")
    for name, written in (("form", form), ("table", table and table.to_json())):
        click.echo(f"{name:12} {json.dumps(written, ensure_ascii=False) if written else 'cannot be'}")


def both(tree: Tree, subject: Subject, parameters: Mapping[str, Value], on: date) -> dict[str, Result]:
    """What each back end says of one person."""
    return {
        "interpreter": evaluate(tree, subject, parameters, on),
        "sql": answer(tree, subject, parameters, on),
    }


def _missing(result: Result) -> frozenset[str]:
    return result.facts if isinstance(result, Unknown) else frozenset()


def _told(interpreter: Result, sql: Result) -> dict[str, Said]:
    """Both answers in words; where neither has a result, SQL does not tell why, and the interpreter does."""
    if isinstance(interpreter, Fault) and interpreter == sql:
        sql = interpreter
    return dict(zip(BACK_ENDS, (_said(interpreter), _said(sql)), strict=True))


def _said(result: Result) -> Said:
    match result:
        case Known(value):
            return {"value": value.isoformat() if isinstance(value, date) else value}
        case Unknown(facts):
            return {"unknown": sorted(facts)}
        case Fault():
            return {"error": result.code}


# --- one person of the city -----------------------------------------------------------------------------------


def _object(option: str, given: str) -> dict[str, Any]:
    try:
        text = Path(given[1:]).read_text(encoding="utf-8") if given.startswith("@") else given
        found = json.loads(text)
    except (OSError, ValueError) as error:
        raise click.BadParameter(f"cannot be read: {error}", param_hint=option) from None
    if not isinstance(found, dict):
        raise click.BadParameter("is a JSON object", param_hint=option)
    return found


def _person(
    facts: Mapping[str, Any], households: Mapping[str, Any], day: date, *, rest_absent: bool
) -> Subject:
    """The person as a worked case describes one."""
    for named in (facts, *(member for members in households.values() for member in members)):
        for name in named:
            if name not in CATALOGUE:
                raise click.BadParameter(f"there is no fact {name}", param_hint="--facts")
    for kind in households:
        if kind not in HOUSEHOLDS:
            raise click.BadParameter(f"there is no kind of household {kind}", param_hint="--households")
    case = WorkedCase(
        programme="",
        name="",
        day=day,
        facts={name: _dated(given) for name, given in facts.items()},
        households={
            kind: tuple({name: _dated(given) for name, given in member.items()} for member in members)
            for kind, members in households.items()
        },
        rest_absent=rest_absent,
        expect={},
        file="",
        line=0,
    )
    try:
        return subject_of(case)
    except (KeyError, ValueNotReadable) as error:
        raise click.BadParameter(str(error), param_hint="--facts") from None


def _dated(given: Any) -> Any:
    """A fact with its days, which JSON can only write as texts."""
    if not isinstance(given, dict):
        return given
    try:
        return given | {end: date.fromisoformat(given[end]) for end in ("since", "until") if given.get(end)}
    except (TypeError, ValueError):
        raise click.BadParameter(
            "since and until are days such as 2026-01-31", param_hint="--facts"
        ) from None


# --- cases by the line ----------------------------------------------------------------------------------------


class _NotACase(ValueError):
    """A line that asks nothing that a rule could answer."""


def answer_lines(lines: BinaryIO) -> None:
    """Answers every line in its order: many at once while many wait, and the last one without waiting for more."""
    waiting: Queue[bytes | None] = Queue(maxsize=2 * AT_ONCE)

    def read() -> None:
        for line in lines:
            waiting.put(line)
        waiting.put(None)

    Thread(target=read, daemon=True).start()
    with Together() as together:
        ended = False
        while not ended:
            bundle = [waiting.get()]
            with suppress(Empty):
                while bundle[-1] is not None and len(bundle) < AT_ONCE:
                    bundle.append(waiting.get_nowait())
            ended = bundle[-1] is None
            asked = [line for line in bundle if line is not None and line.strip()]
            for said in answers(asked, together):
                click.echo(json.dumps(said))


def answers(lines: Iterable[bytes], together: Together) -> list[dict[str, Said]]:
    """What both back ends say of each case; what cannot be read is an error for both."""
    read = [_read_line(line) for line in lines]
    by_sql = iter(together.answers([case for case in read if isinstance(case, Case)], {}, ANY_DAY))
    found: list[dict[str, Said]] = []
    for case in read:
        if isinstance(case, Case):
            found.append(_told(evaluate(case.tree, case.subject, {}, ANY_DAY), next(by_sql)))
        else:
            found.append({back_end: {"error": case} for back_end in BACK_ENDS})
    return found


def _read_line(line: bytes) -> Case | str:
    try:
        case = _json(line)
        if not isinstance(case, dict) or not isinstance(case.get("expr"), str):
            raise _NotACase(f'a case is an object with "expr", a text; write {_EXAMPLE}')
        known, stated = _variables({} if case.get("vars") is None else case["vars"])
        return Case(parse(case["expr"], known), Subject("case", stated))
    except ValueError as error:
        return str(error)


_EXAMPLE = '{"expr": "x > 1", "vars": {"x": {"type": "int", "value": 2}}}'


def _json(line: bytes) -> Any:
    try:
        return json.loads(line, object_pairs_hook=_each_once)
    except _NotACase:
        raise
    except UnicodeDecodeError as error:
        raise _NotACase(f"byte {error.start + 1} of this line is no UTF-8; write UTF-8") from None
    except json.JSONDecodeError as error:
        raise _NotACase(f"column {error.colno}: this is no JSON ({error.msg}); write {_EXAMPLE}") from None
    except RecursionError:
        raise _NotACase(f"brackets are nested deeper than any case needs; write {_EXAMPLE}") from None
    except ValueError:
        raise _NotACase("a number here has thousands of digits; whole numbers have at most 64 bits") from None


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for name, many in Counter(name for name, _ in pairs).items() if many > 1)
        raise _NotACase(f"{twice!r:.60} stands here twice; leave one of them out")
    return found


def _variables(given: object) -> tuple[Vocabulary, Mapping[str, Stated]]:
    if not isinstance(given, dict):
        raise _NotACase(f'"vars" is an object of variables by their names; write {_EXAMPLE}')
    facts: dict[str, Speakable] = {}
    stated: dict[str, Stated] = {}
    for name, variable in given.items():
        if not _NAME.fullmatch(name) or name in _TAKEN:
            raise _NotACase(
                f"{name!r:.60} cannot be a variable: names are letters, digits and _, without dots, "
                "and no words of the language"
            )
        if not isinstance(variable, dict) or not isinstance(variable.get("type"), str):
            raise _NotACase(f'{name} needs a "type" and a "value"; write {{"type": "int", "value": 2}}')
        facts[name] = _speakable(name, variable["type"])
        value = variable.get("value")
        if value is not None:
            stated[name] = Stated(_value(name, facts[name], value), date.min, None, "", ANY_MOMENT)
    return Vocabulary(facts), stated


def _speakable(name: str, type_: str) -> Speakable:
    enum = _ENUM.fullmatch(type_.strip())
    if enum is not None:
        members = tuple(member.strip().strip("\"'") for member in enum.group(1).split(","))
        if not all(members) or len(set(members)) < len(members):
            raise _NotACase(f"an enum has members, each once; let {name} be of type enum(a, b)")
        # Two variables with the same members are of the same enum: nothing else says what an enum is here.
        return Speakable(Type(Kind.ENUM, f"({', '.join(members)})"), members)
    kind = type_.strip()
    if kind not in _TYPES:
        raise _NotACase(f"{name} is {kind:.40}, and rules know only {', '.join(_TYPES)}, enum(a, b)")
    return Speakable(Type(Kind(kind)))


def _value(name: str, fact: Speakable, given: object) -> Value:
    match fact.type.kind, given:
        case Kind.BOOL, bool():
            return given
        case ((Kind.INT | Kind.CENTS), (int() | str())) if not isinstance(given, bool):
            number = int(given) if re.fullmatch(r"-?[0-9]{1,19}", str(given), re.ASCII) else INT_MAX + 1
            if INT_MIN <= number <= INT_MAX:
                return number
        case Kind.DAY, str() if re.fullmatch(r"\d{4}-\d\d-\d\d", given, re.ASCII):
            with suppress(ValueError):
                return date.fromisoformat(given)
        case Kind.STRING, str() if _is_text(given):
            return given
        case Kind.ENUM, str() if given in fact.members:
            return given
    raise _NotACase(f"the value of {name} is no {fact.type.kind}; write {_wanted(fact)}, or null for unknown")


def _wanted(fact: Speakable) -> str:
    match fact.type.kind:
        case Kind.BOOL:
            return "true or false"
        case Kind.INT | Kind.CENTS:
            return f"a whole number from {INT_MIN} to {INT_MAX}"
        case Kind.DAY:
            return 'a day of the calendar such as "2026-01-31"'
        case Kind.ENUM:
            return f"one of {', '.join(fact.members)}"
        case _:
            return "a text of whole characters"


def _is_text(given: str) -> bool:
    """Whether no character of it is half of one."""
    return not any("\ud800" <= character <= "\udfff" for character in given)


rules.add_command(check)
rules.add_command(load)

COMMANDS = (rules,)
