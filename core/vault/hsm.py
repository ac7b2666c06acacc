"""The vault as a machine that keeps the keys to itself: it signs for us, and opens the root that our secrets follow from."""

import json
import os
import threading
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Protocol

import structlog
from cryptography.hazmat.primitives.asymmetric import ec

from core import p256
from core.vault.file import alone, replaced
from core.vault.hands import Hands
from core.vault.keys import KeyInfo, KeyUse, UnknownKey, VaultDamaged, VaultError, VaultMissing, WrongUse
from core.vault.ring import ROOT_LENGTH, aware, secret_of

PULSE = 2.0
"""Seconds between two looks at the machine: what another instance changed is known, and silence is noticed."""

LIMIT = 1.0
"""Seconds for one answer; a machine in its own network needs a few thousandths."""

HANDS = 1
"""How many ask at once. PyPI python-pkcs11 tells the library that one thread does (C_Initialize without arguments)."""

_FORMAT = "citycard-hsm/1"
_NAME = "citycard"
_LARGEST = 4096

log = structlog.get_logger("vault")


@dataclass(frozen=True, slots=True)
class Kept:
    """A key pair as the machine lists it."""

    kid: bytes
    name: str
    point: bytes
    """The public key, uncompressed."""


class Machine(Protocol):
    """One session with the machine. Whatever goes wrong with the session itself is VaultSilent."""

    def listed(self) -> list[Kept]:
        """The key pairs whose name begins with ours."""
        ...

    def make(self, name: Callable[[bytes], tuple[bytes, str]]) -> Kept:
        """A new pair on P-256 whose private half never leaves; `name` gives kid and name for its point."""
        ...

    def take_in(self, kid: bytes, name: str, private_key: ec.EllipticCurvePrivateKey) -> Kept:
        """Keeps a pair that was made elsewhere; it does not leave either."""
        ...

    def sign(self, kid: bytes, digest: bytes) -> bytes:
        """ECDSA over a digest, raw r‖s; UnknownKey where there is no such key."""
        ...

    def drop(self, kid: bytes) -> None:
        """Removes a pair for good; UnknownKey where there is none."""
        ...

    def seal(self, plain: bytes, *, aad: bytes) -> bytes:
        """Encrypts under the machine's own wrapping key, made at the first time."""
        ...

    def open(self, sealed: bytes, *, aad: bytes) -> bytes:
        """What was sealed; VaultDamaged where this machine did not seal it."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class HsmSigner:
    """A key in the machine."""

    kid: bytes
    public_key: ec.EllipticCurvePublicKey
    _hands: Hands[Machine] = field(repr=False)

    def sign(self, data: bytes) -> bytes:
        """ES256 over the data: raw r‖s with low s. VaultSilent where the machine does not answer in time."""
        digest = sha256(data).digest()
        return p256.low_s(self._hands.ask(lambda machine: machine.sign(self.kid, digest)))


@dataclass(frozen=True, slots=True)
class _Held:
    info: KeyInfo
    signer: HsmSigner


class HsmVault:
    """Opens the vault whose keys are in a machine and whose sealed root is in the file at `path`.

    Public halves and the root are kept in memory, so whatever needs no signature goes on when the machine is gone:
    checks, reading, sealing. Without it a process cannot start, since the root is opened once, at the start.
    Looks at the machine every `pulse` seconds; None leaves that to the caller (`look`).
    """

    def __init__(
        self,
        path: Path,
        reach: Callable[[], Machine],
        *,
        limit: float = LIMIT,
        hands: int = HANDS,
        pulse: float | None = PULSE,
    ) -> None:
        self._path = path.resolve()
        self._hands = Hands(reach, hands=hands, limit=limit)
        self._keys: dict[str, _Held] = {}
        self._listing = threading.Lock()
        sealed = _read(self._path)
        self._root = self._hands.ask(lambda machine: machine.open(sealed, aad=_FORMAT.encode()))
        if len(self._root) != ROOT_LENGTH:
            raise VaultDamaged(f"the root in {self._path} has another length")
        self._secrets: dict[str, bytes] = {}
        self.look()
        self._ended = threading.Event()
        if pulse is not None:
            threading.Thread(target=self._beat, args=(pulse,), name="vault-pulse", daemon=True).start()

    @classmethod
    def found(
        cls,
        path: Path,
        reach: Callable[[], Machine],
        *,
        limit: float = LIMIT,
        hands: int = HANDS,
        pulse: float | None = PULSE,
    ) -> "HsmVault":
        """Opens the vault, or makes a root and seals it where there is none yet; of two who come at once, one does."""
        path = path.resolve()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with alone(path):
            if not path.exists():
                root = os.urandom(ROOT_LENGTH)
                first = Hands(reach, hands=1, limit=limit)
                try:
                    sealed = first.ask(lambda machine: machine.seal(root, aad=_FORMAT.encode()))
                finally:
                    first.close()
                kept = {"format": _FORMAT, "sealed": b64encode(sealed).decode()}
                replaced(path, json.dumps(kept, indent=1).encode() + b"\n")
        return cls(path, reach, limit=limit, hands=hands, pulse=pulse)

    @property
    def silent(self) -> bool:
        """Whether the machine did not answer when it was asked last."""
        return self._hands.silent

    def look(self) -> None:
        """Asks the machine what it holds; VaultSilent where it does not answer. Its answer ends a silence."""
        listed = self._hands.try_again(lambda machine: machine.listed())
        self._learn(listed)

    def signer(self, key_id: str, use: KeyUse | None = None) -> HsmSigner:
        """The signer of this name; VaultSilent at once while the machine is silent, before anything is written."""
        held = self._keys.get(key_id)
        if held is None:
            # Another instance may have made it since the last look.
            self._learn(self._hands.ask(lambda machine: machine.listed()))
            held = self._keys.get(key_id)
        if held is None:
            raise UnknownKey(f"the machine holds no key {key_id}")
        if use is not None and held.info.use is not use:
            raise WrongUse(f"key {key_id} is for {held.info.use}, not for {use}")
        if self._hands.silent:
            self._hands.ask(lambda machine: machine.listed())  # says so at once
        return held.signer

    def create(self, use: KeyUse, now: datetime) -> KeyInfo:
        """Makes a new key in the machine."""
        return self._make(use, aware(now))

    def adopt(self, use: KeyUse, private_key: ec.EllipticCurvePrivateKey, now: datetime) -> KeyInfo:
        """Takes in a key made elsewhere, for example of a certificate; better made in the machine."""
        public_key = private_key.public_key()
        kid = p256.kid_of(public_key)
        with alone(self._path):
            self._learn(self._hands.ask(lambda machine: machine.listed()))
            there = self._keys.get(kid.hex())
            if there is not None:
                if there.info.public_key != public_key:
                    raise ValueError("another key of the vault has the same short name")
                if there.info.use is not use:
                    raise WrongUse(f"this key is already kept for {there.info.use}")
                return there.info
            name = _name(use, aware(now))
            return self._take(self._hands.ask(lambda machine: machine.take_in(kid, name, private_key)))

    def ensure(self, use: KeyUse, now: datetime) -> KeyInfo:
        """The newest key of this use, made if there is none yet."""
        found = self.keys(use)
        if found:
            return found[-1]
        with alone(self._path):
            self._learn(self._hands.ask(lambda machine: machine.listed()))
            found = self.keys(use)
            return found[-1] if found else self._make(use, aware(now))

    def keys(self, use: KeyUse | None = None) -> tuple[KeyInfo, ...]:
        """The keys as of the last look, oldest first; answers while the machine is silent."""
        infos = [held.info for held in self._keys.values() if use is None or held.info.use is use]
        return tuple(sorted(infos, key=lambda info: (info.created_at, info.kid)))

    def destroy(self, key_id: str) -> None:
        """Removes a key for good."""
        self._hands.ask(lambda machine: machine.drop(_kid(key_id)))
        with self._listing:
            self._keys = {name: held for name, held in self._keys.items() if name != key_id}

    def secret(self, label: str) -> bytes:
        """32 bytes that follow from the root and this label; from memory."""
        found = self._secrets.get(label)
        if found is None:
            found = self._secrets[label] = secret_of(self._root, label)
        return found

    def close(self) -> None:
        """Lets the machine go; for whoever opens many vaults in one process."""
        self._ended.set()
        self._hands.close()

    def __repr__(self) -> str:
        return f"HsmVault({str(self._path)!r})"

    def _make(self, use: KeyUse, now: datetime) -> KeyInfo:
        def name(point: bytes) -> tuple[bytes, str]:
            kid = p256.kid_of(_public(point))
            # Four bytes can meet by chance: a name that is taken is not given twice.
            if kid.hex() in self._keys:
                raise VaultError("the new key has the short name of another; ask again")
            return kid, _name(use, now)

        return self._take(self._hands.ask(lambda machine: machine.make(name)))

    def _take(self, kept: Kept) -> KeyInfo:
        held = self._held(kept)
        with self._listing:
            self._keys = {**self._keys, held.info.key_id: held}
        return held.info

    def _learn(self, listed: list[Kept]) -> None:
        with self._listing:
            known: dict[str, _Held] = {}
            for kept in listed:
                before = self._keys.get(kept.kid.hex())
                try:
                    held = before or self._held(kept)
                except ValueError:
                    log.warning("vault.foreign_key", kid=kept.kid.hex())
                    continue
                known[held.info.key_id] = held
            self._keys = known

    def _held(self, kept: Kept) -> _Held:
        use, _, moment = kept.name.removeprefix(f"{_NAME}/").partition("/")
        public_key = _public(kept.point)
        if p256.kid_of(public_key) != kept.kid:
            raise ValueError("the key has the name of another")
        info = KeyInfo(kept.kid, KeyUse(use), public_key, aware(datetime.fromisoformat(moment)))
        return _Held(info, HsmSigner(kept.kid, public_key, self._hands))

    def _beat(self, pulse: float) -> None:
        while not self._ended.wait(pulse):
            try:
                self.look()
            except VaultError:
                continue  # it was said when the silence began


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(_LARGEST + 1)
    except OSError as error:
        raise VaultMissing(f"there is no sealed root at {path}") from error
    try:
        read = json.loads(raw[:_LARGEST])
        sealed = b64decode(read["sealed"], validate=True) if read["format"] == _FORMAT else b""
    except (ValueError, KeyError, TypeError):
        sealed = b""
    if not sealed:
        raise VaultDamaged(f"the file at {path} holds no root that a machine has sealed")
    return sealed


def _name(use: KeyUse, created_at: datetime) -> str:
    return f"{_NAME}/{use.value}/{created_at.isoformat()}"


def _public(point: bytes) -> ec.EllipticCurvePublicKey:
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)


def _kid(key_id: str) -> bytes:
    try:
        return bytes.fromhex(key_id)
    except ValueError:
        raise UnknownKey(f"the machine holds no key {key_id}") from None
