"""A wallet of somebody else's making: written from the specifications on httpx, cryptography and PyJWT alone."""

import base64
import hashlib
import html
import json
import re
import secrets
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from jwcrypto import jwe, jwk

PRE_AUTHORIZED = "urn:ietf:params:oauth:grant-type:pre-authorized_code"
REDIRECT = "https://wallet.example/callback"

Key = ec.EllipticCurvePrivateKey
DESCRIPTION = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]*")


def new_key() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


def public_jwk(key: Key, **more: str) -> dict[str, str]:
    numbers = key.public_key().public_numbers()
    return {
        "kty": "EC",
        "crv": "P-256",
        "x": b64(numbers.x.to_bytes(32)),
        "y": b64(numbers.y.to_bytes(32)),
        **more,
    }


def private_jwk(key: Key) -> dict[str, str]:
    return {**public_jwk(key), "d": b64(key.private_numbers().private_value.to_bytes(32))}


def b64(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def jkt(key: Key) -> str:
    canonical = json.dumps(public_jwk(key), sort_keys=True, separators=(",", ":"))
    return b64(hashlib.sha256(canonical.encode()).digest())


def s256(verifier: str) -> str:
    return b64(hashlib.sha256(verifier.encode()).digest())


def given(values: dict[str, Any]) -> dict[str, Any]:
    """Without what a test wants left out."""
    return {name: value for name, value in values.items() if value is not None}


def error(answer: httpx.Response, status: int = 400) -> str:
    """The code of a refusal, whose form is checked here each time."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert DESCRIPTION.fullmatch(body["error_description"]), body
    return str(body["error"])


class Provider:
    """A wallet provider: its own certificate authority, and a leaf that signs attestations."""

    def __init__(self, now: datetime, name: str = "Wallet Provider") -> None:
        self.now = now
        self.root_key, self.key = new_key(), new_key()
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.root = self._certify(subject, subject, self.root_key, ca=True)
        leaf_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name} attestations")])
        self.leaf = self._certify(leaf_name, subject, self.key, ca=False)

    def _certify(self, subject: x509.Name, issuer: x509.Name, key: Key, *, ca: bool) -> x509.Certificate:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.now - timedelta(days=30))
            .not_valid_after(self.now + timedelta(days=300))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .sign(self.root_key, hashes.SHA256())
        )

    @property
    def pem(self) -> bytes:
        return self.root.public_bytes(Encoding.PEM)

    @property
    def x5c(self) -> list[str]:
        return [base64.b64encode(self.leaf.public_bytes(Encoding.DER)).decode()]

    def sign(self, typ: str, claims: dict[str, Any], **header: Any) -> str:
        headers = given({"typ": typ, "x5c": self.x5c, **header})
        return jwt.encode(given(claims), self.key, algorithm="ES256", headers=headers)

    def wallet_attestation(self, instance: Key, now: datetime, **other: Any) -> str:
        claims = {
            "iss": "https://provider.example",
            "sub": "https://wallet.example",
            "wallet_name": "Beispiel-Wallet",
            "iat": int(now.timestamp()),
            "exp": int(now.timestamp()) + 3600,
            "cnf": {"jwk": public_jwk(instance)},
        } | other
        return self.sign("oauth-client-attestation+jwt", claims)

    def key_attestation(self, keys: list[Key], now: datetime, **other: Any) -> str:
        claims = {
            "iat": int(now.timestamp()),
            "exp": int(now.timestamp()) + 3600,
            "attested_keys": [public_jwk(key) for key in keys],
            "key_storage": ["iso_18045_moderate"],
        } | other
        return self.sign("key-attestation+jwt", claims)


@dataclass
class Wallet:
    """One installation: its keys, what it read of the issuer, and the tokens that it holds."""

    http: httpx.AsyncClient
    issuer: str
    clock: Any
    provider: Provider
    client_id: str = "https://wallet.example"
    instance: Key = field(default_factory=new_key)
    dpop_key: Key = field(default_factory=new_key)
    pop_has_iss: bool = True
    dpop_nonce: str | None = None
    tokens: dict[str, Any] = field(default_factory=dict)
    issuer_metadata: dict[str, Any] = field(default_factory=dict)
    server: dict[str, Any] = field(default_factory=dict)
    verifier: str = ""
    state: str = ""

    @property
    def now(self) -> int:
        return int(self.clock.now().timestamp())

    # ---- what every request may need ----

    def dpop(self, method: str, url: str, **other: Any) -> str:
        header = other.pop("header", {})
        key = other.pop("key", self.dpop_key)
        claims = {
            "jti": str(uuid.uuid4()),
            "htm": method,
            "htu": url,
            "iat": self.now,
            "nonce": self.dpop_nonce,
        } | other
        headers = given({"typ": "dpop+jwt", "jwk": public_jwk(key), **header})
        return jwt.encode(given(claims), key, algorithm="ES256", headers=headers)

    def attest(
        self, *, attestation: str | None = None, pop_key: Key | None = None, **pop: Any
    ) -> dict[str, str]:
        claims = {
            "iss": self.client_id if self.pop_has_iss else None,
            "aud": self.issuer,
            "jti": secrets.token_urlsafe(16),
            "iat": self.now,
        } | pop
        return {
            "OAuth-Client-Attestation": attestation
            or self.provider.wallet_attestation(self.instance, self.clock.now(), sub=self.client_id),
            "OAuth-Client-Attestation-PoP": jwt.encode(
                given(claims),
                pop_key or self.instance,
                algorithm="ES256",
                headers={"typ": "oauth-client-attestation-pop+jwt"},
            ),
        }

    async def post(self, url: str, *, proven: bool = True, **rest: Any) -> httpx.Response:
        """A POST with a DPoP proof; where the server wants its own nonce, once more with that."""
        headers = rest.pop("headers", {})
        fresh = rest.pop("fresh", None)
        token = rest.pop("token", None)
        for _ in range(2):
            more = dict(fresh() if fresh else {})
            if proven:
                ath = {} if token is None else {"ath": b64(hashlib.sha256(token.encode()).digest())}
                more["DPoP"] = self.dpop("POST", url, **ath)
            if token is not None:
                more["Authorization"] = f"DPoP {token}"
            answer = await self.http.post(url, headers={**headers, **more}, **rest)
            self.dpop_nonce = answer.headers.get("DPoP-Nonce", self.dpop_nonce)
            wants_nonce = "use_dpop_nonce" in answer.headers.get("www-authenticate", "") or (
                answer.status_code == 400 and answer.json().get("error") == "use_dpop_nonce"
            )
            if not (proven and wants_nonce):
                break
        return answer

    # ---- finding out ----

    async def discover(self) -> None:
        parts = urlsplit(self.issuer)
        base = f"{parts.scheme}://{parts.netloc}"
        self.issuer_metadata = (
            await self.http.get(f"{base}/.well-known/openid-credential-issuer{parts.path}")
        ).json()
        assert self.issuer_metadata["credential_issuer"] == self.issuer
        server = self.issuer_metadata.get("authorization_servers", [self.issuer])[0]
        parts = urlsplit(server)
        self.server = (
            await self.http.get(
                f"{parts.scheme}://{parts.netloc}/.well-known/oauth-authorization-server{parts.path}"
            )
        ).json()
        assert self.server["issuer"] == server

    async def read_offer(self, link: str) -> dict[str, Any]:
        query = parse_qs(urlsplit(link).query)
        if "credential_offer" in query:
            offer: dict[str, Any] = json.loads(query["credential_offer"][0])
            return offer
        answer = await self.http.get(query["credential_offer_uri"][0])
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("application/json")
        read: dict[str, Any] = answer.json()
        return read

    # ---- tokens ----

    async def ask_token(self, form: dict[str, Any], *, attested: bool = False, **rest: Any) -> httpx.Response:
        fresh = self.attest if attested else None
        answer = await self.post(self.server["token_endpoint"], data=given(form), fresh=fresh, **rest)
        if answer.status_code == 200:
            self.tokens = answer.json()
        return answer

    async def redeem(self, offer: dict[str, Any], tx_code: str | None, **more: Any) -> httpx.Response:
        attested = more.pop("attested", False)
        form = {
            "grant_type": PRE_AUTHORIZED,
            "pre-authorized_code": offer["grants"][PRE_AUTHORIZED]["pre-authorized_code"],
            "tx_code": tx_code,
        } | more
        return await self.ask_token(form, attested=attested)

    async def push(self, **other: Any) -> httpx.Response:
        headers = other.pop("headers", None)
        self.verifier, self.state = secrets.token_urlsafe(48), secrets.token_urlsafe(16)
        form = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": REDIRECT,
            "scope": next(iter(self.configurations.values()))["scope"],
            "state": self.state,
            "code_challenge": s256(self.verifier),
            "code_challenge_method": "S256",
        } | other
        return await self.http.post(
            self.server["pushed_authorization_request_endpoint"],
            data=given(form),
            headers=self.attest() if headers is None else headers,
        )

    def authorize_url(self, request_uri: str, client_id: str | None = None) -> str:
        query = {"client_id": client_id or self.client_id, "request_uri": request_uri}
        return f"{self.server['authorization_endpoint']}?{urlencode(query)}"

    async def consent(self, url: str, session: dict[str, str], decision: str = "allow") -> dict[str, str]:
        """What a person does in the browser; gives what the redirect back says."""
        page = await self.http.get(url, headers=session, follow_redirects=False)
        assert page.status_code == 200, page.text
        fields = {
            name: html.unescape(value)
            for name, value in re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page.text)
        }
        action = re.search(r'<form method="post" action="([^"]+)"', page.text[page.text.index("<main") :])
        assert action is not None
        answer = await self.http.post(
            self.issuer + html.unescape(action[1]),
            data={**fields, "decision": decision},
            headers=session,
            follow_redirects=False,
        )
        assert answer.status_code == 303, answer.text
        where = urlsplit(answer.headers["location"])
        assert f"{where.scheme}://{where.netloc}{where.path}" == REDIRECT
        return {name: values[0] for name, values in parse_qs(where.query).items()}

    def check_back(self, said: dict[str, str]) -> None:
        assert said["state"] == self.state
        assert said["iss"] == self.server["issuer"]

    async def exchange(self, code: str, **other: Any) -> httpx.Response:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": REDIRECT,
            "code_verifier": self.verifier,
        } | other
        return await self.ask_token(form, attested=True)

    async def sign_in(self, session: dict[str, str], **push: Any) -> dict[str, Any]:
        """The code flow from its beginning to its tokens."""
        pushed = await self.push(**push)
        assert pushed.status_code == 201, pushed.text
        said = await self.consent(self.authorize_url(pushed.json()["request_uri"]), session)
        self.check_back(said)
        answer = await self.exchange(said["code"])
        assert answer.status_code == 200, answer.text
        return self.tokens

    async def refresh(self, token: str | None = None, *, attested: bool) -> httpx.Response:
        form = {"grant_type": "refresh_token", "refresh_token": token or self.tokens["refresh_token"]}
        return await self.ask_token(form, attested=attested)

    # ---- credentials ----

    @property
    def configurations(self) -> dict[str, Any]:
        found: dict[str, Any] = self.issuer_metadata["credential_configurations_supported"]
        return found

    async def nonce(self) -> str:
        answer = await self.http.post(self.issuer_metadata["nonce_endpoint"])
        assert answer.status_code == 200
        self.dpop_nonce = answer.headers.get("DPoP-Nonce", self.dpop_nonce)
        return str(answer.json()["c_nonce"])

    def proof(self, key: Key, nonce: str | None, **other: Any) -> str:
        header = other.pop("header", {})
        signed_by = other.pop("signed_by", key)
        claims = {"aud": self.issuer, "iat": self.now, "nonce": nonce} | other
        headers = given({"typ": "openid4vci-proof+jwt", "jwk": public_jwk(key), **header})
        return jwt.encode(given(claims), signed_by, algorithm="ES256", headers=headers)

    async def ask_credential(self, **body: Any) -> httpx.Response:
        wish: dict[str, Any] = {}
        if "credential_identifier" not in body and "credential_configuration_id" not in body:
            details = self.tokens.get("authorization_details")
            if details:
                wish["credential_identifier"] = details[0]["credential_identifiers"][0]
            else:
                wish["credential_configuration_id"] = next(iter(self.configurations))
        return await self.behind_token("credential_endpoint", given(wish | body))

    async def behind_token(self, endpoint: str, body: dict[str, Any]) -> httpx.Response:
        return await self.post(self.issuer_metadata[endpoint], token=self.tokens["access_token"], json=body)

    async def sealed(
        self, endpoint: str, body: dict[str, Any], *, enc: str = "A256GCM", **more: Any
    ) -> httpx.Response:
        """A request that is encrypted as the issuer announces."""
        announced = self.issuer_metadata["credential_request_encryption"]
        (theirs,) = announced["jwks"]["keys"]
        assert enc in announced["enc_values_supported"]
        header = {"alg": theirs["alg"], "enc": enc, "kid": theirs["kid"], **more}
        closed = jwe.JWE(json.dumps(body).encode(), json.dumps(header))
        closed.add_recipient(jwk.JWK(**theirs))
        return await self.post(
            self.issuer_metadata[endpoint],
            token=self.tokens["access_token"],
            content=closed.serialize(compact=True),
            headers={"Content-Type": "application/jwt"},
        )

    async def fetch(self, keys: list[Key], **body: Any) -> httpx.Response:
        nonce = await self.nonce()
        return await self.ask_credential(proofs={"jwt": [self.proof(key, nonce) for key in keys]}, **body)


# ---- reading what came ----


def read_sd_jwt(credential: str) -> tuple[dict[str, Any], dict[str, Any], list[list[Any]]]:
    """Header, payload and disclosures of a compact SD-JWT; nothing is verified."""
    issued, *disclosures, last = credential.split("~")
    assert last == "", "no key binding yet"
    header, payload, _ = issued.split(".")
    return (
        json.loads(unb64(header)),
        json.loads(unb64(payload)),
        [json.loads(unb64(one)) for one in disclosures],
    )


def verify_chain(credential: str, anchor: x509.Certificate) -> None:
    """That the leaf in x5c signed, and that the anchor stands behind it."""
    header = jwt.get_unverified_header(credential.split("~", maxsplit=1)[0])
    chain = [x509.load_der_x509_certificate(base64.b64decode(entry)) for entry in header["x5c"]]
    assert anchor not in chain
    assert all(one.issuer != one.subject for one in chain)
    for certificate, issuer in zip(chain, [*chain[1:], anchor], strict=True):
        certificate.verify_directly_issued_by(issuer)
    jwt.decode(
        credential.split("~", maxsplit=1)[0],
        chain[0].public_key(),  # type: ignore[arg-type]
        algorithms=["ES256"],
        options={"verify_exp": False, "verify_iat": False, "verify_nbf": False},
    )


def status_of(lst: str, index: int, bits: int) -> int:
    import zlib

    octets = zlib.decompress(unb64(lst))
    per_byte = 8 // bits
    return octets[index // per_byte] >> (index % per_byte) * bits & (1 << bits) - 1
