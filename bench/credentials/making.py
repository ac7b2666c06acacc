"""An issuer, a holder and a verifier for the benchmarks: keys, a chain, a credential of eight hidden claims."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from jwt.algorithms import ECAlgorithm

from core import p256
from core.jose import Key
from core.texts import b64url
from issuers.credentials.sdjwt import issue, vc
from issuers.credentials.sdjwt.issue import Disclosable, compact
from issuers.credentials.sdjwt.keybinding import Binding
from issuers.credentials.sdjwt.verify import Expected, KnownKeys
from issuers.status.rules import Reference

ISS, VCT = "https://karte.example", "urn:example:karte:1"
CLAIMS = {
    "given_name": "Erika",
    "family_name": "Mustermann",
    "birthdate": "1990-05-17",
    "tariff": "reduced",
    "valid_from": "2026-09-01",
    "valid_until": "2027-08-31",
    "card_number": "4821 0937 5516",
    "age_over_18": True,
}
SHOWN = ("given_name", "family_name", "tariff")
STATUS = Reference(f"{ISS}/status/1", 4711)
ASKED = Binding("x509_hash:Uvo3HtuIxuhC92rShpgqcT3YXwrqRxWEviRiA0OZszk", "n-0S6_WzA2Mj-8yvgKnWzQ")


def private_jwk(key: ec.EllipticCurvePrivateKey) -> dict[str, str]:
    members: dict[str, str] = json.loads(ECAlgorithm.to_jwk(key))
    return {name: members[name] for name in ("kty", "crv", "x", "y", "d")}


@dataclass(frozen=True)
class House:
    """One issuer with its chain, and the holder of what it issues."""

    issuer: ec.EllipticCurvePrivateKey
    holder: ec.EllipticCurvePrivateKey
    now: datetime

    @classmethod
    def found(cls, now: datetime | None = None) -> "House":
        made = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
        return cls(*made, now or datetime.now(UTC).replace(microsecond=0))

    @cached_property
    def x5c(self) -> list[str]:
        """A leaf that some authority certified; the authority itself stays out."""
        authority = ec.generate_private_key(ec.SECP256R1())
        leaf = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Karte")]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Authority")]))
            .public_key(self.issuer.public_key())
            .serial_number(1)
            .not_valid_before(self.now - timedelta(days=1))
            .not_valid_after(self.now + timedelta(days=90))
            .sign(authority, SHA256())
        )
        return [base64.b64encode(leaf.public_bytes(Encoding.DER)).decode()]

    @cached_property
    def kind(self) -> vc.Kind:
        return vc.prepare(ISS, VCT, self.x5c, issue.NO_DECOYS)

    @cached_property
    def trust(self) -> KnownKeys:
        return KnownKeys([Key(self.issuer.public_key())])

    @cached_property
    def expected(self) -> Expected:
        return Expected(ASKED, vcts=[VCT])

    def issue(
        self, claims: Mapping[str, Any] = CLAIMS, holder: ec.EllipticCurvePublicKey | None = None
    ) -> str:
        """A credential with everything hidden."""
        return vc.issue(
            self.kind,
            {name: Disclosable(value) for name, value in claims.items()},
            holder=holder or self.holder.public_key(),
            status=STATUS,
            now=self.now,
            ends=self.now + timedelta(days=10),
            sign=lambda data: p256.sign(self.issuer, data),
        )

    def present(self, issued: str, shown: tuple[str, ...] = SHOWN) -> str:
        """What the holder shows of it, bound to the verifier that asked."""
        import hashlib

        signed, *disclosures = issued.rstrip("~").split("~")
        chosen = [
            text
            for text in disclosures
            if json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))[1] in shown
        ]
        some = "~".join((signed, *chosen, ""))
        header = b64url(compact({"alg": "ES256", "typ": "kb+jwt"}))
        digest = b64url(hashlib.sha256(some.encode()).digest())
        said = {
            "iat": int(self.now.timestamp()),
            "aud": ASKED.audience,
            "nonce": ASKED.nonce,
            "sd_hash": digest,
        }
        bound = f"{header}.{b64url(compact(said))}"
        return f"{some}{bound}.{b64url(p256.sign(self.holder, bound.encode()))}"
