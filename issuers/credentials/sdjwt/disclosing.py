"""Puts back what the holder disclosed, by every rule of RFC 9901 §7.1 that stands between a digest and a claim."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from core.texts import b64url, read_json, unb64url
from issuers.credentials.sdjwt.reasons import Reason, Unacceptable

DEEPEST: Final = 24
"""Levels of objects, arrays and disclosures within each other."""

SD, DOTS, SD_ALG = "_sd", "...", "_sd_alg"
_RESERVED = frozenset({SD, DOTS, SD_ALG})

Hash = Callable[[bytes], Any]
_HASHES: Mapping[object, Hash] = {
    "sha-256": hashlib.sha256,
    "sha-384": hashlib.sha384,
    "sha-512": hashlib.sha512,
}


def hash_of(claims: Mapping[str, object]) -> Hash:
    """The hash that the issuer used, SHA-256 where it does not say; Unacceptable for any that is not trusted."""
    named = claims.get(SD_ALG, "sha-256")
    known = _HASHES.get(named) if isinstance(named, str) else None
    if known is None:
        raise Unacceptable(Reason.HASH_ALGORITHM)
    return known


def digest(hashed: Hash, text: str) -> str:
    """The digest of a text as tokens write it: over the characters, not over what they encode."""
    return b64url(hashed(text.encode("ascii")).digest())


def disclose(claims: Mapping[str, object], disclosures: Sequence[str], hashed: Hash) -> dict[str, object]:
    """The claims with everything disclosed in its place and every digest gone."""
    opening = _Opening(disclosures, hashed)
    opened = opening.members(claims, 0)
    if opening.closed:
        raise Unacceptable(Reason.DISCLOSURE_UNREFERENCED)
    return opened


def without_digests(value: object) -> object:
    """A signed value as it is where nothing in it was disclosed."""
    return _Opening((), hashlib.sha256).value(value, 0)


class _Opening:
    """One presentation being opened: which disclosures wait for their digest, and which digests were met."""

    __slots__ = ("closed", "met")

    def __init__(self, disclosures: Sequence[str], hashed: Hash) -> None:
        try:
            self.closed = {digest(hashed, disclosure): disclosure for disclosure in disclosures}
        except UnicodeEncodeError:
            raise Unacceptable(Reason.DISCLOSURE_MALFORMED) from None
        if len(self.closed) != len(disclosures):
            raise Unacceptable(Reason.DISCLOSURE_TWICE)
        self.met: set[str] = set()

    # What comes from JSON is exactly a dict or a list, so that their types are compared and not searched.

    def members(self, members: Mapping[str, object], depth: int) -> dict[str, object]:
        if DOTS in members or (depth and SD_ALG in members):
            raise Unacceptable(Reason.DIGESTS_MALFORMED)
        opened = {}
        for name, value in members.items():
            if name not in _RESERVED:
                kind = type(value)
                opened[name] = self.value(value, depth) if kind is dict or kind is list else value
        if SD in members:
            digests = members[SD]
            if not isinstance(digests, list):
                raise Unacceptable(Reason.DIGESTS_MALFORMED)
            for one in digests:
                disclosure = self.take(one)
                if disclosure is None:
                    continue
                _salt, claimed, hidden = _contents(disclosure, 3)
                if not isinstance(claimed, str):
                    raise Unacceptable(Reason.DISCLOSURE_MALFORMED)
                if claimed in _RESERVED:
                    raise Unacceptable(Reason.FORBIDDEN_NAME)
                if claimed in opened:
                    raise Unacceptable(Reason.NAME_TAKEN)
                kind = type(hidden)
                opened[claimed] = self.value(hidden, depth) if kind is dict or kind is list else hidden
        return opened

    def elements(self, elements: Sequence[object], depth: int) -> list[object]:
        opened: list[object] = []
        for element in elements:
            if not isinstance(element, dict) or DOTS not in element:
                opened.append(self.value(element, depth))
                continue
            if len(element) != 1:
                raise Unacceptable(Reason.DIGESTS_MALFORMED)
            disclosure = self.take(element[DOTS])
            if disclosure is not None:
                opened.append(self.value(_contents(disclosure, 2)[1], depth))
        return opened

    def value(self, value: object, depth: int) -> object:
        if depth > DEEPEST:
            raise Unacceptable(Reason.TOO_DEEP)
        if isinstance(value, dict):
            return self.members(value, depth + 1)
        if isinstance(value, list):
            return self.elements(value, depth + 1)
        return value

    def take(self, one: object) -> str | None:
        """The disclosure of this digest, which is met here and must not be met again."""
        if not isinstance(one, str):
            raise Unacceptable(Reason.DIGESTS_MALFORMED)
        if one in self.met:
            raise Unacceptable(Reason.DIGEST_TWICE)
        self.met.add(one)
        return self.closed.pop(one, None)


def _contents(disclosure: str, wanted: int) -> list[object]:
    """Salt and value, or salt, name and value: whichever the place of the digest asks for."""
    try:
        contents = read_json(unb64url(disclosure))
    except ValueError:
        raise Unacceptable(Reason.DISCLOSURE_MALFORMED) from None
    if not isinstance(contents, list) or not contents or not isinstance(contents[0], str):
        raise Unacceptable(Reason.DISCLOSURE_MALFORMED)
    if len(contents) != wanted:
        other = len(contents) in {2, 3}
        raise Unacceptable(Reason.DISCLOSURE_MISPLACED if other else Reason.DISCLOSURE_MALFORMED)
    return contents
