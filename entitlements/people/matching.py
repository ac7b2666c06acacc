"""How alike two identities are, field by field and as one number, and by which marks the alike find each other."""

import math
import re
import unicodedata
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache, lru_cache
from pathlib import Path
from typing import Generic, TypeVar

import yaml

from core.spelling import spell
from entitlements.people.rules import PersonIdentity

FILE = Path(__file__).parents[2] / "rulebooks" / "linking.yaml"

Who = TypeVar("Who", bound=Hashable)


class Field(StrEnum):
    """What of an identity is compared."""

    FAMILY_NAME = "family_name"
    GIVEN_NAME = "given_name"
    BIRTH_DATE = "birth_date"
    ADDRESS = "address"


class Level(StrEnum):
    """How far two sides agree in a field."""

    EXACT = "exact"
    MONTH = "month"
    """As far as year and month, of which one side knows no more."""
    YEAR = "year"
    CLOSE = "close"
    AREA = "area"
    DIFFERS = "differs"
    UNKNOWN = "unknown"
    """One side does not state it, or the two cannot be compared; says nothing either way."""


class Verdict(StrEnum):
    """What follows from the likeness of everybody who could be meant."""

    SURE = "sure"
    DOUBT = "doubt"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each level weighs (in bits), and from where on a likeness counts."""

    levels: Mapping[Field, Mapping[Level, float]]
    swapped: float
    sure: float
    doubt: float
    margin: float
    needed: Mapping[Field, frozenset[Level]]

    def of(self, field: Field, level: Level) -> float:
        """What this agreement weighs; nothing where nothing is known."""
        return self.levels[field].get(level, 0.0)


def read_weights(path: Path) -> Weights:
    """The weights as a city has set them. ValueError where they contradict themselves."""
    with path.open(encoding="utf-8") as file:
        source = yaml.safe_load(file)
    levels = {
        Field(field): {
            Level(level): math.log2(shares["same"] / shares["other"]) for level, shares in said.items()
        }
        for field, said in source["levels"].items()
    }
    needed = {
        Field(field): frozenset(Level(level) for level in said) for field, said in source["needed"].items()
    }
    weights = Weights(levels, source["swapped"], source["sure"], source["doubt"], source["margin"], needed)
    if set(levels) != set(Field) or not weights.doubt < weights.sure or weights.margin <= 0:
        raise ValueError(
            f"{path.name}: every field has its levels, doubt begins before sure, the margin is above 0"
        )
    return weights


@cache
def weights() -> Weights:
    """The weights of this city."""
    return read_weights(FILE)


# ---- an identity, made ready to be compared ----


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a name: its letters as every spelling of it has them, or as they are where no table spells them."""

    letters: str
    script: str
    """Latin for everything that a table spells; Arabic apart, because its vowels are not written."""

    @property
    def bones(self) -> str:
        """Only the consonants, doubled ones once: what an Arabic name and its Latin spelling have in common."""
        kept = [sign for sign in self.letters if sign not in "AEIOUYW"]
        return "".join(sign for at, sign in enumerate(kept) if at == 0 or kept[at - 1] != sign)


Name = tuple[Word, ...]

_PARTICLES = frozenset(
    [
        "VON",
        "VAN",
        "VOM",
        "ZU",
        "ZUR",
        "ZUM",
        "DER",
        "DEN",
        "DEM",
        "DE",
        "DEL",
        "DELLA",
        "DI",
        "DA",
        "DOS",
        "DU",
        "LA",
        "LE",
        "EL",
        "AL",
        "BIN",
        "BINT",
        "IBN",
        "BEN",
        "ABU",
        "TER",
        "TEN",
    ]
)
_LATIN, _ARABIC = "LATIN", "ARABIC"
# What remains different between spellings: ü is written ue and u, ß ss, å aa; both sides lose it.
_FOLDS = (("AE", "A"), ("OE", "O"), ("UE", "U"), ("AA", "A"), ("SS", "S"))


@lru_cache(maxsize=65_536)
def _word(written: str) -> Word:
    script = unicodedata.name(written[0], "").partition(" ")[0]
    spelt = spell(written)
    if spelt is None:
        return Word(written.casefold(), script)
    letters = spelt.replace("<", "")
    if script == _ARABIC:
        # X marks letters that Latin lacks; without it the spelling is nearer to what people write.
        return Word(letters.replace("X", ""), _ARABIC)
    for long, short in _FOLDS:
        letters = letters.replace(long, short)
    return Word(letters, _LATIN)


@lru_cache(maxsize=65_536)
def _name(written: str) -> Name:
    plain = unicodedata.normalize("NFKC", written)
    parts = re.split(r"[\s\-‐‑‒–—/,]+", plain)
    words = (_word(part) for part in parts if any(sign.isalpha() for sign in part))
    return tuple(word for word in words if word.letters)


