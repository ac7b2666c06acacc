"""The vault as one encrypted file: scrypt makes a key of the passphrase, AES-256-GCM closes the contents."""

import fcntl
import hmac
import json
import os
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import cast

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from core.vault.keys import KeyUse, VaultDamaged, VaultExposed, VaultMissing, WrongPassphrase
from core.vault.ring import ROOT_LENGTH, Contents, HeldKey, KeyRing
from core.vault.sealing import SealBroken, open_sealed, seal

_FORMAT = "citycard-vault/1"
_LARGEST = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Cost:
    """How hard a guess at the passphrase is; 32 MiB and a fifth of a second by default."""

    n: int = 2**15
    r: int = 8
    p: int = 3

    def __post_init__(self) -> None:
        # The numbers come from a file that others may have touched: they must not make us ask for all memory.
        power_of_two = self.n >= 2 and self.n & (self.n - 1) == 0
        if not (power_of_two and 1 <= self.r <= 32 and 1 <= self.p <= 16 and 128 * self.n * self.r <= 2**30):
            raise ValueError("these scrypt parameters are outside what is taken")


@dataclass(frozen=True, slots=True)
class _Lock:
    """The key that closes the file, with what is needed to make it again from the passphrase."""

    salt: bytes
    cost: Cost
    key: bytes = field(repr=False)
    check: bytes

    @classmethod
    def of(cls, passphrase: str, salt: bytes, cost: Cost) -> "_Lock":
        # The check tells a wrong passphrase from a damaged file; it gives a guesser no more than the seal does.
        derived = Scrypt(salt=salt, length=48, n=cost.n, r=cost.r, p=cost.p).derive(passphrase.encode())
        return cls(salt, cost, derived[:32], derived[32:])


@dataclass(frozen=True, slots=True)
class _Closed:
    """The file as it lies there: nothing of it is secret without the passphrase."""

    cost: Cost
    salt: bytes
    check: bytes
    sealed: bytes

    @classmethod
    def read(cls, raw: bytes) -> "_Closed":
        """The file's parts; ValueError, KeyError or TypeError where it is not of our making."""
        if len(raw) > _LARGEST:
            raise ValueError("larger than any vault")
        read = json.loads(raw)
        if read["format"] != _FORMAT:
            raise ValueError("another format")
        salt, check, sealed = (b64decode(read[name], validate=True) for name in ("salt", "check", "sealed"))
        return cls(Cost(read["n"], read["r"], read["p"]), salt, check, sealed)

    def written(self) -> bytes:
        head = {"format": _FORMAT, "kdf": "scrypt", "n": self.cost.n, "r": self.cost.r, "p": self.cost.p}
        octets = {"salt": self.salt, "check": self.check, "sealed": self.sealed}
        body = {name: b64encode(value).decode() for name, value in octets.items()}
        return json.dumps(head | body, indent=1).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class _Loaded:
    """The contents with the file they were read from."""

    seen: tuple[int, int, int]
    lock: _Lock = field(repr=False)
    contents: Contents = field(repr=False)


