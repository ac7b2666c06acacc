"""How entries are chained: pure, so that an auditor's copy gives the same hashes."""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

GENESIS = bytes(32)
"""What stands before the first entry."""


def canonical(
    *,
    id: UUID,  # noqa: A002  (the column's name)
    at: datetime,
    principal_id: UUID | None,
    acting_for: UUID | None,
    channel: str,
    action: str,
    subject: str,
    details: Mapping[str, Any],
) -> bytes:
    """An entry as the bytes that are hashed: JSON with sorted keys, no spaces, moments in UTC."""
    return json.dumps(
        {
            "acting_for": str(acting_for) if acting_for else None,
            "action": action,
            "at": at.isoformat(timespec="microseconds"),
            "channel": channel,
            "details": details,
            "id": str(id),
            "principal_id": str(principal_id) if principal_id else None,
            "subject": subject,
        },
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
    ).encode()


def link(previous: bytes, position: int, entry: bytes) -> bytes:
    """The hash of the chain up to and including this entry: SHA-256 over hash, position and entry."""
    return hashlib.sha256(previous + position.to_bytes(8, "big") + entry).digest()
