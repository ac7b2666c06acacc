"""What goes over the wire: one base for every message, and the string types that keep bad input out."""

import unicodedata
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints


class Schema(BaseModel):
    """A message: frozen, refusing unknown fields, readable from a table row."""

    model_config = ConfigDict(frozen=True, extra="forbid", from_attributes=True)


def _clean(text: str) -> str:
    # C0 controls cannot be kept by PostgreSQL (NUL) and have no business in a name.
    if any(unicodedata.category(sign) in {"Cc", "Cs"} for sign in text):
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
