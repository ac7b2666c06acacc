"""What a row says, judged by itself: its form, its fact's type, its days, the register's remit. Pure."""

import json
import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any

from core.texts import each_name_once
from entitlements.facts.catalogue import CATALOGUE, HOUSEHOLDS, ValueNotReadable, settled_by_silence
from entitlements.facts.rules import OPEN, day_after
from entitlements.language import Value
from entitlements.people.rules import PersonIdentity
from entitlements.registers.rules import Remit

SMALL = 2_000
"""Rows of a delivery that is applied before the answer."""
CHUNK = 1_000
"""Numbers whose rows are applied in one transaction, give or take a household; a large delivery takes more."""
MOST = 5_000
"""Numbers of one transaction, however large the delivery is."""
STRIDES = 40
"""Transactions in which a large delivery is applied, as long as none of them grows too long."""
MOST_MEMBERS = 200
"""Members of one household: whoever belongs to it is judged by all the others, so that the work grows by the square."""
AHEAD = timedelta(minutes=5)
"""How far a register's clock may be ahead of ours."""
FEW = 10
"""A delivery of changes that ends fewer statements than this is never held: each of its ends was written down."""

SINCE_EVER = date(1900, 1, 1)
"""From when on a birth date counts, so that a corrected one replaces it whole."""


class Result(StrEnum):
    """What became of a row; the codes are part of the interface and never change their meaning."""

    ACCEPTED = "accepted"
    UNCHANGED = "unchanged"
    """It was known."""
    SUPERSEDED = "superseded"
    """Something that was stated later is known for all of its days."""
    NO_LINK = "no-link"
    """The register's number means nobody yet; the row waits for a case worker."""
    NO_HOUSEHOLD = "no-household"
    """The household's number was never stated."""
    NOT_IN_REMIT = "not-in-remit"
    UNKNOWN_FACT = "unknown-fact"
    UNKNOWN_HOUSEHOLD_KIND = "unknown-household-kind"
    WRONG_TYPE = "wrong-type"
    BAD_DAYS = "bad-days"
    BAD_MOMENT = "bad-moment"
    BAD_NUMBER = "bad-number"
    BAD_TEXT = "bad-text"
    MALFORMED = "malformed"
    TOO_LONG = "too-long"
    TOO_MANY = "too-many-members"
    """A household has so many members that each could not be judged by all the others."""
    DUPLICATE = "duplicate"
    """An earlier row of the same delivery says something about the same from the same day on."""
    FORGOTTEN = "forgotten"
    """The person was forgotten; nothing is kept about them any more."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What a row does not say itself."""

    remit: Remit
    as_of: datetime
    day: date
    """The day of `as_of` in the city: a row without a first day begins then."""
    full: bool
    latest: datetime
    """No statement is later than this."""


@dataclass(frozen=True, slots=True)
class FactSaid:
    """A fact about a person (by number) or a household (by its number)."""

    number: str | None
    household: str | None
    household_kind: str | None
    values: Mapping[str, Value | None]
    """By fact; None withdraws."""
    first: date
    following: date
    stated_at: datetime


@dataclass(frozen=True, slots=True)
class PersonSaid:
    """Who a number means: by name, by tax identification number, or both."""

    number: str
    identity: PersonIdentity | None
    identification: str | None
    birth: Mapping[str, Value]
    stated_at: datetime


@dataclass(frozen=True, slots=True)
class HouseholdSaid:
    """Who belongs to a household."""

    household: str
    kind: str
    members: tuple[str, ...]
    first: date
    following: date
    stated_at: datetime


@dataclass(frozen=True, slots=True)
class Unread:
    """What a complete list says something of that cannot be taken, from which day on, and when."""

    kinds: tuple[str, ...]
    """Facts; where the row names members, kinds of household."""
    first: date
    stated_at: datetime


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that cannot be taken, and whom it was about, if that much can be read."""

    result: Result
    number: str | None = None
    households: tuple[tuple[str, str], ...] = ()
    """The household's number with its kind; with every kind of the register where the row names none that there is."""
    members: tuple[str, ...] = ()
    """Who belongs to the household by this row."""
    unread: Unread | None = None
    """None where that changes nothing: of what it speaks, no silence says no."""


