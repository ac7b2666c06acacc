"""How alike people are: the same in every spelling, and never so alike that twins become one."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from entitlements.people.matching import (
    FILE,
    Candidate,
    Field,
    Level,
    Verdict,
    compare,
    judge,
    marks,
    read_weights,
    sound,
    traits,
)
from entitlements.people.rules import PersonIdentity

MILA = PersonIdentity(
    "Mila", "Sommer", birth_date="2015-05-03", street="Münsterstraße 9", postcode="44145", town="Dortmund"
)


def named(given: str, family: str, **other: str) -> PersonIdentity:
    return replace(MILA, given_name=given, family_name=family, **other)


def verdict(said: PersonIdentity, *known: PersonIdentity) -> Verdict:
    return judge(Candidate(at, compare(traits(said), traits(one))) for at, one in enumerate(known)).verdict


def levels(one: PersonIdentity, other: PersonIdentity) -> dict[Field, Level]:
    return dict(compare(traits(one), traits(other)).levels)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("Jürgen", "Weiß"), ("Juergen", "Weiss")),
        (("Jürgen", "Müller"), ("Jurgen", "MULLER")),
        (("Ju\u0308rgen", "Müller"), ("Jürgen", "Müller")),
        (("Nazlı", "Öztürk"), ("Nazli", "Ozturk")),
        (("Łucja", "Wałęsa"), ("Lucja", "Walesa")),
        (("María", "Núñez-García"), ("Maria", "Nunez Garcia")),
        (("Karl-Heinz", "von der Heide"), ("Karl Heinz", "Von Der Heide")),
        (("Иван", "Петров"), ("Ivan", "Petrov")),
        (("Γιώργος", "Παπαδόπουλος"), ("Giorgos", "Papadopoulos")),
        (("ﻣﺤﻤﺪ", "العلي"), ("محمد", "العلي")),  # shapes of print
        (("小龍", "李"), ("小龍", "李")),
        (("ராஜா", "முருகன்"), ("ராஜா", "முருகன்")),
        (("민준", "김"), ("민준", "김")),
        (("Seán", "O’Brien"), ("Sean", "OBrien")),
        (("Anna Maria", "Sommer"), ("Anna", "Sommer")),
        (("Sommer", "Mila"), ("Mila", "Sommer")),
    ],
)
def test_a_name_is_the_same_in_every_spelling(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert verdict(named(*one), named(*other)) is Verdict.SURE
    assert marks(traits(named(*one))) & marks(traits(named(*other)))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("محمد", "العلي"), ("Mohamed", "Al-Ali")),
        (("Юлия", "Шевченко"), ("Julia", "Schewtschenko")),
        (("Mila", "Sommer"), ("M.", "Sommer")),
        (("Mila", "Sommer"), ("Mila", "Winter")),  # married
        (("Stefanie", "Meier"), ("Stephanie", "Meyer")),
        (("小龍", "李"), ("Xiaolong", "Li")),  # no table says whether these are one
        (("Anna Maria", "Sommer"), ("Anna Sophie", "Sommer")),
        (("Mila", "Sommer"), ("Leo", "Sommer")),  # twins
    ],
)
def test_where_a_name_is_not_quite_the_same_a_clerk_is_asked(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    assert verdict(named(*one), named(*other)) is Verdict.DOUBT
    assert marks(traits(named(*one))) & marks(traits(named(*other)))


def test_the_name_at_birth_is_a_name_of_the_family() -> None:
    married = named("Mila", "Winter", birth_name="Sommer")
    assert verdict(married, MILA) is Verdict.SURE
    assert verdict(MILA, married) is Verdict.SURE
    assert marks(traits(married)) & marks(traits(replace(MILA, street="", birth_date="2015-05-00")))


def test_a_double_name_holds_both_names() -> None:
    assert levels(named("Mila", "Sommer-Winter"), MILA)[Field.FAMILY_NAME] is Level.CLOSE
    assert verdict(named("Mila", "Sommer-Winter"), MILA) is Verdict.SURE


@pytest.mark.parametrize(
    ("written", "level"),
    [
        ("2015-05-03", Level.EXACT),
        ("2015-05-00", Level.MONTH),
        ("2015-05", Level.MONTH),
        ("2015-00-00", Level.YEAR),
        ("2015", Level.YEAR),
        ("2015-01-01", Level.YEAR),  # so it stands in papers where nobody knew
        ("2015-03-05", Level.CLOSE),
        ("2015-05-04", Level.CLOSE),
        ("2051-05-03", Level.CLOSE),
        ("2015-06-00", Level.DIFFERS),
        ("2014-12-24", Level.DIFFERS),
        ("", Level.UNKNOWN),
        ("0000-00-00", Level.UNKNOWN),
    ],
)
def test_a_birth_date_agrees_as_far_as_it_is_known(written: str, level: Level) -> None:
    said = replace(MILA, birth_date=written)
    assert levels(said, MILA)[Field.BIRTH_DATE] is level
    assert (verdict(said, MILA) is Verdict.SURE) is (level is Level.EXACT)


def test_two_who_are_both_said_to_be_born_on_the_first_of_january_need_not_be_one() -> None:
    one = replace(MILA, birth_date="1990-01-01")
    assert levels(one, one)[Field.BIRTH_DATE] is Level.YEAR
    assert verdict(one, one) is Verdict.DOUBT


@pytest.mark.parametrize(
    ("street", "postcode", "level"),
    [
        ("Münsterstr. 9", "44145", Level.EXACT),
        ("MUENSTERSTRASSE 9", "44 145", Level.EXACT),
        ("Münster Straße 9", "", Level.EXACT),
        ("Münsterstraße 11", "44145", Level.CLOSE),
        ("Münstrstraße 9", "44145", Level.CLOSE),
        ("Nordmarkt 1", "44145", Level.AREA),
        ("", "44145", Level.AREA),
        ("Nordmarkt 1", "44147", Level.DIFFERS),
        ("", "", Level.UNKNOWN),
    ],
)
def test_an_address_is_the_same_however_it_is_abbreviated(street: str, postcode: str, level: Level) -> None:
    assert levels(replace(MILA, street=street, postcode=postcode), MILA)[Field.ADDRESS] is level


def test_whoever_lives_elsewhere_is_not_linked_by_name_and_birth_date_alone() -> None:
    assert verdict(replace(MILA, street="Nordmarkt 1", postcode="44147"), MILA) is Verdict.DOUBT
    assert verdict(replace(MILA, street="", postcode="", town=""), MILA) is Verdict.SURE


def test_twins_are_never_told_apart_by_likeness_alone() -> None:
    twin = named("Milan", "Sommer")
    assert verdict(MILA, MILA, twin) is Verdict.DOUBT
    assert verdict(MILA, twin) is Verdict.DOUBT
    assert verdict(MILA, MILA, replace(twin, birth_date="2013-02-01")) is Verdict.SURE


def test_of_two_who_are_equally_alike_none_is_meant() -> None:
    assert verdict(MILA, MILA, MILA) is Verdict.DOUBT


def test_father_and_son_of_one_name_stay_two() -> None:
    assert verdict(MILA, replace(MILA, birth_date="1985-07-21")) is Verdict.DOUBT
    assert verdict(MILA, MILA, replace(MILA, birth_date="1985-07-21")) is Verdict.SURE


def test_somebody_else_is_nobody() -> None:
    other = PersonIdentity("Karl", "Winter", birth_date="1950-02-11", street="Markt 1", postcode="44137")
    assert verdict(MILA, other) is Verdict.NOBODY
    assert not marks(traits(MILA)) & marks(traits(other))
    sister = named("Lena", "Sommer", birth_date="2012-11-30")
    assert verdict(MILA, sister) is Verdict.NOBODY


def test_a_single_name_agrees_with_itself_wherever_it_was_written() -> None:
    assert verdict(named("Sukarno", ""), named("", "Sukarno")) is Verdict.SURE
    # But a family name alone is not somebody of one name.
    assert verdict(named("", "Sommer"), MILA) is Verdict.DOUBT


def test_whom_the_register_knows_by_another_number_is_not_linked_again() -> None:
    alike = compare(traits(MILA), traits(MILA))
    assert judge([Candidate("a", alike, elsewhere=True)]).verdict is Verdict.DOUBT
    less = compare(traits(MILA), traits(named("Milan", "Sommer")))
    assert judge([Candidate("a", less, elsewhere=True)]).verdict is Verdict.NOBODY
    sure = judge([Candidate("a", less, elsewhere=True), Candidate("b", alike)])
    assert sure.meant == "b"


def test_a_very_long_name_is_only_a_name() -> None:
    long = named("Xaver " * 30, "Ho" * 90)
    assert verdict(long, long) is Verdict.SURE


@given(st.text(max_size=30), st.text(max_size=30))
@example("A", "M")
@example("Mila Mila", "Sommer")
def test_whatever_is_written_compares_with_itself_as_with_anything(given_name: str, family: str) -> None:
    one = traits(named(given_name, family))
    assert compare(one, one).score >= compare(one, traits(MILA)).score
    assert compare(one, traits(MILA)).score == compare(traits(MILA), one).score


@pytest.mark.parametrize(
    ("word", "digits"),
    [
        ("MULLERLUDENSCHEIDT", "65752682"),
        ("BRESCHNEW", "17863"),
        ("WIKIPEDIA", "3412"),
        ("MEYER", "67"),
        ("MAIER", "67"),
        ("SCHMIDT", "862"),
        ("SCHMITT", "862"),
        ("PHILIPP", "351"),
        ("CHRISTA", "4782"),
        ("XAVER", "4837"),
    ],
)
def test_words_that_sound_alike_have_the_same_digits(word: str, digits: str) -> None:
    assert sound(word) == digits


def test_weights_that_contradict_themselves_are_refused(tmp_path: Path) -> None:
    assert read_weights(FILE).of(Field.BIRTH_DATE, Level.EXACT) > 10
    broken = tmp_path / "linking.yaml"
    broken.write_text(FILE.read_text(encoding="utf-8").replace("sure: 30.0", "sure: 3.0"), encoding="utf-8")
    with pytest.raises(ValueError, match="doubt begins before sure"):
        read_weights(broken)
