"""A wallet of somebody else's making: OpenID4VP 1.0 and RFC 9901 on httpx, PyJWT, cryptography and joserfc alone."""

import base64
import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from joserfc import jwe
from joserfc.jwk import ECKey

Key = ec.EllipticCurvePrivateKey

NEVER_CHECKED = {"verify_exp": False, "verify_iat": False, "verify_nbf": False, "verify_aud": False}


def new_key() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


def b64(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def json64(value: object) -> str:
    return b64(json.dumps(value, ensure_ascii=False).encode())


def public_jwk(key: Key) -> dict[str, str]:
    numbers = key.public_key().public_numbers()
    return {
        "kty": "EC",
        "crv": "P-256",
        "x": b64(numbers.x.to_bytes(32)),
        "y": b64(numbers.y.to_bytes(32)),
    }


def given(values: dict[str, Any]) -> dict[str, Any]:
    """Without what a test wants left out."""
    return {name: value for name, value in values.items() if value is not None}


def digest(text: str) -> str:
    return b64(hashlib.sha256(text.encode()).digest())


@dataclass
class Link:
    """What a QR code or a button says."""

    scheme: str
    client_id: str
    request_uri: str
    method: str | None

    @staticmethod
    def read(text: str) -> "Link":
        parts = urlsplit(text)
        query = {name: values[0] for name, values in parse_qs(parts.query, strict_parsing=True).items()}
        return Link(parts.scheme, query["client_id"], query["request_uri"], query.get("request_uri_method"))


@dataclass
class Request:
    """A request object that was verified."""

    header: dict[str, Any]
    claims: dict[str, Any]

    @property
    def query(self) -> dict[str, Any]:
        found: dict[str, Any] = self.claims["dcql_query"]["credentials"][0]
        return found

    @property
    def encryption_key(self) -> dict[str, Any]:
        (key,) = self.claims["client_metadata"]["jwks"]["keys"]
        found: dict[str, Any] = key
        return found


@dataclass
class Wallet:
    """One installation with one credential, and the key that it is bound to."""

    http: httpx.AsyncClient
    clock: Any
    key: Key = field(default_factory=new_key)
    credential: str = ""

    # ---- the request ----

    async def fetch(self, link: Link, *, wallet_nonce: str | None = None) -> httpx.Response:
        headers = {"Accept": "application/oauth-authz-req+jwt"}
        if wallet_nonce is None:
            return await self.http.get(link.request_uri, headers=headers, follow_redirects=False)
        described = {"vp_formats_supported": {"dc+sd-jwt": {"sd-jwt_alg_values": ["ES256"]}}}
        form = {"wallet_nonce": wallet_nonce, "wallet_metadata": json.dumps(described)}
        return await self.http.post(link.request_uri, data=form, headers=headers, follow_redirects=False)

    async def open(self, text: str, *, wallet_nonce: str | None = None) -> Request:
        """Fetches the request and believes it only after every rule for x509_hash (section 5.9.3)."""
        link = Link.read(text)
        answer = await self.fetch(link, wallet_nonce=wallet_nonce)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("application/oauth-authz-req+jwt")
        header = jwt.get_unverified_header(answer.text)
        leaf = x509.load_der_x509_certificate(base64.b64decode(header["x5c"][0]))
        assert link.client_id == f"x509_hash:{b64(leaf.fingerprint(hashes.SHA256()))}"
        assert leaf.issuer != leaf.subject
        assert header["typ"] == "oauth-authz-req+jwt"
        claims = jwt.decode(
            answer.text,
            leaf.public_key(),  # type: ignore[arg-type]
            algorithms=["ES256"],
            options=NEVER_CHECKED,  # type: ignore[arg-type]
        )
        assert claims["client_id"] == link.client_id
        assert claims.get("wallet_nonce") == wallet_nonce
        return Request(header, claims)

    # ---- the answer ----

    def chosen(self, request: Request) -> set[str]:
        """The names of the claims in the first set that the credential can fill."""
        claims = {claim.get("id"): claim["path"] for claim in request.query["claims"]}
        held = {json.loads(unb64(one))[-2] for one in self.credential.split("~")[1:-1]}
        for one in request.query.get("claim_sets", [list(claims)]):
            names = {claims[name][-1] for name in one}
            if names <= held:
                return names
        return set()

    def show(self, request: Request, names: Collection[str] | None = None, **other: Any) -> str:
        """The presentation: chosen disclosures, bound to this request; `other` puts something wrong into it."""
        issued, *disclosures, _ = self.credential.split("~")
        wanted = self.chosen(request) if names is None else set(names)
        shown = [one for one in disclosures if json.loads(unb64(one))[-2] in wanted]
        return self.bind(request, "~".join([issued, *shown, ""]), **other)

    def bind(self, request: Request, sd_jwt: str, **other: Any) -> str:
        key, header = other.pop("key", self.key), other.pop("header", {})
        algorithm = other.pop("algorithm", "ES256")
        claims = {
            "iat": int(self.clock.now().timestamp()),
            "aud": request.claims["client_id"],
            "nonce": request.claims["nonce"],
            "sd_hash": digest(sd_jwt),
        } | other
        return sd_jwt + jwt.encode(
            given(claims), key, algorithm=algorithm, headers=given({"typ": "kb+jwt", **header})
        )

    def answer(self, request: Request, presentation: object, **other: Any) -> dict[str, Any]:
        """What goes into the envelope."""
        return given(
            {"vp_token": {request.query["id"]: [presentation]}, "state": request.claims["state"]} | other
        )

    def close(
        self, request: Request, answer: object, *, enc: str = "A256GCM", alg: str = "ECDH-ES", **header: Any
    ) -> str:
        key = ECKey.import_key(request.encryption_key)
        plain = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        head = given({"alg": alg, "enc": enc, "kid": request.encryption_key["kid"], **header})
        return jwe.encrypt_compact(head, plain, key, algorithms=[alg, enc, "DEF"])

    async def post(self, request: Request, **form: str) -> httpx.Response:
        return await self.http.post(request.claims["response_uri"], data=form, follow_redirects=False)

    async def send(self, request: Request, presentation: object, **other: Any) -> httpx.Response:
        """Encrypts and posts."""
        return await self.post(
            request, response=self.close(request, self.answer(request, presentation, **other))
        )


class Authority:
    """An issuer that is not the city: its own certificate authority, and a leaf that signs credentials."""

    def __init__(self, now: datetime, name: str = "Jobcenter") -> None:
        self.now = now
        self.root_key, self.key = new_key(), new_key()
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.root = self.certify(self.name, self.root_key, ca=True)
        leaf = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name} credentials")])
        self.leaf = self.certify(leaf, self.key, ca=False)

    def certify(self, subject: x509.Name, key: Key, *, ca: bool) -> x509.Certificate:
        public = self.root_key.public_key()
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.now - timedelta(days=30))
            .not_valid_after(self.now + timedelta(days=300))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
            .sign(self.root_key, hashes.SHA256())
        )

    @property
    def pem(self) -> bytes:
        return self.root.public_bytes(Encoding.PEM)

    @property
    def x5c(self) -> list[str]:
        return [base64.b64encode(self.leaf.public_bytes(Encoding.DER)).decode()]

    def sign(self, typ: str, claims: dict[str, Any], **header: Any) -> str:
        key = header.pop("key", self.key)
        headers = given({"typ": typ, "x5c": self.x5c, **header})
        return jwt.encode(given(claims), key, algorithm="ES256", headers=headers)

    def issue(
        self, plain: dict[str, Any], hidden: dict[str, Any], *, typ: str = "dc+sd-jwt", **header: Any
    ) -> str:
        """An SD-JWT with these claims in the open and those to be disclosed."""
        disclosures = [
            json64([f"salt-{at}-{name}", name, value]) for at, (name, value) in enumerate(hidden.items())
        ]
        claims = {**plain, "_sd": [digest(one) for one in disclosures], "_sd_alg": "sha-256"}
        return "~".join([self.sign(typ, claims, **header), *disclosures, ""])