Said = FactSaid | PersonSaid | HouseholdSaid | Refused
Row = tuple[Said, str | None]
"""What a row says; with a number where that stands in place of the one inside (see `Again`)."""

ABOUT_SOMEBODY = frozenset(
    {
        Result.WRONG_TYPE,
        Result.BAD_DAYS,
        Result.BAD_MOMENT,
        Result.BAD_TEXT,
        Result.UNKNOWN_FACT,
        Result.UNKNOWN_HOUSEHOLD_KIND,
        Result.TOO_MANY,
    }
)
"""A row like this in a full delivery does mention the person or household: what stands about them is not left out."""
ABOUT_ANYBODY = frozenset({Result.MALFORMED, Result.TOO_LONG, Result.BAD_NUMBER})
"""A row like this in a full delivery may be about anybody: nothing can be concluded from who is left out."""

COLUMNS = frozenset(
    {
        "row",
        "number",
        "household",
        "kind",
        "fact",
        "value",
        "from",
        "until",
        "stated_at",
        "withdraw",
        "members",
        "given_name",
        "family_name",
        "birth_name",
        "birth_date",
        "street",
        "postcode",
        "town",
        "email",
        "phone",
        "language",
        "identification_number",
    }
)
"""The names that a row may use, as JSON members or as CSV columns."""

_OF_FORM = {
    "fact": {"row", "number", "household", "kind", "fact", "value", "from", "until", "stated_at", "withdraw"},
    "household": {"row", "household", "kind", "members", "from", "until", "stated_at"},
    "person": COLUMNS - {"household", "kind", "fact", "value", "until", "withdraw", "members", "from"},
}


FIRST_BIRTH = date(1880, 1, 1)


class Bad(Exception):
    """A row that cannot be taken, and why."""

    def __init__(self, result: Result) -> None:
        super().__init__(result.value)
        self.result = result


def read_json(line: bytes, frame: Frame) -> Said:
    """What a line of NDJSON says, or why it cannot be taken."""
    try:
        # Decoded here: of bytes, the parser would guess the encoding. And not by `texts.read_json`: a number or half a
        # character that it would not read is the fault of one member, and the row still says whom it is about.
        fields = json.loads(line.decode(), object_pairs_hook=each_name_once)
    except (ValueError, RecursionError):
        return Refused(Result.MALFORMED)
    if not isinstance(fields, dict):
        return Refused(Result.MALFORMED)
    return read(fields, frame)


_NAMED = re.compile(rb'"(?:number|household)"\s*:\s*"([A-Za-z0-9_./-]{1,64})"')


class Again:
    """Reads lines; what was said of one person is understood at once when it is said of another.

    Two lines that differ in nothing but the letters of their number say the same: whoever understood the first
    need not take the second apart. It holds because those letters stand inside a string in both lines or break
    both alike, and because only lines are kept whose number is found in that very place.
    """

    def __init__(self, frame: Frame, most: int = 20_000) -> None:
        self._frame, self._most = frame, most
        self._known: dict[bytes, FactSaid] = {}

    def read(self, line: bytes) -> Row:
        """What the line says."""
        found = _NAMED.search(line)
        if found is None:
            return read_json(line, self._frame), None
        begin, end = found.span(1)
        pattern = line[:begin] + b"\x00" + line[end:]
        known = self._known.get(pattern)
        if known is not None:
            return known, line[begin:end].decode()
        said = read_json(line, self._frame)
        number = line[begin:end].decode()
        if isinstance(said, FactSaid) and (said.number or said.household) == number:
            if len(self._known) >= self._most:
                self._known.clear()
            self._known[pattern] = said
        return said, None


def read_cells(header: Sequence[str], cells: Sequence[str], frame: Frame) -> Said:
    """What a record of CSV says, or why it cannot be taken; an empty cell is one that is not there."""
    if len(cells) != len(header):
        return Refused(Result.MALFORMED)
    fields: dict[str, Any] = {name: cell for name, cell in zip(header, cells, strict=True) if cell}
    if "members" in header and fields.get("row") == "household":
        fields["members"] = [one.strip() for one in fields.get("members", "").split(";") if one.strip()]
    if "withdraw" in fields:
        fields["withdraw"] = {"true": True, "false": False}.get(fields["withdraw"], fields["withdraw"])
    return read(fields, frame)


