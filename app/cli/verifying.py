"""Judge presentations by hand or by the thousand: one JSON object in, one out."""

import sys
from datetime import UTC, datetime
from typing import BinaryIO

import click
import msgspec

from core.clock import SystemClock
from core.jose import Key, KeyRefused, read_jwk
from core.texts import read_json
from issuers.credentials.sdjwt.jws import read_token
from issuers.credentials.sdjwt.keybinding import Binding
from issuers.credentials.sdjwt.parts import read_parts
from issuers.credentials.sdjwt.reasons import Unacceptable
from issuers.credentials.sdjwt.vc import TYP
from issuers.credentials.sdjwt.verify import Expected, KnownKeys, Refused, verify

INPUT = "input"
"""The reason for a line that asks nothing: no JSON object, or not of the described form."""


@click.command("verify-sd-jwt")
def verify_sd_jwt() -> None:
    """Judge SD-JWT presentations from standard input.

    One JSON object per line: {"presentation": "…", "now": seconds, "expect": {"aud": "…", "nonce": "…", "vct": "…"},
    "issuer_keys": [JWK, …]}. One per line comes back: {"accepted": true, "reason": null} or
    {"accepted": false, "reason": "expired"}.

    With `aud` and `nonce` a key binding is required. With `vct` the presentation must be an SD-JWT VC of that type;
    without it, a plain SD-JWT of any type that ends in +sd-jwt is taken too, and `typ` in `expect` names one.
    """
    judge_lines(sys.stdin.buffer)


def judge_lines(lines: BinaryIO) -> None:
    """Answers each line as soon as it is read, so that the other side may wait for the answer."""
    for line in lines:
        if line.strip():
            reason = judge(line)
            click.echo(msgspec.json.encode({"accepted": reason is None, "reason": reason}))


def judge(line: bytes) -> str | None:
    """Why a line's presentation is refused; None where it is accepted."""
    try:
        asked = read_json(line.strip())
        if not isinstance(asked, dict):
            return INPUT
        presentation, trust = _text(asked["presentation"]), KnownKeys(_keys(asked["issuer_keys"]))
        expected = _expected(asked.get("expect", {}), presentation)
        now = _moment(asked["now"]) if "now" in asked else SystemClock().now()
    except (KeyError, ValueError, OverflowError, OSError):
        return INPUT
    answer = verify(presentation, trust, expected, now)
    return answer.reason.value if isinstance(answer, Refused) else None


def _expected(expect: object, presentation: str) -> Expected:
    if not isinstance(expect, dict):
        raise ValueError("what is expected is an object")  # noqa: TRY004  (the line is wrong)
    vct = expect.get("vct")
    vcts = None if vct is None else [_text(one) for one in (vct if isinstance(vct, list) else [vct])]
    binding = None
    # A proof is for an audience and a request; half of that would accept what was made for somebody else.
    if expect.get("aud") is not None or expect.get("nonce") is not None:
        binding = Binding(_text(expect.get("aud")), _text(expect.get("nonce")))
    typ = TYP if vcts is not None else _type_of(presentation)
    return Expected(binding, vcts=vcts, typ=_text(expect.get("typ", typ)))


def _type_of(presentation: str) -> str:
    """The type that a plain SD-JWT gives itself, where it is one (RFC 9901 §9.11); its rules are then the plain ones."""
    try:
        named = read_token(read_parts(presentation).issued).header.get("typ")
    except Unacceptable:
        return TYP
    plain = named.lower().removeprefix("application/") if isinstance(named, str) else TYP
    # `vc+sd-jwt` is the former name of credentials and gets no gentler rules than their present one.
    return plain if plain.endswith("+sd-jwt") and plain != "vc+sd-jwt" else TYP


def _keys(members: object) -> list[Key]:
    """The issuer's keys; one that cannot be used says nothing against the others."""
    if not isinstance(members, list):
        raise ValueError("the keys are a list")  # noqa: TRY004  (the line is wrong)
    usable = []
    for member in members:
        try:
            usable.append(read_jwk(member))
        except KeyRefused:
            continue
    return usable


def _moment(value: object) -> datetime:
    if isinstance(value, str):
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise ValueError("a moment has a time zone")
        return moment.astimezone(UTC)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("a moment is seconds or a date with time")  # noqa: TRY004  (the line is wrong)
    return datetime.fromtimestamp(value, UTC)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("this is a text")  # noqa: TRY004  (the line is wrong)
    return value


COMMANDS = (verify_sd_jwt,)
