"""What a presentation is made of: the three serializations of RFC 9901, taken apart and not believed."""

from typing import Final

import msgspec

from core.texts import read_json
from issuers.credentials.sdjwt.reasons import Reason, Unacceptable

LONGEST: Final = 128 * 1024
"""Characters of a presentation; a portrait fits, a flood does not."""

_MOST_SIGNATURES = 8


class Parts(msgspec.Struct, frozen=True):
    """The issuer's token, what the holder disclosed, and the holder's own token, if there is one."""

    issued: str
    disclosures: tuple[str, ...]
    binding: str | None
    bound: str
    """The text whose digest the holder signs as `sd_hash` (RFC 9901 §4.3.1, and §8.1 for JSON)."""


def read_parts(presentation: str) -> Parts:
    """Takes a compact, flattened or general presentation apart; Unacceptable where it is none of them."""
    if len(presentation) > LONGEST:
        raise Unacceptable(Reason.TOO_LARGE)
    if presentation.lstrip().startswith("{"):
        return _read_json(presentation)
    # Without the tilde after the last disclosure there is no telling it from a key binding (RFC 9901 §4).
    issued, *rest = presentation.split("~")
    if not rest or "" in rest[:-1]:
        raise Unacceptable(Reason.MALFORMED)
    binding = rest.pop()
    return Parts(issued, tuple(rest), binding or None, presentation[: len(presentation) - len(binding)])


def _read_json(presentation: str) -> Parts:
    try:
        members = read_json(presentation.encode())
    except ValueError:
        raise Unacceptable(Reason.MALFORMED) from None
    if not isinstance(members, dict) or ("signatures" in members) == ("signature" in members):
        raise Unacceptable(Reason.MALFORMED)
    signatures = members.get("signatures", [members])
    if not isinstance(signatures, list) or not 1 <= len(signatures) <= _MOST_SIGNATURES:
        raise Unacceptable(Reason.MALFORMED)
    header = _unprotected(signatures[0])
    # What is disclosed stands beside the first signature and nowhere else (RFC 9901 §8.1).
    for other in signatures[1:]:
        if not {"disclosures", "kb_jwt"}.isdisjoint(_unprotected(other)):
            raise Unacceptable(Reason.MALFORMED)
    # Published examples of before the RFC have the two beside the payload; neither form is signed, both are bound.
    source = members if {"disclosures", "kb_jwt"}.isdisjoint(header) else header
    disclosures, binding = source.get("disclosures", []), source.get("kb_jwt")
    segments = [signatures[0].get("protected"), members.get("payload"), signatures[0].get("signature")]
    if (
        not isinstance(disclosures, list)
        or not all(isinstance(one, str) and one and "~" not in one for one in disclosures)
        or not (binding is None or (isinstance(binding, str) and binding))
        or ("kb_jwt" in source and binding is None)
        or not all(isinstance(segment, str) and "." not in segment for segment in segments)
    ):
        raise Unacceptable(Reason.MALFORMED)
    issued = ".".join(map(str, segments))
    return Parts(issued, tuple(disclosures), binding, "~".join((issued, *disclosures, "")))


def _unprotected(signature: object) -> dict[str, object]:
    header = signature.get("header", {}) if isinstance(signature, dict) else None
    if not isinstance(header, dict):
        raise Unacceptable(Reason.MALFORMED)
    return header
