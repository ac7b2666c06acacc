"""What goes over the wire: one base for every message, and the string types that keep bad input out."""

import unicodedata
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    StringConstraints,
    ValidationInfo,
    field_validator,
)


class Schema(BaseModel):
    """A message: frozen, refusing unknown fields, readable from a table row."""

    model_config = ConfigDict(frozen=True, extra="forbid", from_attributes=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_guessing(cls, value: Any, info: ValidationInfo) -> Any:
        """A number is a number: true is not 1, "50" is not 50, and 0 is not a day."""
        if info.field_name is None or value is None:
            return value
        annotation = cls.model_fields[info.field_name].annotation
        kinds = set(get_args(annotation)) or {annotation}
        if int in kinds and float not in kinds and not isinstance(value, StrEnum):
            strange = {bool, float, str} - kinds
            wrong = type(value) in strange
        else:
            wrong = isinstance(value, (bool, int, float)) and bool(kinds & {date, datetime})
        if wrong:
            raise ValueError("the value is not of the described type")
        return value


# Signs that change what a reader sees without being seen. The joiners U+200C and U+200D are not among them:
# Persian and Indic names are spelt with them.
_UNSEEN = frozenset("\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff")


def _clean(text: str) -> str:
    # C0 controls cannot be kept by PostgreSQL (NUL) and have no business in a name.
    if any(unicodedata.category(sign) in {"Cc", "Cs"} or sign in _UNSEEN for sign in text):
        raise ValueError("control characters are not taken")
    return unicodedata.normalize("NFC", text)


Line = Annotated[
    str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True), AfterValidator(_clean)
]
"""One line of text: NFC, no control characters, 1 to 200 characters."""

Word = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
"""A lower-case name for a kind of thing, as in `dortmund-karte`."""


def slots(model: BaseModel) -> dict[str, Any]:
    """The fields of a message as keyword arguments for a row."""
    return {name: getattr(model, name) for name in type(model).model_fields}
