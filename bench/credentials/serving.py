"""The two jobs over HTTP: our library behind a Litestar route, to be held against fastify with the npm library."""

import json
import sys
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from litestar import Litestar, asgi
from litestar.types import Receive, Scope, Send
from msgspec import Struct
from msgspec.json import Decoder, Encoder

from app.serving import serve_forever
from bench.credentials.making import House
from core.jose import read_jwk
from issuers.credentials.sdjwt.verify import Accepted, verify


class Wanted(Struct):
    claims: dict[str, Any]
    holder: dict[str, str]


class Shown(Struct):
    presentation: str


_WANTED, _SHOWN, _ENCODER = Decoder(Wanted), Decoder(Shown), Encoder()


def application(house: House) -> Litestar:
    """Both doors, and nothing else: as lean as a door whose time counts, such as that of the check."""

    @asgi("/issue")
    async def issue(scope: Scope, receive: Receive, send: Send) -> None:
        asked = _WANTED.decode(await _body(receive))
        holder = read_jwk(asked.holder).public
        assert isinstance(holder, ec.EllipticCurvePublicKey)
        await _answer(send, {"credential": house.issue(asked.claims, holder)})

    @asgi("/verify")
    async def check(scope: Scope, receive: Receive, send: Send) -> None:
        asked = _SHOWN.decode(await _body(receive))
        said = verify(asked.presentation, house.trust, house.expected, house.now)
        assert isinstance(said, Accepted), said
        await _answer(send, {"accepted": True})

    return Litestar([issue, check], openapi_config=None)


async def _body(receive: Receive) -> bytes:
    octets, more = b"", True
    while more:
        message = await receive()
        assert message["type"] == "http.request"
        octets += message["body"]
        more = message["more_body"]
    return octets


async def _answer(send: Send, said: dict[str, Any]) -> None:
    octets = _ENCODER.encode(said)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(octets)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": octets, "more_body": False})


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
