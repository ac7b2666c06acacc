"""The two jobs over HTTP: our library behind a Litestar route, to be held against fastify with the npm library."""

import json
import sys
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from litestar import Litestar, post
from litestar.params import JSONBody
from msgspec import Struct

from app.serving import serve_forever
from bench.credentials.making import House
from core.jose import read_jwk
from issuers.credentials.sdjwt.verify import Accepted, verify


class Wanted(Struct):
    claims: dict[str, Any]
    holder: dict[str, str]


class Shown(Struct):
    presentation: str


def application(house: House) -> Litestar:
    """Both doors, and nothing else."""

    @post("/issue", status_code=200)
    async def issue(data: JSONBody[Wanted]) -> dict[str, str]:
        holder = read_jwk(data.holder).public
        assert isinstance(holder, ec.EllipticCurvePublicKey)
        return {"credential": house.issue(data.claims, holder)}

    @post("/verify", status_code=200)
    async def check(data: JSONBody[Shown]) -> dict[str, bool]:
        said = verify(data.presentation, house.trust, house.expected, house.now)
        assert isinstance(said, Accepted), said
        return {"accepted": True}

    return Litestar([issue, check], openapi_config=None)


def main() -> None:
    given = json.loads(sys.argv[1])
    keys = [_private(given[name]) for name in ("issuer", "holder")]
    from datetime import UTC, datetime

    house = House(*keys, datetime.fromtimestamp(given["now"], UTC))
    house.__dict__["x5c"] = given["x5c"]
    serve_forever(application(house), "127.0.0.1", given["port"])


def _private(members: dict[str, str]) -> ec.EllipticCurvePrivateKey:
    from jwt.algorithms import ECAlgorithm

    key = ECAlgorithm.from_jwk(json.dumps(members))
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


if __name__ == "__main__":
    main()
