"""Keys held in memory: what every software vault does once it is open."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from threading import Lock

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from core import p256
from core.vault.keys import KeyInfo, KeyUse, UnknownKey, WrongUse

ROOT_LENGTH = 32


class SoftwareSigner:
    """A signer whose private key is in this process."""

    __slots__ = ("_private_key", "kid", "public_key")

    def __init__(self, private_key: ec.EllipticCurvePrivateKey) -> None:
        if private_key.curve.name != ec.SECP256R1.name:
            raise ValueError("keys here are on P-256")
        self._private_key = private_key
        self.public_key = private_key.public_key()
        self.kid = p256.kid_of(self.public_key)

    def sign(self, data: bytes) -> bytes:
        """ES256 over the data: raw r‖s with low s."""
        return p256.sign(self._private_key, data)


@dataclass(frozen=True, slots=True)
class HeldKey:
    """A key with its private half, which no representation shows."""

    info: KeyInfo
    private_key: ec.EllipticCurvePrivateKey = field(repr=False)
    signer: SoftwareSigner = field(repr=False)

    @classmethod
    def of(cls, use: KeyUse, private_key: ec.EllipticCurvePrivateKey, created_at: datetime) -> "HeldKey":
        signer = SoftwareSigner(private_key)
        return cls(KeyInfo(signer.kid, use, signer.public_key, created_at), private_key, signer)


@dataclass(frozen=True, slots=True)
class Contents:
    """All that a vault keeps; replaced as a whole, so that a reader never sees half a change."""

    root: bytes = field(repr=False)
    keys: Mapping[str, HeldKey] = field(default_factory=dict)

    @classmethod
    def fresh(cls) -> "Contents":
        """An empty vault with a root of its own."""
        return cls(os.urandom(ROOT_LENGTH))

    def having(self, key: HeldKey) -> "Contents":
        return replace(self, keys={**self.keys, key.info.key_id: key})

    def without(self, key_id: str) -> "Contents":
        return replace(self, keys={name: key for name, key in self.keys.items() if name != key_id})


class KeyRing(ABC):
    """The verbs of a software vault, over contents that a subclass reads and replaces."""

    @abstractmethod
    def _contents(self) -> Contents:
        """What the vault holds at this moment."""

    @abstractmethod
    def _change(self, edit: Callable[[Contents], Contents]) -> None:
        """Replaces the contents by what `edit` makes of them; nobody else changes them meanwhile."""

    def signer(self, key_id: str, use: KeyUse | None = None) -> SoftwareSigner:
        held = self._contents().keys.get(key_id)
        if held is None:
            raise UnknownKey(f"the vault holds no key {key_id}")
        if use is not None and held.info.use is not use:
            raise WrongUse(f"key {key_id} is for {held.info.use}, not for {use}")
        return held.signer

    def create(self, use: KeyUse, now: datetime) -> KeyInfo:
        made: list[KeyInfo] = []

        def edit(contents: Contents) -> Contents:
            # Four bytes can meet by chance: a name that is taken is not given twice.
            key = _new_key(use, now)
            while key.info.key_id in contents.keys:
                key = _new_key(use, now)
            made.append(key.info)
            return contents.having(key)

        self._change(edit)
        return made[0]

    def adopt(self, use: KeyUse, private_key: ec.EllipticCurvePrivateKey, now: datetime) -> KeyInfo:
        offered = HeldKey.of(use, private_key, aware(now))
        kept = [offered.info]

        def edit(contents: Contents) -> Contents:
            there = contents.keys.get(offered.info.key_id)
            if there is None:
                return contents.having(offered)
            if there.info.public_key != offered.info.public_key:
                raise ValueError("another key of the vault has the same short name")
            if there.info.use is not use:
                raise WrongUse(f"this key is already kept for {there.info.use}")
            kept[0] = there.info
            return contents

        self._change(edit)
        return kept[0]

    def ensure(self, use: KeyUse, now: datetime) -> KeyInfo:
        found = [*self.keys(use)]
        if found:
            return found[-1]

        def edit(contents: Contents) -> Contents:
            found.extend(_of_use(contents, use))
            if found:
                return contents
            key = _new_key(use, now)
            found.append(key.info)
            return contents.having(key)

        self._change(edit)
        return found[-1]

    def keys(self, use: KeyUse | None = None) -> tuple[KeyInfo, ...]:
        return tuple(_of_use(self._contents(), use))

    def destroy(self, key_id: str) -> None:
        def edit(contents: Contents) -> Contents:
            if key_id not in contents.keys:
                raise UnknownKey(f"the vault holds no key {key_id}")
            return contents.without(key_id)

        self._change(edit)

    def secret(self, label: str) -> bytes:
        return secret_of(self._contents().root, label)


class MemoryVault(KeyRing):
    """A vault that forgets everything with the process: for tests and for tools that hold a key of their own."""

    def __init__(self) -> None:
        self._held = Contents.fresh()
        self._alone = Lock()

    def _contents(self) -> Contents:
        return self._held

    def _change(self, edit: Callable[[Contents], Contents]) -> None:
        with self._alone:
            self._held = edit(self._held)


def secret_of(root: bytes, label: str) -> bytes:
    """The 32 bytes that follow from a vault's root and a label (HKDF with SHA-256, RFC 5869)."""
    derive = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"citycard/secret/" + label.encode())
    return derive.derive(root)


def _new_key(use: KeyUse, now: datetime) -> HeldKey:
    return HeldKey.of(use, ec.generate_private_key(ec.SECP256R1()), aware(now))


def _of_use(contents: Contents, use: KeyUse | None) -> list[KeyInfo]:
    infos = [held.info for held in contents.keys.values() if use is None or held.info.use is use]
    return sorted(infos, key=lambda info: info.created_at)


def aware(now: datetime) -> datetime:
    """The moment itself; ValueError for one without a time zone."""
    if now.tzinfo is None:
        raise ValueError("a moment without a time zone cannot be compared with others")
    return now
