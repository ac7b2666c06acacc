"""Bytes become letters and come back, and no other letters do."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wallet.codes import base41
from wallet.codes.base41 import ALPHABET, NotBase41

PUBLISHED = json.loads((Path(__file__).resolve().parents[3] / "docs/vectors/codes.json").read_text())[
    "base41"
]
# RFC 9285 works the same way over 45 characters; its letters here have the values they have there, up to Z.
EXAMPLES = settings(max_examples=300, deadline=None, derandomize=True)


def by_the_book(data: bytes) -> str:
    """The arithmetic as the RFC tells it, one group after the other."""
    text = ""
    for at in range(0, len(data), 2):
        group = data[at : at + 2]
        n = int.from_bytes(group, "big")
        for _ in range(len(group) + 1):
            text += ALPHABET[n % 41]
            n //= 41
    return text


def test_the_alphabet_is_published_and_fits_a_qr_code_and_a_url() -> None:
    assert PUBLISHED["alphabet"] == ALPHABET == "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ$*-/:"
    assert len(set(ALPHABET)) == 41
    assert set(ALPHABET) <= set("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:")


@pytest.mark.parametrize("sample", PUBLISHED["accept"], ids=lambda sample: sample["bytes"][:16] or "none")
def test_published_bytes_have_the_published_letters(sample: dict[str, str]) -> None:
    data = bytes.fromhex(sample["bytes"])
    assert base41.encode(data) == sample["text"] == by_the_book(data)
    assert base41.decode(sample["text"]) == data


@pytest.mark.parametrize("sample", PUBLISHED["refuse"], ids=lambda sample: sample["why"])
def test_published_foreign_letters_are_refused(sample: dict[str, str]) -> None:
    with pytest.raises(NotBase41):
        base41.decode(sample["text"])


@EXAMPLES
@given(st.binary(max_size=300))
def test_all_bytes_come_back(data: bytes) -> None:
    text = base41.encode(data)
    assert text == by_the_book(data)
    assert base41.decode(text) == data


@EXAMPLES
@given(st.text(alphabet=ALPHABET, max_size=40) | st.text(max_size=20))
def test_what_is_read_would_be_written_the_same(text: str) -> None:
    try:
        data = base41.decode(text)
    except NotBase41:
        return
    assert base41.encode(data) == text


def test_every_pair_of_bytes_has_three_letters_and_no_three_letters_more() -> None:
    every = b"".join(n.to_bytes(2, "big") for n in range(65_536))
    assert base41.decode(base41.encode(every)) == every
    for beyond in range(65_536, 41**3):
        text = ALPHABET[beyond % 41] + ALPHABET[beyond // 41 % 41] + ALPHABET[beyond // 1681]
        with pytest.raises(NotBase41):
            base41.decode(text)


def test_one_group_too_large_is_found_among_many() -> None:
    text = base41.encode(bytes(60))
    for at in range(0, len(text), 3):
        with pytest.raises(NotBase41):
            base41.decode(text[:at] + ":::" + text[at + 3 :])
