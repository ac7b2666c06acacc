"""How keys are spoken of over the wire: public halves only."""

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from core.schema import Schema, Word
from core.vault import KeyUse


class RotatedUse(StrEnum):
    """The uses whose keys the authority rotates by itself."""

    CARD = KeyUse.CARD.value
    PRINTED = KeyUse.PRINTED.value
    CREDENTIAL = KeyUse.CREDENTIAL.value
    STATUS_LIST = KeyUse.STATUS_LIST.value
    TRUST_LIST = KeyUse.TRUST_LIST.value
    CHECKPOINT = KeyUse.CHECKPOINT.value


class NewKey(Schema):
    """The wish for a next key."""

    use: RotatedUse = Field(description="What the key will sign", examples=["card"])
    not_before: datetime | None = Field(
        default=None,
        description="From when on it signs; without it, once every scanner can know it (a day; fourteen for the "
        "trust list's own key)",
        examples=["2026-10-01T00:00:00Z"],
    )


class Withdrawal(Schema):
    """Why a key is taken out at once."""

    reason: Word = Field(description="A word for the reason", examples=["compromised"])


class KeyView(Schema):
    """A key as everybody may know it."""

    key_id: str = Field(description="The four bytes of the kid, in hexadecimal", examples=["8f3a01bc"])
    use: str = Field(description="What it signs", examples=["card"])
    jwk: dict[str, str] = Field(
        description="The public half",
        examples=[
            {
                "kty": "EC",
                "crv": "P-256",
                "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
                "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
            }
        ],
    )
    created_at: datetime = Field(description="When it was made", examples=["2026-09-01T08:00:00Z"])
    not_before: datetime = Field(description="From when on it signs", examples=["2026-09-02T08:00:00Z"])
    withdrawn_at: datetime | None = Field(
        description="Since when nothing that it signed counts", examples=[None]
    )
    withdrawn_for: str | None = Field(description="A word for the reason", examples=[None])


class KeysView(Schema):
    """Every key that the authority has had."""

    keys: list[KeyView] = Field(description="By use, oldest first")