def read(fields: Mapping[str, Any], frame: Frame) -> Said:
    """What the members of a row say, or why it cannot be taken."""
    form = fields.get("row")
    try:
        allowed = _OF_FORM.get(form) if isinstance(form, str) else None
        if allowed is None or not fields.keys() <= allowed:
            return Refused(Result.MALFORMED)
        match form:
            case "fact":
                return _fact(fields, frame)
            case "household":
                return _household(fields, frame)
            case _:
                return _person(fields, frame)
    except Bad as bad:
        return _refused(bad.result, fields, frame)


def _refused(result: Result, fields: Mapping[str, Any], frame: Frame) -> Refused:
    """Why a row cannot be taken, and whom it mentions all the same."""
    if result not in ABOUT_SOMEBODY:
        return Refused(result)
    household, kind = _readable(fields.get("household")), fields.get("kind")
    named = isinstance(kind, str) and kind in frame.remit.households
    kinds: tuple[str, ...] = (str(kind),) if named else tuple(sorted(frame.remit.households))
    members = fields.get("members")
    numbers = map(_readable, members if isinstance(members, list) else ())
    # Only a complete list says something by what it leaves out.
    unread = settled_by_silence(_spoken_of(fields, kinds, frame)) if frame.full else []
    return Refused(
        result,
        _readable(fields.get("number")),
        tuple((household, kind) for kind in kinds) if household is not None else (),
        tuple(dict.fromkeys(number for number in numbers if number is not None)),
        Unread(tuple(unread), frame.day, frame.as_of) if unread else None,
    )


def _spoken_of(fields: Mapping[str, Any], kinds: Sequence[str], frame: Frame) -> Collection[str]:
    """What the row may be about: any fact of the register where the catalogue does not know its name."""
    match fields.get("row"):
        case "fact":
            return {str(fields.get("fact"))} & CATALOGUE.keys() or frame.remit.facts
        case "household":
            return kinds
        case _:
            return ()


def _readable(number: object) -> str | None:
    try:
        return _clean_number(number)
    except Bad:
        return None


def _fact(fields: Mapping[str, Any], frame: Frame) -> FactSaid:
    name = fields.get("fact")
    if not isinstance(name, str):
        raise Bad(Result.MALFORMED)
    kind = CATALOGUE.get(name)
    if kind is None:
        raise Bad(Result.UNKNOWN_FACT)
    if name not in frame.remit.facts:
        raise Bad(Result.NOT_IN_REMIT)
    withdraw = fields.get("withdraw", False)
    if not isinstance(withdraw, bool) or withdraw is ("value" in fields):
        raise Bad(Result.MALFORMED)
    values: Mapping[str, Value | None]
    if withdraw:
        values = {name: None} | ({kind.latest: None} if kind.latest else {})
    else:
        try:
            read_values = kind.read(fields["value"])
        except (ValueNotReadable, TypeError):
            raise Bad(Result.WRONG_TYPE) from None
        _born(read_values, frame)
        values = read_values
    number = household = household_kind = None
    if kind.about == "household":
        foreign = {"number"}
        household, household_kind = _number(fields, "household"), _household_kind(fields, frame)
    else:
        foreign = {"household", "kind"}
        number = _number(fields, "number")
    if foreign & fields.keys():
        raise Bad(Result.MALFORMED)
    first, following = _days(fields, frame)
    return FactSaid(number, household, household_kind, values, first, following, _moment(fields, frame))


def _household_kind(fields: Mapping[str, Any], frame: Frame) -> str:
    kind = fields.get("kind")
    if kind is None and len(frame.remit.households) == 1:
        (kind,) = frame.remit.households
    if not isinstance(kind, str) or kind not in HOUSEHOLDS:
        raise Bad(Result.UNKNOWN_HOUSEHOLD_KIND)
    if kind not in frame.remit.households:
        raise Bad(Result.NOT_IN_REMIT)
    return kind


def _household(fields: Mapping[str, Any], frame: Frame) -> HouseholdSaid:
    kind = _household_kind(fields, frame)
    members = fields.get("members")
    if not isinstance(members, list):
        raise Bad(Result.MALFORMED)
    numbers = tuple(dict.fromkeys(_clean_number(member) for member in members))
    if len(numbers) > MOST_MEMBERS:
        raise Bad(Result.TOO_MANY)
    first, following = _days(fields, frame)
    return HouseholdSaid(
        _number(fields, "household"), kind, numbers, first, following, _moment(fields, frame)
    )


