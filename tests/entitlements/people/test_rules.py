from hypothesis import given
from hypothesis import strategies as st

from entitlements.people.rules import (
    PersonIdentity,
    code_as_printed,
    code_as_read,
    matches,
    name_words,
)


def test_a_name_is_found_whatever_the_accents_and_the_case() -> None:
    assert matches("OZTURK nazli", "Nazlı Öztürk") is False  # the Turkish dotless ı is a letter of its own
    assert matches("ozturk", "Nazlı Öztürk")
    assert matches("öztürk nazlı", "Nazlı Öztürk")
    assert matches("nunez", "María Núñez-García")
    assert matches("garcia", "María Núñez-García")


def test_umlauts_are_found_in_both_spellings() -> None:
    assert matches("Müller", "Anna Mueller")
    assert matches("Mueller", "Anna Müller")
    assert matches("Muller", "Anna Müller")
    assert matches("Strasse", "Anna Straße")


def test_names_in_other_scripts_are_found() -> None:
    assert matches("محمد", "محمد العلي")
    assert matches("иван", "Иван Петров")
    assert matches("कुमार", "राज कुमार")
    assert matches("김민준", "김민준")
    assert not matches("राजा", "राज कुमार")


def test_a_part_of_a_word_finds_nothing() -> None:
    assert not matches("mull", "Anna Müller")
    assert not matches("", "Anna Müller")
    assert not matches("--", "Anna Müller")


@given(st.text(max_size=40))
def test_every_name_finds_itself(name: str) -> None:
    assert matches(name, name) is bool(name_words(name))


def test_a_code_is_read_as_people_write_it() -> None:
    printed = code_as_printed(bytes(range(16)))
    assert len(printed.split("-")) == 7
    for written in (printed, printed.lower(), f" {printed.replace('-', ' ')} ", printed.replace("-", "–")):
        assert code_as_read(written) == bytes(range(16))


def test_what_cannot_be_a_code_is_none() -> None:
    printed = code_as_printed(bytes(16))
    assert code_as_read(printed[:-1]) is None
    assert code_as_read(printed[:-1] + "0") is None  # there is no zero, so that nobody reads an O
    assert code_as_read("Z" * 26) is None  # more than 128 bits


@given(st.binary(min_size=16, max_size=16))
def test_a_printed_code_reads_back(secret: bytes) -> None:
    assert code_as_read(code_as_printed(secret)) == secret


def test_somebody_of_whom_only_one_name_is_known_has_that_name() -> None:
    assert PersonIdentity(given_name="Sukarno").name == "Sukarno"
