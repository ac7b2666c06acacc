"""What a credential says of its holder to the wallets of others: tariffs, a name and a birth date, each shown or kept."""

from collections.abc import Sequence
from datetime import date
from typing import Final

from core.jose import Claims
from core.settings import Settings
from entitlements.people.rules import PersonIdentity
from issuers.credentials.sdjwt.issue import Decoys, Disclosable

TARIFF: Final = "tariff"
"""An object with a `true` for each tariff that is held; which benefit is behind it is said nowhere."""

PERSONAL: Final = ("given_name", "family_name", "birthdate")
"""The names that the European identity credential has for them, so that one question fits both."""

DECOYS: Final = Decoys(objects=8)
"""How many digests each object shows, however many claims this holder has."""


def type_of(settings: Settings) -> str:
    """The credential's `vct`: one neutral city card, the same for everybody in the city."""
    return f"urn:citycard:{settings.city}:card:1"


def claims_of(tariffs: Sequence[str], identity: PersonIdentity | None) -> Claims:
    """The claims of one credential; a name or birth date that the city was never told, or only in part, is left out."""
    personal = {} if identity is None else _personal(identity)
    return {
        TARIFF: {tariff: Disclosable(value=True) for tariff in tariffs},
        **{name: Disclosable(value) for name, value in personal.items()},
    }


def _personal(identity: PersonIdentity) -> dict[str, str]:
    stated = {
        "given_name": identity.given_name,
        "family_name": identity.family_name,
        "birthdate": identity.birth_date if _is_whole(identity.birth_date) else "",
    }
    return {name: value for name, value in stated.items() if value}


def _is_whole(written: str) -> bool:
    try:
        return date.fromisoformat(written).isoformat() == written
    except ValueError:
        return False
