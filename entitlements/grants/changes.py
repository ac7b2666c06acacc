"""What happens to entitlements in one go: collected person by person, then written in few statements.

Nothing is written before `write`, and then in the order in which rows refer to one another, so that an
assessment of a whole city costs a handful of statements and not a handful for each person.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from core.audit.service import Noted, note_all
from core.bulk import chunks, insert_rows, table_of
from core.clock import day_of, first_moment
from core.database import new_id
from core.jobs.service import Owed, enqueue_all
from core.settings import Settings
from entitlements.grants.models import EndReason, Entitlement, Standing
from entitlements.grants.rules import Terms, announced_end, keeps_on, must_announce, worth_saying
from entitlements.notices import service as notices
from entitlements.notices.models import Notice


@dataclass(slots=True)
class Changes:
    """Collects what is granted, renewed, announced and ended, and what is owed because of it."""

    now: datetime
    settings: Settings
    granted: list[Entitlement] = field(default_factory=list)
    owed: list[Notice] = field(default_factory=list)
    noted: list[tuple[str, UUID, dict[str, str]]] = field(default_factory=list)
    told: set[tuple[UUID, datetime]] = field(default_factory=set)
    """Of whom the right-hand side hears, and at which moment, that what they hold is another."""

    @property
    def today(self) -> date:
        return day_of(self.now, self.settings.zone)

    def grant(self, person_id: UUID, programme: str, terms: Terms) -> Entitlement:
        """Gives a person what a decision granted, and owes the message that says so."""
        today = self.today
        since = terms.since or today
        entitlement = Entitlement(
            id=new_id(),  # a default that is made costs more than the row
            person_id=person_id,
            programme=programme,
            since=since,
            counted_from=since,
            granted_at=self.now,
            changed_at=self.now,
            **_columns(terms),
        )
        if must_announce(terms, today, self.settings):
            # So near that this one message announces the end as well.
            last = announced_end(terms.until, today, self.settings)
            message = self._owe(entitlement, "granted-until", until=last)
            _end_on(entitlement, last, EndReason.FORESEEN, message)
        elif terms.until is not None and worth_saying(terms, today):
            self._owe(entitlement, "granted-until", until=terms.until)
        else:
            self._owe(entitlement, "granted")
        self.granted.append(entitlement)
        self.noted.append(("entitlement.granted", entitlement.id, {"programme": programme}))
        self._changed(entitlement)
        return entitlement

    def renew(self, entitlement: Entitlement, terms: Terms) -> None:
        """Puts a standing entitlement on the terms of a newer decision: an announced end is taken back, put
        off, or announced, as the new last day asks.
        """
        today = self.today
        before = (entitlement.tariffs, entitlement.status, entitlement.ends_on, entitlement.until)
        if entitlement.until is not None and today > entitlement.until and terms.until != entitlement.until:
            entitlement.counted_from = today
        for name, value in _columns(terms).items():
            setattr(entitlement, name, value)
        entitlement.changed_at = self.now
        if entitlement.status is Standing.ENDING and entitlement.ends_on is not None:
            if keeps_on(terms, entitlement.ends_on, self.settings):
                entitlement.status, entitlement.ends_on = Standing.ACTIVE, None
                entitlement.end_reason, entitlement.notice_id = None, None
                self._owe(entitlement, "continues")
                self.noted.append(("entitlement.continued", entitlement.id, {}))
            elif terms.until is not None and terms.until > entitlement.ends_on:
                last = announced_end(terms.until, today, self.settings)
                message = self._owe(entitlement, "ending", ends_on=last)
                _end_on(entitlement, last, EndReason.FORESEEN, message)
        elif must_announce(terms, today, self.settings):
            self.announce(entitlement, EndReason.FORESEEN, terms.until)
        if before != (entitlement.tariffs, entitlement.status, entitlement.ends_on, entitlement.until):
            self._changed(entitlement)

    def announce(self, entitlement: Entitlement, reason: EndReason, fact_end: date | None) -> None:
        """Announces an end: the later of the fact's last day and the grace after the notice counts as received.

        An end that was announced already stays where it is.
        """
        if entitlement.status is not Standing.ACTIVE:
            return
        last = announced_end(fact_end, self.today, self.settings)
        message = self._owe(entitlement, "ending", ends_on=last)
        _end_on(entitlement, last, reason, message)
        entitlement.changed_at = self.now
        self.noted.append(("entitlement.ending", entitlement.id, {"reason": reason.value}))
        self._changed(entitlement)

    def end_with_death(self, entitlement: Entitlement) -> None:
        """Ends it at once, and writes to nobody."""
        entitlement.status, entitlement.end_reason = Standing.REVOKED, EndReason.DEATH
        entitlement.ended_at = entitlement.changed_at = self.now
        self.noted.append(("entitlement.revoked", entitlement.id, {"reason": EndReason.DEATH.value}))
        self.told.add((entitlement.person_id, self.now))

    async def write(self, session: AsyncSession) -> None:
        """Writes it all: notices, what rests on them, the trail, and the word to the right-hand side."""
        await notices.owe_all(session, self.owed, now=self.now)
        with session.no_autoflush:
            await _insert(session, self.granted)
            await note_all(
                session,
                [Noted(action, ("entitlement", one), details) for action, one, details in self.noted],
                now=self.now,
            )
        await session.flush()
        await tell(session, self.told)

    def _owe(self, entitlement: Entitlement, what: str, **params: date) -> Notice:
        said: dict[str, str | int | date] = {"programme": entitlement.programme, **params}
        message = notices.write(entitlement.person_id, f"entitlement.{what}", said, now=self.now)
        self.owed.append(message)
        return message

    def _changed(self, entitlement: Entitlement) -> None:
        self.told |= moments_of_change(entitlement, self.now, self.settings)


def moments_of_change(
    entitlement: Entitlement, now: datetime, settings: Settings
) -> set[tuple[UUID, datetime]]:
    """What a person holds is another now, and will be again after an announced last day."""
    moments = {now}
    if entitlement.status is Standing.ENDING and entitlement.ends_on is not None:
        moments.add(first_moment(entitlement.ends_on + timedelta(days=1), settings.zone))
    return {(entitlement.person_id, moment) for moment in moments}


TOLD_AT_ONCE = 1_000
"""Persons of whom one job tells the right-hand side."""


async def tell(session: AsyncSession, told: Iterable[tuple[UUID, datetime]]) -> None:
    """Owes the word that what these persons hold is another at these moments, once for each."""
    by_moment: dict[datetime, list[str]] = {}
    for person_id, at in sorted(told):
        by_moment.setdefault(at, []).append(str(person_id))
    await enqueue_all(
        session,
        [
            Owed("holdings.changed", {"person_ids": list(some)}, at)
            for at, people in by_moment.items()
            for some in chunks(people, TOLD_AT_ONCE)
        ],
    )


_INSERTED = tuple(column.name for column in table_of(Entitlement).columns)


async def _insert(session: AsyncSession, granted: Sequence[Entitlement]) -> None:
    rows = [
        tuple(
            json.dumps(one.tariffs) if name == "tariffs" else _plain(getattr(one, name)) for name in _INSERTED
        )
        for one in granted
    ]
    await insert_rows(session, table_of(Entitlement), _INSERTED, rows, written={"tariffs"})


def _plain(value: object) -> object:
    return value.value if isinstance(value, StrEnum) else value


def _columns(terms: Terms) -> dict[str, Any]:
    return {
        "decision_id": terms.decision_id,
        "ground": terms.ground,
        "payer": terms.payer,
        "tariffs": list(terms.tariffs),
        "until": terms.until,
        "renewable": terms.renewable,
        "changes_on": terms.changes_on,
    }


def _end_on(entitlement: Entitlement, last: date, reason: EndReason, message: Notice) -> None:
    entitlement.status, entitlement.ends_on = Standing.ENDING, last
    entitlement.end_reason, entitlement.notice_id = reason, message.id
