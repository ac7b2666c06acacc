"""The tariffs that cards carry and offers name, by the city's rulebook."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from core.settings import Settings
from entitlements.rulebook.reading import load_rulebook

RULEBOOKS = Path(__file__).parents[2] / "rulebooks"


def known_tariffs(settings: Settings) -> Mapping[str, int]:
    """The names of the tariffs with their bit on the card."""
    return _tariffs(settings.city)


@lru_cache(maxsize=8)
def _tariffs(city: str) -> Mapping[str, int]:
    return {name: tariff.bit for name, tariff in load_rulebook(RULEBOOKS / city).tariffs.items()}
