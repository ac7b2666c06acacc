"""What a device keeps between two commands: one folder that only its owner can read, keys as PEM files in it."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from core.vault import SoftwareSigner


class NotThere(Exception):
    """The device has nothing of this name; an earlier step is missing."""


class Drawer:
    """A folder with the mode 0700, whose files have the mode 0600."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, name: str) -> dict[str, Any]:
        """The document of this name; empty where there is none yet."""
        try:
            kept: dict[str, Any] = json.loads((self.folder / f"{name}.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return kept

    def write(self, name: str, content: Mapping[str, Any]) -> None:
        """Puts the document in the place of the one before, whole or not at all."""
        self._put(f"{name}.json", json.dumps(content, ensure_ascii=False, indent=1).encode())

    def take(self, name: str) -> bytes:
        """A file as it was put; NotThere where there is none."""
        try:
            return (self.folder / name).read_bytes()
        except FileNotFoundError:
            raise NotThere(name) from None

    def put(self, name: str, octets: bytes) -> None:
        """Keeps a file."""
        self._put(name, octets)

    def new_key(self, name: str) -> SoftwareSigner:
        """Makes a key; it is on the disk before anybody hears of it."""
        private = ec.generate_private_key(ec.SECP256R1())
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self._put(f"{name}.pem", pem)
        return SoftwareSigner(private)

    def key(self, name: str) -> SoftwareSigner:
        """The key of this name; NotThere where there is none."""
        private = load_pem_private_key(self.take(f"{name}.pem"), password=None)
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            raise NotThere(name)
        return SoftwareSigner(private)

    def forget(self, name: str) -> None:
        """Removes a key or a document for good."""
        for suffix in (".json", ".pem", ""):
            (self.folder / f"{name}{suffix}").unlink(missing_ok=True)

    def _put(self, name: str, octets: bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside = path.with_name(path.name + ".new")
        beside.unlink(missing_ok=True)
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(octets)
        beside.replace(path)