def _main(name: Name) -> Name:
    """The words that tell families apart: without von and al, unless there is nothing else."""
    return tuple(word for word in name if word.letters not in _PARTICLES) or name


@dataclass(frozen=True, slots=True)
class Birth:
    """A birth date as far as it is known."""

    year: int
    month: int = 0
    day: int = 0

    @property
    def whole(self) -> bool:
        return bool(self.month and self.day)

    def __str__(self) -> str:
        return f"{self.year}-{self.month}-{self.day}"


@dataclass(frozen=True, slots=True)
class Address:
    """Where somebody lives: the street without its number, spelt in one way."""

    street: str
    number: str
    postcode: str


@dataclass(frozen=True, slots=True)
class Traits:
    """An identity, ready to be compared."""

    families: tuple[Name, ...]
    """The family name and, where it is stated, the name at birth."""
    given: Name
    birth: Birth | None
    address: Address


def traits(identity: PersonIdentity) -> Traits:
    """What of an identity is compared, in one spelling."""
    families = [_name(identity.family_name), _name(identity.birth_name)]
    given = _name(identity.given_name)
    named = tuple(dict.fromkeys(family for family in families if family))
    if not named and given:
        # Whoever has one name has it as family name, wherever it was written.
        named, given = (given,), ()
    return Traits(named, given, _birth(identity.birth_date), _address(identity))


def _birth(written: str) -> Birth | None:
    parts = re.fullmatch(r"([0-9]{4})(?:-([0-9]{2}))?(?:-([0-9]{2}))?", written)
    if parts is None or parts[1] == "0000":
        return None
    year, month, day = (int(part or 0) for part in parts.groups())
    if (month, day) == (1, 1):
        # Papers say so where nobody knew; too many share it to tell them apart by it.
        return Birth(year)
    return Birth(year, month, day if month else 0)


_NUMBER = re.compile(r"^(.*?)[\s,]*([0-9]+\s*[a-zA-Z]?(?:\s*[-/+]\s*[0-9]+\s*[a-zA-Z]?)?)\s*$", re.DOTALL)
_STREETS = (("STRASE", "STR"), ("PLATZ", "PL"), ("ALLEE", "AL"), ("GASE", "G"), ("CHAUSEE", "CH"))


def _address(identity: PersonIdentity) -> Address:
    parts = _NUMBER.match(identity.street)
    street, number = (parts[1], parts[2]) if parts else (identity.street, "")
    spelt = "".join(word.letters for word in _name(street.replace(".", " ")))
    for long, short in _STREETS:
        if spelt.endswith(long):
            spelt = spelt.removesuffix(long) + short
    postcode = "".join(sign for sign in identity.postcode if sign.isalnum())
    return Address(spelt, re.sub(r"\s", "", number).upper(), postcode.upper())


# ---- field by field ----


@dataclass(frozen=True, slots=True)
class Likeness:
    """How alike two identities are."""

    score: float
    """In bits; each more halves the chance that these are two persons who happen to be alike."""
    levels: Mapping[Field, Level]
    swapped: bool = False
    """Family and given name stand in each other's place."""
    of_one_name: bool = False
    """Neither side has a given name: there is none to wait for."""

    @property
    def twins(self) -> bool:
        """Whether the two could be twins: one birth date, one family, one roof."""
        return (
            self.levels[Field.FAMILY_NAME] in {Level.EXACT, Level.CLOSE}
            and self.levels[Field.BIRTH_DATE] is Level.EXACT
            and self.levels[Field.ADDRESS] in {Level.EXACT, Level.UNKNOWN}
        )


def compare(one: Traits, other: Traits, by: Weights | None = None) -> Likeness:
    """How alike two identities are, in the order of their names that fits better."""
    by = by or weights()
    straight = _likeness(one, other, by, 0.0)
    if not one.given or not other.given:
        return straight
    if straight.levels[Field.FAMILY_NAME] is straight.levels[Field.GIVEN_NAME] is Level.EXACT:
        return straight
    # Either may be the one whose names stand in the wrong order.
    crossed = (
        _likeness(_swapped(one), other, by, by.swapped),
        _likeness(one, _swapped(other), by, by.swapped),
    )
    return max(straight, *crossed, key=lambda likeness: likeness.score)


def _swapped(one: Traits) -> Traits:
    """The same with its names exchanged: given for family, and the first family name for given."""
    return replace(one, families=(one.given,), given=one.families[0] if one.families else ())


