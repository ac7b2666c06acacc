"""Machines that hold keys, for tests: one in memory that can fall silent, and a token of SoftHSM2 where it is installed."""

import os
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from core import p256
from core.vault import SealBroken, UnknownKey, VaultDamaged, VaultSilent, new_key, open_sealed, seal
from core.vault.hsm import Kept

PIN = "1234"
SOFTHSM = next(
    (
        path
        for folder in (
            "/usr/lib/softhsm",
            "/usr/lib/x86_64-linux-gnu/softhsm",
            "/usr/lib/aarch64-linux-gnu/softhsm",
        )
        if (path := Path(folder) / "libsofthsm2.so").exists()
    ),
    None,
)


@dataclass
class PretendMachine:
    """Does what a token does, and on demand hangs, fails or is gone."""

    held: dict[bytes, tuple[Kept, ec.EllipticCurvePrivateKey]] = field(default_factory=dict)
    wrapping: bytes = field(default_factory=new_key)
    answering: threading.Event = field(default_factory=threading.Event)
    broken: Exception | None = None
    reached: int = 0
    asked: int = 0

    def __post_init__(self) -> None:
        self.answering.set()

    def reach(self) -> "PretendMachine":
        self._turn()
        self.reached += 1
        return self

    def hang(self) -> None:
        self.answering.clear()

    def fail(self) -> None:
        self.broken = VaultSilent("the token answers DeviceRemoved")

    def recover(self) -> None:
        self.broken = None
        self.answering.set()

    def listed(self) -> list[Kept]:
        self._turn()
        return [kept for kept, _ in self.held.values()]

    def make(self, name: Callable[[bytes], tuple[bytes, str]]) -> Kept:
        self._turn()
        private_key = ec.generate_private_key(ec.SECP256R1())
        kid, own = name(_point(private_key))
        return self.take_in(kid, own, private_key)

    def take_in(self, kid: bytes, name: str, private_key: ec.EllipticCurvePrivateKey) -> Kept:
        self._turn()
        kept = Kept(kid, name, _point(private_key))
        self.held[kid] = (kept, private_key)
        return kept

    def sign(self, kid: bytes, digest: bytes) -> bytes:
        self._turn()
        if kid not in self.held:
            raise UnknownKey("none")
        der = self.held[kid][1].sign(digest, ec.ECDSA(Prehashed(hashes.SHA256())))
        return p256.raw_low_s(der)

    def drop(self, kid: bytes) -> None:
        self._turn()
        if self.held.pop(kid, None) is None:
            raise UnknownKey("none")

    def seal(self, plain: bytes, *, aad: bytes) -> bytes:
        self._turn()
        return seal(self.wrapping, plain, aad)

    def open(self, sealed: bytes, *, aad: bytes) -> bytes:
        self._turn()
        try:
            return open_sealed(self.wrapping, sealed, aad)
        except SealBroken:
            raise VaultDamaged("another's") from None

    def _turn(self) -> None:
        self.asked += 1
        self.answering.wait(20)
        if self.broken is not None:
            raise self.broken


@dataclass(frozen=True, slots=True)
class Token:
    """A token of SoftHSM2 for one test."""

    module: Path
    label: str = "citycard"
    pin: str = PIN


def make_token(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Token:
    """A fresh token in this folder; the test is skipped, and says so, where there is no SoftHSM2."""
    if SOFTHSM is None:
        pytest.skip("SoftHSM2 is not installed (Debian: apt-get install softhsm2)")
    pytest.importorskip("pkcs11", reason="the extra `hsm` is not installed")
    (folder / "tokens").mkdir(parents=True)
    conf = folder / "softhsm2.conf"
    conf.write_text(
        f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\nlog.level = ERROR\n"
    )
    monkeypatch.setenv("SOFTHSM2_CONF", str(conf))
    made = [
        "softhsm2-util",
        "--init-token",
        "--free",
        "--label",
        "citycard",
        "--pin",
        PIN,
        "--so-pin",
        "5678",
    ]
    subprocess.run(made, check=True, capture_output=True, env={**os.environ, "SOFTHSM2_CONF": str(conf)})
    return Token(SOFTHSM)


def _point(private_key: ec.EllipticCurvePrivateKey) -> bytes:
    return private_key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