class FileVault(KeyRing):
    """Opens the vault at `path`; several processes may use the same file, and each sees the others' changes.

    A vault is made once, with `FileVault.found`: a path that is mounted wrongly must not silently become a new
    vault with other keys.
    """

    def __init__(self, path: Path, passphrase: str) -> None:
        self._path = path.resolve()
        self._passphrase = passphrase
        self._loaded: _Loaded | None = None
        self._contents()

    @classmethod
    def found(cls, path: Path, passphrase: str, cost: Cost | None = None) -> "FileVault":
        """Opens the vault, or makes it where there is none yet; of two who come at once, one makes it."""
        path = path.resolve()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with alone(path):
            if not path.exists():
                lock = _Lock.of(_strong(passphrase), os.urandom(16), cost or Cost())
                replaced(path, _closed(lock, Contents.fresh()))
        return cls(path, passphrase)

    def change_passphrase(self, new: str, cost: Cost | None = None) -> None:
        """Closes the file with another passphrase; other processes need it from their next look on."""
        with alone(self._path):
            contents = self._contents()
            lock = _Lock.of(_strong(new), os.urandom(16), cost or Cost())
            self._passphrase = new
            self._keep(lock, contents)

    def __repr__(self) -> str:
        return f"FileVault({str(self._path)!r})"

    def _contents(self) -> Contents:
        # A look at the file's place, size and time costs a microsecond and tells us of another process's change.
        # A file that has gone or cannot be read ends signing: a key may have been removed for a reason.
        try:
            seen = _sight(self._path.stat())
        except OSError as error:
            raise VaultMissing(f"there is no vault at {self._path}") from error
        loaded = self._loaded
        if loaded is None or loaded.seen != seen:
            loaded = self._loaded = self._read(loaded)
        return loaded.contents

    def _change(self, edit: Callable[[Contents], Contents]) -> None:
        with alone(self._path):
            before = self._contents()
            after = edit(before)
            if after is not before:
                self._keep(cast("_Loaded", self._loaded).lock, after)

    def _keep(self, lock: _Lock, contents: Contents) -> None:
        self._loaded = _Loaded(replaced(self._path, _closed(lock, contents)), lock, contents)

    def _read(self, before: _Loaded | None) -> _Loaded:
        try:
            with self._path.open("rb") as file:
                status = os.fstat(file.fileno())
                raw = file.read(_LARGEST + 1)
        except OSError as error:
            raise VaultMissing(f"the vault at {self._path} cannot be read") from error
        if status.st_mode & 0o077:
            raise VaultExposed(f"others may read the vault at {self._path}; give it the mode 0600")
        try:
            closed = _Closed.read(raw)
        except (ValueError, KeyError, TypeError):
            raise VaultDamaged(f"the file at {self._path} is not a vault, or it is damaged") from None
        if before is not None and (before.lock.salt, before.lock.cost) == (closed.salt, closed.cost):
            lock = before.lock
        else:
            lock = _Lock.of(self._passphrase, closed.salt, closed.cost)
        if not hmac.compare_digest(lock.check, closed.check):
            raise WrongPassphrase(f"the passphrase does not open the vault at {self._path}")
        try:
            plain = open_sealed(lock.key, closed.sealed, _aad(lock))
            return _Loaded(_sight(status), lock, _contents_of(plain))
        except (SealBroken, ValueError, KeyError, TypeError):
            raise VaultDamaged(f"the vault at {self._path} was changed by another hand") from None


def _strong(passphrase: str) -> str:
    if len(passphrase) < 12:
        raise ValueError("a vault's passphrase has at least twelve characters")
    return passphrase


def _sight(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_mtime_ns, status.st_size


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Holds everybody else off changes; a lock on a file of its own, since the vault's is replaced."""
    descriptor = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def replaced(path: Path, raw: bytes) -> tuple[int, int, int]:
    """Puts the new file in the old one's place: whole or not at all, also when the power goes."""
    beside = path.with_name(path.name + ".new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(descriptor)
        sight = _sight(os.fstat(descriptor))
    beside.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return sight


def _aad(lock: _Lock) -> bytes:
    return f"{_FORMAT} {lock.cost.n} {lock.cost.r} {lock.cost.p} ".encode() + lock.salt


def _closed(lock: _Lock, contents: Contents) -> bytes:
    plain = {
        "root": b64encode(contents.root).decode(),
        "keys": [
            {
                "use": held.info.use,
                "created_at": held.info.created_at.isoformat(),
                "private": b64encode(
                    held.private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
                ).decode(),
            }
            for held in contents.keys.values()
        ],
    }
    sealed = seal(lock.key, json.dumps(plain).encode(), _aad(lock))
    return _Closed(lock.cost, lock.salt, lock.check, sealed).written()


def _contents_of(plain: bytes) -> Contents:
    read = json.loads(plain)
    root = b64decode(read["root"], validate=True)
    if len(root) != ROOT_LENGTH:
        raise ValueError("the root has another length")
    contents = Contents(root)
    for entry in read["keys"]:
        private_key = load_der_private_key(b64decode(entry["private"], validate=True), password=None)
        if not isinstance(private_key, ec.EllipticCurvePrivateKey):
            raise TypeError("a key of another kind")
        created_at = datetime.fromisoformat(entry["created_at"])
        contents = contents.having(HeldKey.of(KeyUse(entry["use"]), private_key, created_at))
    return contents
