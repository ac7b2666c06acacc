"""What a register may state, as a value; anything that is not named is not allowed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Remit:
    """Which kinds of fact and household a register may state, and whether it may say who people are."""

    facts: frozenset[str] = frozenset()
    households: frozenset[str] = frozenset()
    identities: bool = False
    """It may state names and addresses, and so make persons known."""
    identification_numbers: bool = False
    """It may use the tax identification number to say whom its own number means (§ 139b AO: only where a law says so)."""
    likeness: bool = False
    """It may say names, birth dates and addresses only so that its numbers find their persons; nothing of it is kept."""
    one_by_one: bool = False
    """It states one thing at a time and never hands over a list, so that its silence about somebody means nothing."""

    @property
    def may_name(self) -> bool:
        """Whether its rows may say who somebody is."""
        return self.identities or self.likeness

    @staticmethod
    def of(kept: Mapping[str, Any]) -> "Remit":
        """The remit as it stands in a row."""
        return Remit(
            frozenset(kept.get("facts", ())),
            frozenset(kept.get("households", ())),
            bool(kept.get("identities", False)),
            bool(kept.get("identification_numbers", False)),
            bool(kept.get("likeness", False)),
            bool(kept.get("one_by_one", False)),
        )

    def kept(self) -> dict[str, Any]:
        """The remit as it is put into a row."""
        return {
            "facts": sorted(self.facts),
            "households": sorted(self.households),
            "identities": self.identities,
            "identification_numbers": self.identification_numbers,
            "likeness": self.likeness,
            "one_by_one": self.one_by_one,
        }

    def unknown(self, facts: Iterable[str], households: Iterable[str]) -> list[str]:
        """What the remit names that the catalogue does not know."""
        return sorted((self.facts - set(facts)) | (self.households - set(households)))
