"""Signed requests (RFC 9421, body by RFC 9530): how a scanner proves each request, and how that is read.

One closed form is written and taken: label `sig1`, ES256, the components below, each in its one spelling.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.asymmetric import ec

from core import p256
from core.errors import NotSignedIn
from core.jose import thumbprint
from core.vault import Signer

TOLERANCE = timedelta(seconds=60)
"""How far a scanner's clock may be from ours."""

ALGORITHM = "ecdsa-p256-sha256"

_COMPONENTS = frozenset({"@method", "@path", "@query", "content-digest", "idempotency-key"})
_INPUT = re.compile(
    r'sig1=(?P<parameters>\((?P<components>"[@a-z-]{1,20}"(?: "[@a-z-]{1,20}"){0,7})\)'
    r';created=(?P<created>[0-9]{1,10});keyid="(?P<key_id>[A-Za-z0-9_-]{43})";alg="ecdsa-p256-sha256")'
)
_SIGNATURE = re.compile(r"sig1=:(?P<signature>[A-Za-z0-9+/]{86}==):")


class SignatureRefused(NotSignedIn):
    """The request's signature does not hold, or is not of the form that is taken."""

    slug, title = "signature-refused", "The request's signature was not accepted"


class ClockOff(NotSignedIn):
    """The signature holds, but the clock it was made by is too far from ours; the answer brings the time."""

    slug, title = "clock-off", "The clock of the device is wrong"

    def __init__(self, now: datetime) -> None:
        super().__init__(
            "the request was signed at another time than this; set the clock by server_time and sign again",
            server_time=int(now.timestamp()),
        )


@dataclass(frozen=True, slots=True)
class Message:
    """Of a request, what a signature can cover."""

    method: str
    path: str
    """As it stood in the request line, escapes and all."""
    query: str = ""
    idempotency_key: str | None = None
    body: bytes = b""

    def components(self) -> tuple[str, ...]:
        """All that this request has, and so all that must be covered."""
        present = ["@method", "@path"]
        if self.query:
            present.append("@query")
        if self.body or self.method not in {"GET", "HEAD", "DELETE"}:
            present.append("content-digest")
        if self.idempotency_key is not None:
            present.append("idempotency-key")
        return tuple(present)

    def value(self, component: str) -> str | None:
        match component:
            case "@method":
                return self.method
            case "@path":
                return self.path
            case "@query":
                return f"?{self.query}"
            case "content-digest":
                return content_digest(self.body)
            case _:
                return self.idempotency_key


@dataclass(frozen=True, slots=True)
class Claimed:
    """A signature as the request brings it; nothing is settled yet."""

    key_id: str
    created: datetime
    components: tuple[str, ...]
    parameters: str
    signature: bytes


def content_digest(body: bytes) -> str:
    """The body's digest as a header."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def sign_request(
    signer: Signer,
    method: str,
    target: str,
    body: bytes = b"",
    *,
    created: datetime,
    idempotency_key: str | None = None,
) -> dict[str, str]:
    """The headers that prove a request; `target` is path and query as they will be sent.

    The Idempotency-Key is among them where there is one.
    """
    path, _, query = target.partition("?")
    message = Message(method, path, query, idempotency_key, body)
    components = message.components()
    listed = " ".join(f'"{component}"' for component in components)
    moment = int(created.timestamp())
    parameters = f'({listed});created={moment};keyid="{thumbprint(signer.public_key)}";alg="{ALGORITHM}"'
    signature = base64.b64encode(signer.sign(_base(message, components, parameters))).decode()
    headers = {"Signature-Input": f"sig1={parameters}", "Signature": f"sig1=:{signature}:"}
    if "content-digest" in components:
        headers["Content-Digest"] = content_digest(body)
    if idempotency_key is not None:
        headers["Idempotency-Key"] = idempotency_key
    return headers


def read_signature(headers: Mapping[str, str]) -> Claimed:
    """The signature that a request brings; SignatureRefused where it is not of the one form."""
    stated = _INPUT.fullmatch(headers.get("signature-input", ""))
    made = _SIGNATURE.fullmatch(headers.get("signature", ""))
    if stated is None or made is None:
        raise SignatureRefused("Signature-Input and Signature are not of the described form")
    components = tuple(stated["components"].replace('"', "").split(" "))
    if len(set(components)) != len(components) or not _COMPONENTS.issuperset(components):
        raise SignatureRefused("a component is covered twice or not known")
    return Claimed(
        stated["key_id"],
        datetime.fromtimestamp(int(stated["created"]), UTC),
        components,
        stated["parameters"],
        base64.b64decode(made["signature"]),
    )


def check_signature(
    claimed: Claimed,
    message: Message,
    key: ec.EllipticCurvePublicKey,
    *,
    digest: str | None,
    now: datetime,
) -> None:
    """Settles that this key signed this message just now; SignatureRefused or ClockOff otherwise.

    `digest` is the Content-Digest that came with the request.
    """
    if not set(claimed.components).issuperset(message.components()):
        raise SignatureRefused("the signature does not cover all that it must")
    if any(message.value(component) is None for component in claimed.components):
        raise SignatureRefused("the signature covers a header that is not there")
    if digest is not None and digest != content_digest(message.body):
        raise SignatureRefused("Content-Digest is not that of the body")
    if digest is None and "content-digest" in claimed.components:
        raise SignatureRefused("Content-Digest is missing")
    if not p256.verify(key, _base(message, claimed.components, claimed.parameters), claimed.signature):
        raise SignatureRefused("the signature does not hold")
    # Only now: whoever holds no key learns nothing, and whoever does learns what to do.
    if abs(now - claimed.created) > TOLERANCE:
        raise ClockOff(now)


def _base(message: Message, components: tuple[str, ...], parameters: str) -> bytes:
    lines = [f'"{component}": {message.value(component)}' for component in components]
    return "\n".join([*lines, f'"@signature-params": {parameters}']).encode()
