"""What a vault is to the rest of the house: it names keys, signs and derives secrets, and no private key leaves it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol, runtime_checkable

from cryptography.hazmat.primitives.asymmetric import ec

from core.errors import Unavailable


class KeyUse(StrEnum):
    """What a key signs. What one use signed is never accepted for another."""

    CARD = "card"
    PRINTED = "printed"
    CREDENTIAL = "credential"
    STATUS_LIST = "status-list"
    TRUST_LIST = "trust-list"
    CHECKPOINT = "checkpoint"
    ACCESS_TOKEN = "access-token"  # noqa: S105  (a word for a use, no secret)
    ID_TOKEN = "id-token"  # noqa: S105  (the demo's own OpenID provider)
    CLIENT_ASSERTION = "client-assertion"
    PRESENTATION_REQUEST = "presentation-request"
    DEVELOPMENT_CA = "development-ca"
    """Certifies the keys above where no real authority does; never in production."""


class Label(StrEnum):
    """What the secrets are for that follow from the vault's root; the number rises when a secret is replaced.

    A derived secret lives as long as the root. What must die earlier (an identity key, the key of a counting
    period) is a random key in a row, wrapped under one of these, and dies with its row.
    """

    IDENTITY_KEYS = "identity-keys/1"
    """Wraps each person's own identity key."""
    IDEMPOTENCY = "idempotency"
    """Finds and seals the stored answers of writes."""
    LOGIN_LINKS = "login-links/1"
    """Pepper of the HMAC over OpenID issuer and subject."""
    ONE_TIME_CODES = "one-time-codes/1"
    """Pepper of the HMAC over enrolment and activation codes."""
    PERIOD_KEYS = "period-keys/1"
    """Wraps the keys under which uses are counted, each of which dies with its period."""
    ROUNDING = "rounding/1"
    """Draws by which chance the numbers of simulations are rounded up or down."""


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """What may be known of a key: everything but its private half."""

    kid: bytes
    use: KeyUse
    public_key: ec.EllipticCurvePublicKey
    created_at: datetime

    @property
    def key_id(self) -> str:
        """The kid as rows, JOSE headers and the trust list write it: eight hexadecimal digits."""
        return self.kid.hex()


class Signer(Protocol):
    """One key that can sign; taken for the work at hand and not kept, because a key may be removed."""

    @property
    def kid(self) -> bytes:
        """The key's short name, four bytes."""
        ...

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The half that verifies."""
        ...

    def sign(self, data: bytes) -> bytes:
        """ES256 over the data: raw r‖s, 64 bytes, low s. VaultError where the key cannot be reached."""
        ...


@runtime_checkable
class Vault(Protocol):
    """Where the keys are."""

    def signer(self, key_id: str, use: KeyUse | None = None) -> Signer:
        """The signer of this name. UnknownKey if there is none, WrongUse if it is not for this use."""
        ...

    def create(self, use: KeyUse, now: datetime) -> KeyInfo:
        """Makes a new key."""
        ...

    def adopt(self, use: KeyUse, private_key: ec.EllipticCurvePrivateKey, now: datetime) -> KeyInfo:
        """Takes in a key made elsewhere; taking in the same key twice changes nothing."""
        ...

    def ensure(self, use: KeyUse, now: datetime) -> KeyInfo:
        """The newest key of this use, made if there is none yet; of two processes that ask, one makes it."""
        ...

    def keys(self, use: KeyUse | None = None) -> tuple[KeyInfo, ...]:
        """The keys, oldest first."""
        ...

    def destroy(self, key_id: str) -> None:
        """Removes a key for good; it signs nothing any more, here or in another process."""
        ...

    def secret(self, label: str) -> bytes:
        """32 bytes that follow from the vault's root and this label; see `Label`."""
        ...


class VaultError(Unavailable):
    """The vault cannot serve. The operator reads why; a caller only learns that it is out of reach."""

    def __init__(self, why: str) -> None:
        super().__init__()
        self.args = (why,)


class VaultMissing(VaultError):
    """There is no vault where the settings say."""


class VaultExposed(VaultError):
    """Others than the owner may read the vault's file."""


class WrongPassphrase(VaultError):
    """The passphrase is not the one that this vault was closed with."""


class VaultDamaged(VaultError):
    """The vault's file is not as it was written."""


class VaultSilent(VaultError):
    """The machine that holds the keys does not answer, or not in time."""


class UnknownKey(VaultError):
    """The vault holds no key of this name."""


class WrongUse(ValueError):
    """A key was asked to sign what it is not for."""
