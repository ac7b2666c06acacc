"""A department's system: proves itself with its own key, and delivers."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from app.walk.wire import Wire
from core import jose
from core.vault import Signer, SoftwareSigner

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
NDJSON, CSV = "application/x-ndjson", "text/csv"


@dataclass(frozen=True, slots=True)
class ClientFile:
    """A machine's client id and private key, as a file hands them over."""

    client_id: str
    signer: Signer

    @staticmethod
    def read(path: Path) -> "ClientFile":
        """Reads `{"client_id": …, "jwk": {…, "d": …}}`; ValueError where it is none."""
        kept = json.loads(path.read_text(encoding="utf-8"))
        try:
            key = jwt.PyJWK({**kept["jwk"], "alg": "ES256"}).key
            client_id = str(kept["client_id"])
        except (KeyError, TypeError, jwt.PyJWTError):
            raise ValueError(f"{path.name} holds no client id with a private key") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError(f"{path.name} holds no private key on P-256")  # noqa: TRY004  (the file is wrong)
        return ClientFile(client_id, SoftwareSigner(key))


def new_private_jwk() -> dict[str, str]:
    """A new P-256 key with its private part, as a client file carries it."""
    private = ec.generate_private_key(ec.SECP256R1())
    full = jwt.algorithms.ECAlgorithm.to_jwk(private, as_dict=True)
    return {name: str(full[name]) for name in ("kty", "crv", "x", "y", "d")}


def private_pem(jwk: dict[str, str]) -> bytes:
    """The same key as PEM, for tools that want a file."""
    key = jwt.PyJWK({**jwk, "alg": "ES256"}).key
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


class Machine:
    """One register or till, with its token."""

    def __init__(self, wire: Wire, client: ClientFile) -> None:
        self._wire, self._client = wire, client
        self._token: tuple[str, datetime] | None = None

    def token(self) -> tuple[str, int]:
        """A new access token, and for how many seconds it is good."""
        now = int(self._wire.now().timestamp())
        claims = {
            "iss": self._client.client_id,
            "sub": self._client.client_id,
            "aud": self._wire.url + "/oauth/token",
            "iat": now,
            "exp": now + 60,
            "jti": str(uuid4()),
        }
        kid = jose.thumbprint(self._client.signer.public_key)
        assertion = jose.sign(self._client.signer, claims, typ="JWT", protected={"kid": kid})
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": ASSERTION,
            "client_assertion": assertion,
        }
        given = self._wire.ask("POST", "/oauth/token", form=form).json()
        return str(given["access_token"]), int(given["expires_in"])

    def headers(self) -> dict[str, str]:
        """What proves the machine, renewed before it ends."""
        now = self._wire.now()
        if self._token is None or now >= self._token[1]:
            token, seconds = self.token()
            self._token = token, now + timedelta(seconds=seconds - 30)
        return {"Authorization": f"Bearer {self._token[0]}"}

    def ask(self, method: str, target: str, **rest: Any) -> Any:
        """A request in the machine's name."""
        headers = {**self.headers(), **rest.pop("headers", {})}
        answer = self._wire.ask(method, target, headers=headers, **rest)
        return answer.json() if answer.content else None


@dataclass(frozen=True, slots=True)
class Delivered:
    """How far a delivery has come, and what became of its rows."""

    id: str
    name: str
    state: str
    reason: str
    rows: int
    results: dict[str, int]

    @staticmethod
    def of(view: Mapping[str, Any]) -> "Delivered":
        return Delivered(
            **{name: view[name] for name in ("id", "name", "state", "reason", "rows", "results")}
        )


def deliver(
    machine: Machine,
    rows: bytes,
    *,
    mode: str = "changes",
    name: str | None = None,
    as_of: datetime | None = None,
    media: str = NDJSON,
    patience: float = 60,
) -> Delivered:
    """Hands rows over, and waits until they are applied, held or rejected, or patience is at its end."""
    lines = sum(bool(line.strip()) for line in rows.splitlines()) - (media == CSV)
    query = {"name": name or f"{uuid4()}", "rows": str(lines), "mode": mode}
    if as_of is not None:
        query["as_of"] = as_of.isoformat()
    view = machine.ask(
        "POST", f"/v1/deliveries?{urlencode(query)}", body=rows, headers={"Content-Type": media}
    )
    until = time.monotonic() + patience
    while view["state"] in {"checking", "applying"} and time.monotonic() < until:
        time.sleep(0.1)
        view = machine.ask("GET", f"/v1/deliveries/{view['id']}")
    return Delivered.of(view)
