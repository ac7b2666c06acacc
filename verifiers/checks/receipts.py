"""What a scanner carries from a check to a redemption, so that nothing of it need be kept: sealed, short-lived."""

import hmac
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final
from uuid import UUID

from core.vault import SealBroken, Vault, open_sealed, seal
from issuers.credentials.card import CardId

LIFE: Final = timedelta(minutes=5)
LABEL: Final = "check-receipts/1"
NUMBERS: Final = "check-receipt-numbers/1"

_AAD: Final = b"citycard/receipt/1"
_FORM: Final = struct.Struct(">HIH?I16s16sI")
LENGTH: Final = 104
"""Characters of every receipt: how long it is says nothing of what is in it."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was accepted, for whom to redeem it: the card, its tariffs, the venue, the scanner, until when."""

    card: CardId
    tariff_bits: int
    named: bool
    """Whether the card showed a name that the till could compare with an ID."""
    venue: int
    scanner: UUID
    """The principal of the scanner: nobody else can use the receipt."""
    number: bytes
    """16 bytes that are the same for every answer to one showing, so that it is redeemed once."""
    expires_at: datetime


class Receipts:
    """Writes and reads receipts under the vault's secrets."""

    def __init__(self, vault: Vault) -> None:
        self._key, self._numbers = vault.secret(LABEL), vault.secret(NUMBERS)

    def number(self, *showing: object) -> bytes:
        """The number of one showing."""
        return hmac.digest(self._numbers, repr(showing).encode(), sha256)[:16]

    def write(self, receipt: Receipt) -> str:
        """The receipt as it travels: opaque, and always as long."""
        plain = _FORM.pack(
            receipt.card.status_list,
            receipt.card.index,
            receipt.tariff_bits,
            receipt.named,
            receipt.venue,
            receipt.scanner.bytes,
            receipt.number,
            int(receipt.expires_at.timestamp()),
        )
        return urlsafe_b64encode(seal(self._key, plain, _AAD)).rstrip(b"=").decode()

    def read(self, text: str) -> Receipt | None:
        """The receipt again, expired or not; None for anything that was not written here."""
        try:
            octets = urlsafe_b64decode(text + "=" * (-len(text) % 4))
            plain = open_sealed(self._key, octets, _AAD)
        except (SealBroken, NotBase64, ValueError):
            return None
        number, index, bits, named, venue, scanner, one, expires = _FORM.unpack(plain)
        return Receipt(
            CardId(number, index),
            bits,
            named,
            venue,
            UUID(bytes=scanner),
            one,
            datetime.fromtimestamp(expires, UTC),
        )
