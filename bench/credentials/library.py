"""Issuing and verifying as a library, beside bare ES256 and beside PyPI's sd-jwt: microseconds of CPU each."""

import json
import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from jwcrypto.jwk import JWK
from sd_jwt.common import SDObj
from sd_jwt.holder import SDJWTHolder
from sd_jwt.issuer import SDJWTIssuer
from sd_jwt.verifier import SDJWTVerifier

from app.serving import settle_in
from bench.credentials.making import ASKED, CLAIMS, ISS, SHOWN, STATUS, VCT, House, private_jwk
from issuers.credentials.sdjwt.vc import holder_jwk
from issuers.credentials.sdjwt.verify import Accepted, Memory, verify

Job = Callable[[], object]


def costs(jobs: Mapping[str, Job], *, rounds: int = 9, seconds: float = 0.2) -> dict[str, float]:
    """Microseconds of this process's CPU for one time of each; the median of some rounds, taken in turns, so that
    what the machine does meanwhile falls on all of them."""
    found: dict[str, list[float]] = {name: [] for name in jobs}
    for job in jobs.values():
        job()
    settle_in()
    for _ in range(rounds):
        for name, job in jobs.items():
            times, begun = 0, time.process_time()
            while time.process_time() - begun < seconds:
                for _ in range(10):
                    job()
                times += 10
            found[name].append(1e6 * (time.process_time() - begun) / times)
    return {name: median(some) for name, some in found.items()}


def rows() -> list[tuple[str, float, float]]:
    """What each way costs, and how many times the bare signatures that is."""
    house = House.found()
    message = b"x" * 650
    scheme = ec.ECDSA(SHA256())
    signed, public = house.issuer.sign(message, scheme), house.issuer.public_key()

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
    sign, check = "ES256, one signature", "ES256, one check"
    remembered = "verify: citycard, issuer's signature remembered"
    jobs: dict[str, Job] = {
        sign: lambda: house.issuer.sign(message, scheme),
        check: lambda: public.verify(signed, message, scheme),
        "issue: citycard": house.issue,
        "issue: PyPI sd-jwt": theirs_issue,
        "verify: citycard, all checks": ours,
        remembered: lambda: ours(memory),
        "verify: PyPI sd-jwt": theirs_verify,
    }
    took = costs(jobs)
    bare = dict.fromkeys((sign, "issue: citycard", "issue: PyPI sd-jwt"), took[sign])
    bare |= {check: took[check], remembered: took[check]}
    return [(name, cost, bare.get(name, 2 * took[check])) for name, cost in took.items()]
