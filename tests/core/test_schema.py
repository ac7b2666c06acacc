"""What goes over the wire is what was described, nothing that could be read as it."""

from datetime import date
from typing import Any

import pytest
from pydantic import Field, ValidationError

from core.schema import Line, Schema


class Price(Schema):
    cents: int | None = Field(default=None, ge=0)
    since: date = date(2026, 1, 1)
    name: Line = "x"
    free: bool = False


@pytest.mark.parametrize(
    "wrong",
    [
        {"cents": True},
        {"cents": "50"},
        {"cents": 5.0},
        {"since": 0},
        {"since": True},
        {"name": 5},
        {"name": ""},
        {"name": "a\x00b"},
        {"name": "evil\u202etxt"},
        {"name": "two\u200bparts"},
        {"unknown": 1},
    ],
)
def test_a_value_of_another_type_or_with_hidden_signs_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Price.model_validate(wrong)


@pytest.mark.parametrize("name", ["Şirin Yıldız", "علی‌رضا", "王明", "Zoë", "O’Neill"])
def test_names_of_every_script_are_taken(name: str) -> None:
    assert Price(name=name).name == name


def test_a_described_value_is_taken() -> None:
    assert Price.model_validate({"cents": 50, "since": "2026-02-01", "free": True}).cents == 50


def test_a_name_is_kept_in_one_spelling() -> None:
    assert Price(name="Zoe\u0308").name == "Zoë"
