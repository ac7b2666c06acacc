"""What time it is: the only place that asks the machine."""

from datetime import UTC, date, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo


class Clock(Protocol):
    """Tells the moment; handed in by `create_app`, so that everything else takes time as a parameter."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class MovableClock:
    """The machine's clock plus an offset that can only grow: the demo's way to let days pass."""

    def __init__(self, start: Clock | None = None) -> None:
        self._inner = start or SystemClock()
        self._offset = timedelta()

    def now(self) -> datetime:
        return self._inner.now() + self._offset

    def forward(self, by: timedelta) -> None:
        """Moves time ahead; raises ValueError for a step back, because lists and clocks never run back."""
        if by < timedelta():
            raise ValueError("a clock only moves forward")
        self._offset += by


class FixedClock:
    """A clock that stands still until a test moves it."""

    def __init__(self, now: datetime) -> None:
        self.at = now

    def now(self) -> datetime:
        return self.at

    def forward(self, by: timedelta) -> None:
        self.at += by


def day_of(now: datetime, zone: ZoneInfo) -> date:
    """The calendar day in the city's zone; validity days are counted there and nowhere else."""
    return now.astimezone(zone).date()


def first_moment(day: date, zone: ZoneInfo) -> datetime:
    """The moment at which a day begins in the city's zone, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
