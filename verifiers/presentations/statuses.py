"""What our own status lists say of a credential, and which lists are ours."""

from core.settings import Settings
from issuers.openid.foreign import STANDINGS, Standing
from issuers.status.rules import Reference
from issuers.status.service import StatusMemory


def own_number(reference: Reference, settings: Settings) -> int | None:
    """The number of our own list behind a reference; None where it is another's."""
    number = reference.uri.removeprefix(f"{settings.public_url}/status/")
    return int(number) if number != reference.uri and number.isascii() and number.isdigit() else None


def own(memory: StatusMemory, number: int, index: int) -> Standing:
    """What our own list says, from a memory that has just followed the database."""
    status = memory.status((number, index))
    return Standing.UNKNOWN if status is None else STANDINGS[int(status)]