def _likeness(one: Traits, other: Traits, by: Weights, penalty: float) -> Likeness:
    levels = {
        Field.FAMILY_NAME: _best(one.families, other.families),
        Field.GIVEN_NAME: _given(one.given, other.given),
        Field.BIRTH_DATE: _births(one.birth, other.birth),
        Field.ADDRESS: _addresses(one.address, other.address),
    }
    score = penalty + sum(by.of(field, level) for field, level in levels.items())
    return Likeness(round(score, 2), levels, penalty != 0.0, not one.given and not other.given)


_ORDER = (Level.EXACT, Level.CLOSE, Level.UNKNOWN, Level.DIFFERS)


def _best(some: Sequence[Name], others: Sequence[Name]) -> Level:
    found = {_family(one, other) for one in some for other in others}
    return next((level for level in _ORDER if level in found), Level.UNKNOWN)


def _family(one: Name, other: Name) -> Level:
    if not _comparable(one, other):
        return Level.UNKNOWN
    first, second = _joined(one), _joined(other)
    if first == second:
        return Level.EXACT
    halves = {word.letters for word in _main(one)} & {word.letters for word in _main(other)}
    if any(len(half) > 2 for half in halves) or _sounds_alike(one, other):
        return Level.CLOSE
    return Level.DIFFERS


def _given(one: Name, other: Name) -> Level:
    if not one or not other or not _comparable(one, other):
        return Level.UNKNOWN
    first, second = one[0].letters, other[0].letters
    words, others = {word.letters for word in one}, {word.letters for word in other}
    # Not everybody writes all of their names; but whoever writes another second name may be the twin.
    if _joined(one) == _joined(other) or (first == second and (words <= others or others <= words)):
        return Level.EXACT
    letter, name = sorted((first, second), key=len)
    initial = len(letter) == 1 and name.startswith(letter)
    if initial or words & others or _sounds_alike(one[:1], other[:1]):
        return Level.CLOSE
    return Level.DIFFERS


def _comparable(one: Name, other: Name) -> bool:
    """Whether both are in letters of which one spelling is known, or in the same ones without a table."""
    scripts, others = {word.script for word in one}, {word.script for word in other}
    known = {_LATIN, _ARABIC}
    return bool(one and other) and (scripts == others or (scripts | others) <= known)


def _joined(name: Name) -> str:
    return "".join(word.letters for word in name)


def _sounds_alike(one: Name, other: Name) -> bool:
    first, second = _joined(_main(one)), _joined(_main(other))
    scripts = {word.script for word in (*one, *other)}
    if _ARABIC in scripts:
        bones, others = (
            "".join(word.bones for word in _main(one)),
            "".join(word.bones for word in _main(other)),
        )
        return len(bones) > 1 and bones == others
    if scripts != {_LATIN}:
        return min(len(first), len(second)) > 4 and _one_slip(first, second)
    if min(len(first), len(second)) > 4 and _one_slip(first, second):
        return True
    return len(first) > 3 and len(second) > 3 and sound(first) == sound(second)


def _one_slip(one: str, other: str) -> bool:
    """Whether one letter was changed, added, left out, or exchanged with its neighbour."""
    if one == other:
        return True
    short, long = sorted((one, other), key=len)
    if len(long) - len(short) > 1:
        return False
    at = next((at for at, sign in enumerate(short) if sign != long[at]), len(short))
    if len(short) < len(long):
        return short[at:] == long[at + 1 :]
    exchanged = short[at : at + 2] == long[at : at + 2][::-1] and short[at + 2 :] == long[at + 2 :]
    return exchanged or short[at + 1 :] == long[at + 1 :]


def _births(one: Birth | None, other: Birth | None) -> Level:
    if one is None or other is None:
        return Level.UNKNOWN
    if one.whole and other.whole:
        if one == other:
            return Level.EXACT
        first, second = (f"{b.year:04}{b.month:02}{b.day:02}" for b in (one, other))
        turned = (one.year, one.month, one.day) == (other.year, other.day, other.month)
        return Level.CLOSE if turned or _one_slip(first, second) else Level.DIFFERS
    if one.year != other.year or (one.month and other.month and one.month != other.month):
        return Level.DIFFERS
    return Level.MONTH if one.month and other.month else Level.YEAR


def _addresses(one: Address, other: Address) -> Level:
    elsewhere = bool(one.postcode and other.postcode) and one.postcode != other.postcode
    if not one.street or not other.street:
        if elsewhere:
            return Level.DIFFERS
        return Level.AREA if one.postcode and one.postcode == other.postcode else Level.UNKNOWN
    if one.street == other.street and not elsewhere:
        return Level.EXACT if one.number == other.number else Level.CLOSE
    alike = min(len(one.street), len(other.street)) > 5 and _one_slip(one.street, other.street)
    if alike and one.number == other.number and not elsewhere:
        return Level.CLOSE
    return Level.AREA if one.postcode and one.postcode == other.postcode else Level.DIFFERS


