"""What stands on a pass, the same for both companies: a neutral name, until when, a code; the holder's name on wish."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from core.clock import day_of

BAND: Final = (20, 54, 93)
"""The same blue as on paper."""

WORDS: Final = {
    "de": (
        "Gültig bis",
        "Name",
        "Nur mit Ausweis gültig",
        (
            "Der Code wechselt nach spätestens zwei Wochen. Holen Sie den Pass dann neu. Möchten Sie ihn nicht mehr, "
            "widerrufen Sie ihn dort, wo Sie ihn geholt haben: Der Code gilt sofort nicht mehr."
        ),
    ),
    "de-simple": (
        "Gilt bis",
        "Name",
        "Bitte Ausweis zeigen",
        (
            "Der Code gilt höchstens 2 Wochen. Dann holen Sie die Karte neu. Sie wollen die Karte nicht mehr? Dann sagen "
            "Sie es uns. Der Code gilt dann sofort nicht mehr."
        ),
    ),
    "en": (
        "Valid until",
        "Name",
        "Only valid with an ID",
        (
            "The code changes after two weeks at most; get the pass anew then. If you do not want it any more, withdraw "
            "it where you got it: the code stops working at once."
        ),
    ),
}


@dataclass(frozen=True, slots=True)
class PassFace:
    """One pass."""

    serial: UUID
    title: str
    name: str
    """Empty where the holder does not want it shown."""
    code: str
    expires_at: datetime
    language: str
    zone: ZoneInfo

    @property
    def last_day(self) -> date:
        """The last day on which it is good in the city, whose midnight it ends with."""
        return day_of(self.expires_at - timedelta(seconds=1), self.zone)

    @property
    def words(self) -> tuple[str, str, str, str]:
        """Until when, name, how to show it, and what to know of it, in the language of the pass."""
        return WORDS[self.language]
