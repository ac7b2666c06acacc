"""The cities' rulebooks as they are in the repository, each read once a process; nothing in them can be changed."""

from functools import cache

from entitlements.facts.catalogue import RULEBOOKS
from entitlements.rulebook.programmes import Rulebook
from entitlements.rulebook.reading import load_rulebook


@cache
def rulebook_of(city: str) -> Rulebook:
    return load_rulebook(RULEBOOKS / city)


def dortmund() -> Rulebook:
    return rulebook_of("dortmund")


def cities() -> list[Rulebook]:
    """Every city's."""
    return [rulebook_of(front.parent.name) for front in sorted(RULEBOOKS.glob("*/rulebook.yaml"))]
