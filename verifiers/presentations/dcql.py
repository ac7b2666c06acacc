"""DCQL: what a verifier asks wallets for, and whether what came answers it (OpenID4VP 1.0 §6 and §7)."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar, cast

from core.errors import DomainError

Step = str | int | None
ClaimPath = tuple[Step, ...]
Scalar = str | int | bool

SD_JWT_VC: Final = "dc+sd-jwt"
MDOC: Final = "mso_mdoc"

_T = TypeVar("_T")
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_MOST = 100
"""Entries of a list in a query; a wallet has to show all of it to a person."""


class QueryRefused(DomainError):
    """The query is not DCQL; `at` says where."""

    slug, title = "query-refused", "The query is not a valid DCQL query"

    def __init__(self, at: str, why: str) -> None:
        super().__init__(f"{at or 'the query'}: {why}", at=at, why=why)
        self.at = at
        self.why = why


# ---- the query ----


@dataclass(frozen=True, slots=True)
class ClaimQuery:
    """One claim, by its path; `values` are a wish that the wallet may not have read."""

    path: ClaimPath
    id: str | None = None
    values: tuple[Scalar, ...] | None = None

    def as_json(self) -> dict[str, object]:
        """The object as it stands in a request."""
        return _without_none(
            {
                "id": self.id,
                "path": list(self.path),
                "values": None if self.values is None else list(self.values),
            }
        )


@dataclass(frozen=True, slots=True)
class TrustedAuthorities:
    """Who must stand behind the issuer: `aki` names authority key identifiers."""

    type: str
    values: tuple[str, ...]

    def as_json(self) -> dict[str, object]:
        """The object as it stands in a request."""
        return {"type": self.type, "values": list(self.values)}


@dataclass(frozen=True, slots=True)
class CredentialQuery:
    """One credential that is asked for."""

    id: str
    format: str
    meta: Mapping[str, object]
    claims: tuple[ClaimQuery, ...] | None = None
    claim_sets: tuple[tuple[str, ...], ...] | None = None
    multiple: bool = False
    require_cryptographic_holder_binding: bool = True
    trusted_authorities: tuple[TrustedAuthorities, ...] | None = None

    def as_json(self) -> dict[str, object]:
        """The object as it stands in a request, without what is the default."""
        return _without_none(
            {
                "id": self.id,
                "format": self.format,
                "multiple": self.multiple or None,
                "meta": dict(self.meta),
                "trusted_authorities": _list(self.trusted_authorities, TrustedAuthorities.as_json),
                "require_cryptographic_holder_binding": (
                    None if self.require_cryptographic_holder_binding else False
                ),
                "claims": _list(self.claims, ClaimQuery.as_json),
                "claim_sets": _list(self.claim_sets, list),
            }
        )


@dataclass(frozen=True, slots=True)
class CredentialSetQuery:
    """Combinations of credentials, any of which serves one purpose."""

    options: tuple[tuple[str, ...], ...]
    required: bool = True

    def as_json(self) -> dict[str, object]:
        """The object as it stands in a request, without what is the default."""
        return _without_none(
            {
                "options": [list(option) for option in self.options],
                "required": None if self.required else False,
            }
        )


@dataclass(frozen=True, slots=True)
class Query:
    """A whole request for credentials."""

    credentials: tuple[CredentialQuery, ...]
    credential_sets: tuple[CredentialSetQuery, ...] | None = None

    def as_json(self) -> dict[str, object]:
        """The value of `dcql_query`."""
        return _without_none(
            {
                "credentials": _list(self.credentials, CredentialQuery.as_json),
                "credential_sets": _list(self.credential_sets, CredentialSetQuery.as_json),
            }
        )


def _without_none(members: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in members.items() if value is not None}


def _list(entries: tuple[_T, ...] | None, write: Callable[[_T], object]) -> list[object] | None:
    return None if entries is None else [write(entry) for entry in entries]


# ---- reading ----


def read_query(document: object) -> Query:
    """The query that a JSON document is; QueryRefused with the place and the rule where it is none.

    Members that this version does not know are passed over, as the specification asks.
    """
    whole = _object(document, "")
    credentials = _entries(whole, "credentials", "", _credential)
    if credentials is None:
        raise QueryRefused("credentials", "is missing")
    _unique([credential.id for credential in credentials], "credentials", "id")
    known = {credential.id for credential in credentials}

    def _set(entry: object, at: str) -> CredentialSetQuery:
        members = _object(entry, at)
        options = _entries(members, "options", at, lambda option, where: _names(option, where, known))
        if options is None:
            raise QueryRefused(f"{at}.options", "is missing")
        return CredentialSetQuery(options, _bool(members, "required", at, default=True))

    return Query(credentials, _entries(whole, "credential_sets", "", _set))


def _credential(entry: object, at: str) -> CredentialQuery:
    members = _object(entry, at)
    kind = members.get("format")
    if not isinstance(kind, str) or not kind:
        raise QueryRefused(f"{at}.format", "is a text that names a format")
    meta = _object(members.get("meta"), f"{at}.meta")
    _check_meta(kind, meta, f"{at}.meta")
    claims = _entries(members, "claims", at, lambda claim, where: _claim(claim, where, kind))
    return CredentialQuery(
        id=_name(members.get("id"), f"{at}.id"),
        format=kind,
        meta=meta,
        claims=claims,
        claim_sets=_claim_sets(members, claims, at),
        multiple=_bool(members, "multiple", at, default=False),
        require_cryptographic_holder_binding=_bool(
            members, "require_cryptographic_holder_binding", at, default=True
        ),
        trusted_authorities=_entries(members, "trusted_authorities", at, _authorities),
    )


def _claim_sets(
    members: Mapping[str, object], claims: tuple[ClaimQuery, ...] | None, at: str
) -> tuple[tuple[str, ...], ...] | None:
    if claims is not None:
        _unique([claim.id for claim in claims if claim.id is not None], f"{at}.claims", "id")
        _unique([claim.path for claim in claims], f"{at}.claims", "path")
    if "claim_sets" not in members:
        return None
    if claims is None:
        raise QueryRefused(f"{at}.claim_sets", "must not be there without claims")
    if any(claim.id is None for claim in claims):
        raise QueryRefused(f"{at}.claims", "need an id each where there are claim_sets")
    known = {str(claim.id) for claim in claims}
    return _entries(members, "claim_sets", at, lambda entry, where: _names(entry, where, known))


def _check_meta(kind: str, meta: Mapping[str, object], at: str) -> None:
    match kind:
        case "dc+sd-jwt":
            if not _entries(meta, "vct_values", at, _text):
                raise QueryRefused(f"{at}.vct_values", "is missing")
        case "mso_mdoc":
            _text(meta.get("doctype_value"), f"{at}.doctype_value")
        case "jwt_vc_json" | "ldp_vc":
            if not _entries(meta, "type_values", at, _texts):
                raise QueryRefused(f"{at}.type_values", "is missing")
        case _:
            pass  # a format that this version does not know: its wallets judge its meta


def _claim(entry: object, at: str, kind: str) -> ClaimQuery:
    members = _object(entry, at)
    path = _entries(members, "path", at, _step)
    if path is None:
        raise QueryRefused(f"{at}.path", "is missing")
    if kind == MDOC and (len(path) != 2 or not all(isinstance(step, str) for step in path)):
        raise QueryRefused(f"{at}.path", "names a namespace and an element in an mdoc")
    return ClaimQuery(
        path=path,
        id=_name(members["id"], f"{at}.id") if "id" in members else None,
        values=_entries(members, "values", at, _scalar),
    )


def _authorities(entry: object, at: str) -> TrustedAuthorities:
    members = _object(entry, at)
    kind, values = _text(members.get("type"), f"{at}.type"), _entries(members, "values", at, _text)
    if values is None:
        raise QueryRefused(f"{at}.values", "is missing")
    for number, value in enumerate(values):
        if kind == "aki" and not _NAME.fullmatch(value):
            raise QueryRefused(f"{at}.values[{number}]", "is a key identifier in base64url without padding")
    return TrustedAuthorities(kind, values)


def _entries(
    members: Mapping[str, object], name: str, at: str, read: Callable[[object, str], _T]
) -> tuple[_T, ...] | None:
    where = f"{at}.{name}" if at else name
    if name not in members:
        return None
    return _read_all(members[name], where, read)


def _read_all(entries: object, at: str, read: Callable[[object, str], _T]) -> tuple[_T, ...]:
    if not isinstance(entries, list) or not entries:
        raise QueryRefused(at, "is a list with at least one entry")
    if len(entries) > _MOST:
        raise QueryRefused(at, f"has more than {_MOST} entries")
    return tuple(read(entry, f"{at}[{number}]") for number, entry in enumerate(entries))


def _object(value: object, at: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise QueryRefused(at, "is an object")
    return cast("Mapping[str, object]", value)


def _name(value: object, at: str) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise QueryRefused(at, "is a text of letters, digits, _ and -")
    return value


def _names(value: object, at: str, known: set[str]) -> tuple[str, ...]:
    names = _read_all(value, at, _name)
    for number, name in enumerate(names):
        if name not in known:
            raise QueryRefused(f"{at}[{number}]", "names nothing in this query")
    _unique(names, at, "entry")
    return names


def _text(value: object, at: str) -> str:
    if not isinstance(value, str) or not value:
        raise QueryRefused(at, "is a text")
    return value


def _texts(value: object, at: str) -> tuple[str, ...]:
    return _read_all(value, at, _text)


def _scalar(value: object, at: str) -> Scalar:
    if not isinstance(value, str | int | bool):
        raise QueryRefused(at, "is a text, a whole number or a truth value")
    return value


def _step(value: object, at: str) -> Step:
    if isinstance(value, bool) or not (value is None or isinstance(value, str | int)):
        raise QueryRefused(at, "is a name, null or a position in a list")
    if isinstance(value, int) and value < 0:
        raise QueryRefused(at, "is a position in a list, counted from 0")
    return value


def _bool(members: Mapping[str, object], name: str, at: str, *, default: bool) -> bool:
    value = members.get(name, default)
    if not isinstance(value, bool):
        raise QueryRefused(f"{at}.{name}", "is true or false")
    return value


def _unique(values: Sequence[object], at: str, what: str) -> None:
    if len(set(values)) != len(values):
        raise QueryRefused(at, f"the same {what} stands twice")


# ---- the answer ----


@dataclass(frozen=True, slots=True)
class Presented:
    """A credential that was verified already: what it is, what it says, who stands behind it."""

    format: str
    types: tuple[str, ...]
    claims: Mapping[str, object]
    holder_bound: bool
    authority_key_ids: frozenset[str] = frozenset()


class Unmet(StrEnum):
    """What of the query is not met."""

    UNKNOWN_CREDENTIAL = "unknown-credential"
    NOTHING_PRESENTED = "nothing-presented"
    TOO_MANY = "too-many"
    FORMAT = "format"
    TYPE = "type"
    AUTHORITY = "authority"
    HOLDER_BINDING = "holder-binding"
    CLAIM = "claim"
    CREDENTIAL_MISSING = "credential-missing"
    CREDENTIAL_SET = "credential-set"


@dataclass(frozen=True, slots=True)
class Satisfied:
    """The answer is one to this query; these of its credentials were presented."""

    credentials: frozenset[str]


@dataclass(frozen=True, slots=True)
class Unsatisfied:
    """The first thing that is missing or wrong, and in which credential query and claim."""

    why: Unmet
    credential: str | None = None
    path: ClaimPath | None = None


def evaluate(query: Query, presented: Mapping[str, Sequence[Presented]]) -> Satisfied | Unsatisfied:
    """Whether what came answers the query: each credential for its own id, and enough of them together.

    Everything is checked again that the wallet was asked to select by, `values` included: a wallet may not have
    looked, or may not be honest.
    """
    asked = {credential.id: credential for credential in query.credentials}
    for name, credentials in presented.items():
        if name not in asked:
            return Unsatisfied(Unmet.UNKNOWN_CREDENTIAL)
        unmet = _unmet(asked[name], credentials)
        if unmet is not None:
            return unmet
    if query.credential_sets is None:
        for name in asked:
            if name not in presented:
                return Unsatisfied(Unmet.CREDENTIAL_MISSING, name)
    else:
        for one in query.credential_sets:
            if one.required and not any(presented.keys() >= set(option) for option in one.options):
                return Unsatisfied(Unmet.CREDENTIAL_SET)
    return Satisfied(frozenset(presented))


def _unmet(asked: CredentialQuery, credentials: Sequence[Presented]) -> Unsatisfied | None:
    if not credentials:
        return Unsatisfied(Unmet.NOTHING_PRESENTED, asked.id)
    if len(credentials) > 1 and not asked.multiple:
        return Unsatisfied(Unmet.TOO_MANY, asked.id)
    for credential in credentials:
        if credential.format != asked.format:
            return Unsatisfied(Unmet.FORMAT, asked.id)
        if not _is_of_type(asked, credential):
            return Unsatisfied(Unmet.TYPE, asked.id)
        if not _is_trusted(asked, credential):
            return Unsatisfied(Unmet.AUTHORITY, asked.id)
        if asked.require_cryptographic_holder_binding and not credential.holder_bound:
            return Unsatisfied(Unmet.HOLDER_BINDING, asked.id)
        missing = _missing_claim(asked, credential.claims)
        if missing is not None:
            return Unsatisfied(Unmet.CLAIM, asked.id, missing.path)
    return None


def _is_of_type(asked: CredentialQuery, credential: Presented) -> bool:
    types = set(credential.types)
    match asked.meta:
        case {"vct_values": list(values)}:
            return not types.isdisjoint(values)
        case {"doctype_value": value}:
            return value in types
        case {"type_values": list(combinations)}:
            return any(types.issuperset(combination) for combination in combinations)
        case _:
            return True


def _is_trusted(asked: CredentialQuery, credential: Presented) -> bool:
    # Only key identifiers can be seen in the credential; other frameworks are not resolved here and match nothing.
    return asked.trusted_authorities is None or any(
        authorities.type == "aki" and not credential.authority_key_ids.isdisjoint(authorities.values)
        for authorities in asked.trusted_authorities
    )


def _missing_claim(asked: CredentialQuery, claims: Mapping[str, object]) -> ClaimQuery | None:
    """The first claim that is missing, of the preferred set where there are several; None where one set is whole."""
    missing = {
        number: claim for number, claim in enumerate(asked.claims or ()) if not _is_there(claim, claims)
    }
    if not missing:
        return None
    absent = {claim.id for claim in missing.values()}
    if asked.claim_sets is None:
        return next(iter(missing.values()))
    if any(absent.isdisjoint(one) for one in asked.claim_sets):
        return None
    return next(claim for claim in missing.values() if claim.id in asked.claim_sets[0])


def _is_there(claim: ClaimQuery, claims: Mapping[str, object]) -> bool:
    found = select(claim.path, claims)
    if claim.values is None:
        return bool(found)
    # By type and value: 1 is not true, and neither is "1".
    return any(type(one) is type(value) and one == value for one in found for value in claim.values)


def select(path: ClaimPath, claims: Mapping[str, object]) -> list[object]:
    """What a claims path pointer points to; nothing where it does not fit the claims (OpenID4VP 1.0 §7.1)."""
    selected: list[object] = [claims]
    for step in path:
        following: list[object] = []
        for value in selected:
            match step, value:
                case str(), dict():
                    if step in value:
                        following.append(value[step])
                case None, list():
                    following += value
                case int(), list():
                    following += value[step : step + 1]
                case _:
                    return []
        selected = following
    return selected
