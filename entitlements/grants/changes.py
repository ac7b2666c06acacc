"""What happens to entitlements in one go: collected person by person, then written in few statements.

Nothing is written before `write`, and then in the order in which rows refer to one another, so that an
assessment of a whole city costs a handful of statements and not a handful for each person.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
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
from entitlements.notices.service import Written


@dataclass(slots=True)
class Given:
    """An entitlement that is written with many others: its columns, without the row that a session keeps an eye on."""

    id: UUID
    person_id: UUID
    programme: str
    terms: Terms
    since: date
    granted_at: datetime
    status: Standing = Standing.ACTIVE
    ends_on: date | None = None
    end_reason: EndReason | None = None
    notice_id: UUID | None = None

    def row(self) -> tuple[Any, ...]:
        """Its columns, in the order of `_INSERTED`."""
        terms = self.terms
        return (
            self.id,
            self.person_id,
            self.programme,
            terms.decision_id,
            terms.ground,
            terms.payer,
            json.dumps(terms.tariffs),
            terms.until,
            terms.renewable,
            terms.changes_on,
            self.since,
            self.since,
            self.granted_at,
            self.granted_at,
            self.status.value,
            self.ends_on,
            self.end_reason and self.end_reason.value,
            self.notice_id,
        )


_INSERTED = (
    *("id", "person_id", "programme", "decision_id", "ground", "payer", "tariffs", "until", "renewable"),
    *("changes_on", "since", "counted_from", "granted_at", "changed_at", "status", "ends_on", "end_reason"),
    "notice_id",
)


@dataclass(slots=True)
class Changes:
    """Collects what is granted, renewed, announced and ended, and what is owed because of it."""

    now: datetime
    settings: Settings
    granted: list[Given] = field(default_factory=list)
    owed: list[Written] = field(default_factory=list)
    noted: list[tuple[str, UUID, dict[str, str]]] = field(default_factory=list)
    told: set[tuple[UUID, datetime]] = field(default_factory=set)
    """Of whom the right-hand side hears, and at which moment, that what they hold is another."""

    @property
    def today(self) -> date:
        return day_of(self.now, self.settings.zone)

    def grant(self, person_id: UUID, programme: str, terms: Terms) -> Given:
        """Gives a person what a decision granted, and owes the message that says so."""
        today = self.today
        entitlement = Given(new_id(), person_id, programme, terms, terms.since or today, self.now)
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
            rows = [one.row() for one in self.granted]
            await insert_rows(session, table_of(Entitlement), _INSERTED, rows, written={"tariffs"})
            await note_all(
                session,
                [Noted(action, ("entitlement", one), details) for action, one, details in self.noted],
                now=self.now,
            )
        await session.flush()
        await tell(session, self.told)

    def _owe(self, entitlement: Entitlement | Given, what: str, **params: date) -> Written:
        said: dict[str, str | int | date] = {"programme": entitlement.programme, **params}
        message = notices.write(entitlement.person_id, f"entitlement.{what}", said, now=self.now)
        self.owed.append(message)
        return message

    def _changed(self, entitlement: Entitlement | Given) -> None:
        self.told |= moments_of_change(entitlement, self.now, self.settings)


def moments_of_change(
    entitlement: Entitlement | Given, now: datetime, settings: Settings
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


def _end_on(entitlement: Entitlement | Given, last: date, reason: EndReason, message: Written) -> None:
    entitlement.status, entitlement.ends_on = Standing.ENDING, last
    entitlement.end_reason, entitlement.notice_id = reason, message.id