def _person(fields: Mapping[str, Any], frame: Frame) -> PersonSaid:
    number = _number(fields, "number")
    said = {name: fields[name] for name in _IDENTITY if name in fields}
    if said and not frame.remit.may_name:
        raise Bad(Result.NOT_IN_REMIT)
    identification = fields.get("identification_number")
    if identification is not None:
        if not frame.remit.identification_numbers:
            raise Bad(Result.NOT_IN_REMIT)
        if not isinstance(identification, str) or not re.fullmatch("[0-9]{11}", identification):
            raise Bad(Result.BAD_NUMBER)
        if len(set(identification)) == 1:
            # Written where there is none: everybody with the same one would become one person.
            raise Bad(Result.WRONG_TYPE)
    birth: Mapping[str, Value] = {}
    if "birth_date" in said:
        try:
            birth = CATALOGUE["birth_date"].read(said["birth_date"])
        except (ValueNotReadable, TypeError):
            raise Bad(Result.WRONG_TYPE) from None
        _born(birth, frame)
    if not frame.remit.identities:
        # It names people only so that its number finds them: what it says of their birth is no fact.
        birth = {}
    identity = PersonIdentity(**{name: _text(value) for name, value in said.items()}) if said else None
    return PersonSaid(number, identity, identification, birth, _moment(fields, frame))


def _born(values: Mapping[str, Value], frame: Frame) -> None:
    """Nobody is born after today, and nobody who lives was born before 1880; a typing error would bring a youth card."""
    day = values.get("birth_date")
    if isinstance(day, date) and not FIRST_BIRTH <= day <= frame.latest.date():
        raise Bad(Result.BAD_DAYS)


_IDENTITY = (
    "given_name",
    "family_name",
    "birth_name",
    "birth_date",
    "street",
    "postcode",
    "town",
    "email",
    "phone",
    "language",
)


def _number(fields: Mapping[str, Any], name: str) -> str:
    return _clean_number(fields.get(name))


def _clean_number(value: object) -> str:
    if not isinstance(value, str) or not 1 <= len(value.strip()) <= 64 or not _printable(value):
        raise Bad(Result.BAD_NUMBER)
    return unicodedata.normalize("NFC", value.strip())


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > 200 or not _printable(value):
        raise Bad(Result.BAD_TEXT)
    return unicodedata.normalize("NFC", value.strip())


def _printable(text: str) -> bool:
    # Controls (NUL among them) and lone surrogates cannot be kept by every database.
    return text.isprintable() or not any(unicodedata.category(sign) in {"Cc", "Cs"} for sign in text)


def _days(fields: Mapping[str, Any], frame: Frame) -> tuple[date, date]:
    first = _day(fields["from"]) if "from" in fields else frame.day
    following = day_after(_day(fields["until"])) if fields.get("until") is not None else OPEN
    if first < SINCE_EVER or following <= first:
        raise Bad(Result.BAD_DAYS)
    return first, following


_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _day(value: object) -> date:
    try:
        if isinstance(value, str) and _DAY.fullmatch(value):
            return date.fromisoformat(value)
    except ValueError:
        pass
    raise Bad(Result.BAD_DAYS)


def _moment(fields: Mapping[str, Any], frame: Frame) -> datetime:
    value = fields.get("stated_at")
    if value is None:
        return frame.as_of
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or not SINCE_EVER.year <= moment.year <= 9990:
        raise Bad(Result.BAD_MOMENT)
    moment = moment.astimezone(UTC)
    if moment > frame.latest:
        raise Bad(Result.BAD_MOMENT)
    # A complete list says everything anew at its moment, whenever it was first decided.
    return frame.as_of if frame.full else moment


def held_back(ends: int, standing: int, share: float, *, full: bool) -> bool:
    """Whether a person must look first: because it ends more than a share of what the register states."""
    if ends == 0 or (not full and ends < FEW):
        return False
    return ends > share * standing


def stride(rows: int) -> int:
    """How many numbers of a delivery are applied together: a large one pays once for what every step costs."""
    return max(CHUNK, min(MOST, rows // STRIDES))
