"""Issuing and verifying as a library, beside bare ES256 and beside PyPI's sd-jwt: microseconds of CPU each."""

import json
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from jwcrypto.jwk import JWK
from sd_jwt.common import SDObj
from sd_jwt.holder import SDJWTHolder
from sd_jwt.issuer import SDJWTIssuer
from sd_jwt.verifier import SDJWTVerifier

from bench.credentials.making import ASKED, CLAIMS, ISS, SHOWN, STATUS, VCT, House, private_jwk
from issuers.credentials.sdjwt.vc import holder_jwk
from issuers.credentials.sdjwt.verify import Accepted, Memory, verify


def cost(job: Callable[[], object], *, rounds: int = 5, seconds: float = 0.4) -> float:
    """Microseconds of this process's CPU for one time; the median of some rounds."""
    job()
    found = []
    for _ in range(rounds):
        times, begun = 0, time.process_time()
        while time.process_time() - begun < seconds:
            job()
            times += 1
        found.append(1e6 * (time.process_time() - begun) / times)
    return median(found)


def rows() -> list[tuple[str, float, float]]:
    """What each way costs, and how many times the bare signatures that is."""
    house = House.found()
    message = b"x" * 650
    scheme = ec.ECDSA(SHA256())
    signed, public = house.issuer.sign(message, scheme), house.issuer.public_key()
    bare_sign = cost(lambda: house.issuer.sign(message, scheme))
    bare_verify = cost(lambda: public.verify(signed, message, scheme))

    issued = house.issue()
    shown = house.present(issued)
    memory = Memory()

    def ours(remember: Memory | None = None) -> Accepted:
        said = verify(shown, house.trust, house.expected, house.now, remember)
        assert isinstance(said, Accepted), said
        return said

    issuer_key, holder_key = (JWK(**private_jwk(key)) for key in (house.issuer, house.holder))
    open_issuer = JWK(**{name: v for name, v in private_jwk(house.issuer).items() if name != "d"})
    holder_open = JWK(**holder_jwk(house.holder.public_key()))
    plain = {"iss": ISS, "vct": VCT, "iat": int(house.now.timestamp()), "status": STATUS.claim()}

    def theirs_issue() -> SDJWTIssuer:
        claims: dict[Any, Any] = plain | {SDObj(name): value for name, value in CLAIMS.items()}
        return SDJWTIssuer(claims, issuer_key, holder_open, extra_header_parameters={"typ": "dc+sd-jwt"})

    holder = SDJWTHolder(theirs_issue().sd_jwt_issuance)
    wish = dict.fromkeys(SHOWN, True)
    holder.create_presentation(wish, ASKED.nonce, ASKED.audience, holder_key)
    presented = holder.sd_jwt_presentation

    def theirs_verify() -> Any:
        checked = SDJWTVerifier(presented, lambda *_: open_issuer, ASKED.audience, ASKED.nonce)
        return checked.get_verified_payload()

    assert theirs_verify()["tariff"] == "reduced"
    assert json.loads(json.dumps(CLAIMS)) == CLAIMS
    return [
        ("ES256, one signature", bare_sign, bare_sign),
        ("ES256, one check", bare_verify, bare_verify),
        ("issue: citycard", cost(house.issue), bare_sign),
        ("issue: PyPI sd-jwt", cost(theirs_issue), bare_sign),
        ("verify: citycard, all checks", cost(ours), 2 * bare_verify),
        ("verify: citycard, issuer's signature remembered", cost(lambda: ours(memory)), bare_verify),
        ("verify: PyPI sd-jwt", cost(theirs_verify), 2 * bare_verify),
    ]