# ---- sounds (Kölner Phonetik: H. J. Postel, Die Kölner Phonetik, IBM-Nachrichten 19, 1969) ----

_SOUNDS = dict.fromkeys("AEIJOUY", "0") | dict.fromkeys("FVW", "3") | dict.fromkeys("GKQ", "4")
_SOUNDS |= dict.fromkeys("MN", "6") | dict.fromkeys("SZ", "8") | {"B": "1", "L": "5", "R": "7"}


@lru_cache(maxsize=65_536)
def sound(letters: str) -> str:
    """What a word in the letters A to Z sounds like to a German ear, as digits; vowels count at the front only."""
    digits: list[str] = []
    for at, sign in enumerate(letters):
        before, after = letters[at - 1 : at] if at else "", letters[at + 1 : at + 2]
        match sign:
            case "H":
                continue
            case "P":
                code = "3" if after == "H" else "1"
            case "D" | "T":
                code = "8" if after and after in "CSZ" else "2"
            case "C":
                hard = (after and after in "AHKLOQRUX") if at == 0 else (after and after in "AHKOQUX")
                code = "4" if hard and not (before and before in "SZ") else "8"
            case "X":
                code = "8" if before and before in "CKQ" else "48"
            case _:
                code = _SOUNDS.get(sign, "")
        digits += [digit for digit in code if not digits or digits[-1] != digit]
    return "".join(digit for at, digit in enumerate(digits) if digit != "0" or at == 0)


# ---- by which marks the alike find each other ----


def marks(of: Traits) -> frozenset[str]:
    """What somebody must share with whoever may be the same person; one of these survives each usual difference.

    The sound of the family name with the year of birth; the birth date with the initial; all words of the name in
    any order; the house with the birth date. They leave the house only as keyed hashes.
    """
    found = set()
    given = of.given[0] if of.given else None
    for family in of.families:
        for word in _main(family)[:2]:
            if of.birth is not None:
                found.add(f"family {_heard(word)} {of.birth.year}")
        words = sorted(word.letters for word in (*family, *of.given[:1]))
        found.add(f"name {' '.join(words)}")
    if given is not None and of.birth is not None and of.birth.whole:
        found.add(f"born {of.birth} {given.letters[:1]}")
    if of.birth is not None and of.birth.whole and of.address.street and of.address.number:
        # Finds also whoever is written in another script.
        found.add(f"house {of.address.street} {of.address.number} {of.birth}")
    return frozenset(found)


def _heard(word: Word) -> str:
    return sound(word.letters) if word.script in {_LATIN, _ARABIC} else word.letters


# ---- the verdict ----


@dataclass(frozen=True, slots=True)
class Candidate(Generic[Who]):
    """Somebody who may be meant."""

    who: Who
    likeness: Likeness
    elsewhere: bool = False
    """The same register knows them by another number; a register seldom has two for one person."""


@dataclass(frozen=True, slots=True)
class Judged(Generic[Who]):
    """Whom an identity means, or who may be meant, the most alike first."""

    verdict: Verdict
    candidates: Sequence[Candidate[Who]] = ()

    @property
    def meant(self) -> Who | None:
        """The one person, where that is sure."""
        return self.candidates[0].who if self.verdict is Verdict.SURE else None


def judge(candidates: Iterable[Candidate[Who]], by: Weights | None = None) -> Judged[Who]:
    """One is meant for sure only if no other is near, no twin stands beside, and nothing that is needed is missing."""
    by = by or weights()
    worth = [
        one
        for one in candidates
        # Whom the register knows by another number is somebody else, unless everything says otherwise.
        if one.likeness.score >= by.doubt and (not one.elsewhere or _enough(one.likeness, by))
    ]
    worth.sort(key=lambda one: -one.likeness.score)
    if not worth:
        return Judged(Verdict.NOBODY)
    first = worth[0]
    near = any(first.likeness.score - one.likeness.score < by.margin for one in worth[1:])
    twin = any(one.likeness.twins for one in worth[1:]) and first.likeness.twins
    if near or twin or first.elsewhere or not _enough(first.likeness, by):
        return Judged(Verdict.DOUBT, worth)
    return Judged(Verdict.SURE, worth)


def _enough(likeness: Likeness, by: Weights) -> bool:
    agrees = all(
        likeness.levels[field] in levels or (field is Field.GIVEN_NAME and likeness.of_one_name)
        for field, levels in by.needed.items()
    )
    return agrees and likeness.score >= by.sure
