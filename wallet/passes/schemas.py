"""What a holder is told of passes for the wallets of Apple and Google."""

from datetime import datetime
from uuid import UUID

from pydantic import Field

from core.schema import Schema
from wallet.passes.models import PassKind

ID = "7d9f3c1e-5a43-4f0e-9d55-0d8f6a3a2b11"


class NewWalletPass(Schema):
    """A holder's wish for a pass; to send it is to agree that the company keeps what the pass shows."""

    kind: PassKind = Field(description="For whose wallet", examples=["apple"])
    with_name: bool = Field(
        default=False,
        description="Whether the name stands on it for people to read; the code carries it as an ID spells it, as "
        "every code on paper does",
        examples=[False],
    )


class WalletPassView(Schema):
    """A pass that somebody wants or wanted."""

    id: UUID = Field(
        description="The pass; one for Apple is `/v1/wallet-passes/{id}/pass.pkpass`", examples=[ID]
    )
    kind: PassKind = Field(description="For whose wallet", examples=["apple"])
    named: bool = Field(description="Whether the name stands on it", examples=[False])
    agreed_at: datetime = Field(description="When its holder asked for it", examples=["2026-09-16T10:00:00Z"])
    expires_at: datetime = Field(
        description="When its code ends; asked for again, it gets a new one",
        examples=["2026-09-27T22:00:00Z"],
    )
    withdrawn_at: datetime | None = Field(
        description="Since when its holder does not want it any more", examples=[None]
    )


class NewWalletPassView(WalletPassView):
    """A pass that was just made."""

    save_link: str | None = Field(
        description="For Google: the link that saves it. It holds the pass: show it to its holder alone",
        examples=["https://pay.google.com/gp/v/save/eyJhbGciOiJSUzI1NiJ9.e30.c2ln"],
    )


class WalletPassesView(Schema):
    """Which passes there are, and which a person has."""

    offered: list[PassKind] = Field(
        description="For whose wallets this city makes passes", examples=[["apple"]]
    )
    passes: list[WalletPassView] = Field(description="The latest first")
