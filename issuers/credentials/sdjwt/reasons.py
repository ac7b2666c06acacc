"""Why a presentation is not accepted, in words that do not change."""

from enum import StrEnum


class Reason(StrEnum):
    """One word per rule; nothing of what was presented is repeated."""

    MALFORMED = "malformed"
    TOO_LARGE = "too-large"
    TOO_DEEP = "too-deep"
    # the token that the issuer signed
    HEADER = "header"
    ALGORITHM = "algorithm"
    TYPE = "type"
    UNKNOWN_KEY = "unknown-key"
    CHAIN = "chain"
    SIGNATURE = "signature"
    ISSUER = "issuer"
    CLAIMS = "claims"
    NOT_YET_VALID = "not-yet-valid"
    EXPIRED = "expired"
    CREDENTIAL_TYPE = "credential-type"
    STATUS = "status"
    # digests and what was disclosed
    HASH_ALGORITHM = "hash-algorithm"
    DIGESTS_MALFORMED = "digests-malformed"
    DIGEST_TWICE = "digest-twice"
    DISCLOSURE_MALFORMED = "disclosure-malformed"
    DISCLOSURE_TWICE = "disclosure-twice"
    DISCLOSURE_UNREFERENCED = "disclosure-unreferenced"
    DISCLOSURE_MISPLACED = "disclosure-misplaced"
    FORBIDDEN_NAME = "forbidden-name"
    NAME_TAKEN = "name-taken"
    NEVER_DISCLOSABLE = "never-disclosable"
    # key binding
    HOLDER_KEY = "holder-key"
    BINDING_MISSING = "binding-missing"
    BINDING_MALFORMED = "binding-malformed"
    BINDING_ALGORITHM = "binding-algorithm"
    BINDING_TYPE = "binding-type"
    BINDING_SIGNATURE = "binding-signature"
    BINDING_AUDIENCE = "binding-audience"
    BINDING_NONCE = "binding-nonce"
    BINDING_TIME = "binding-time"
    BINDING_HASH = "binding-hash"


class Unacceptable(Exception):
    """Ends a verification where a rule is broken; it never leaves this package, which answers with a value."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason
