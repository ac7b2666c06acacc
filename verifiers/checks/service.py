"""Judge what scanners read, many at a time: one look around, one judgement each, one commit, then the answers."""

import hmac
import json
import secrets
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

import structlog
from sqlalchemy import delete, select, text
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.batch import Batch
from core.clock import day_of
from core.database import Database
from core.errors import NotAllowed
from core.settings import Settings
from core.vault import Vault
from issuers.credentials.card import CardId
from issuers.credentials.models import Credential
from issuers.status.service import StatusMemory
from verifiers.checks.flags import raise_flag
from verifiers.checks.models import Counted, ReplayMark, VisitCount
from verifiers.checks.places import Post, Surroundings
from verifiers.checks.receipts import LIFE, Receipt, Receipts
from verifiers.checks.rules import Judgement, Outcome, Reason, judge, outcome_of
from verifiers.checks.sightings import Sightings
from verifiers.checks.trust import Trust

MARKS_KEPT: Final = timedelta(minutes=3)
COUNTS_KEPT: Final = timedelta(days=400)
MARKS_LABEL: Final = "replay-marks/1"

log = structlog.get_logger("checks")


class VenueClosed(NotAllowed):
    """The scanner is known, but its venue takes part no more."""

    slug, title = "venue-closed", "This venue takes part no more"


@dataclass(frozen=True, slots=True)
class Scan:
    """What a scanner read, and when it asked."""

    scanner: UUID
    """Its principal."""
    code: str
    at: datetime
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of it, as the answer needs it."""

    judgement: Judgement
    post: Post
    receipt: str | None = None


class Desk:
    """Where all scans of this process come together."""

    def __init__(
        self, database: Database, vault: Vault, settings: Settings, statuses: StatusMemory, **limits: int
    ) -> None:
        self._settings = settings
        self._around = Surroundings(settings, statuses)
        self._receipts = Receipts(vault)
        self._marks_key = vault.secret(MARKS_LABEL)
        self._database = database
        self._sightings = Sightings(timedelta(minutes=settings.two_venues_minutes))
        self._batch: Batch[Scan, Verdict | VenueClosed] = Batch(database, self._work, **limits)

    async def check(self, scan: Scan) -> Verdict:
        """Judges a scan; the verdict is given when what it leaves behind is committed."""
        verdict = await self._batch.submit(scan)
        assert isinstance(verdict, Verdict)
        await self._look_twice(scan, verdict)
        return verdict

    async def _look_twice(self, scan: Scan, verdict: Verdict) -> None:
        """Flags a card that was accepted elsewhere a moment ago; in a transaction apart from marks and counts."""
        card = verdict.judgement.card
        if verdict.judgement.outcome is not Outcome.ACCEPTED or card is None:
            return
        if self._sightings.saw(card, verdict.post.place.venue, scan.at):
            today = day_of(scan.at, self._settings.zone)
            await self._database.in_transaction(lambda session: raise_flag(session, card, today))

    async def _work(self, session: AsyncSession, scans: Sequence[Scan]) -> list[Verdict | VenueClosed]:
        # The latest clock of the batch is the one to look around by; each scan is judged at its own moment.
        now = max(scan.at for scan in scans)
        today = day_of(now, self._settings.zone)
        looked = await self._around.look(session, now, today)
        posts, judged = await self._judge(session, scans)
        if not looked and any(
            post is None or judgement.reason in _PERHAPS_NEWER
            for post, judgement in zip(posts, judged, strict=True)
        ):
            # A scanner, a key or a list of the last second may be what is missing: look again before saying so.
            await self._around.follow(session, now, today)
            posts, judged = await self._judge(session, scans)
        tries = await self._mark(session, scans, judged)
        counts: Counter[tuple[int, datetime, Counted]] = Counter()
        verdicts: list[Verdict | VenueClosed] = []
        for at, (scan, post, judgement) in enumerate(zip(scans, posts, judged, strict=True)):
            if post is None:
                verdicts.append(VenueClosed())
                continue
            if tries.get(at) == 0:
                judgement = _replayed(judgement)  # noqa: PLW2901
            if tries.get(at, 1) <= 1:
                counts[post.place.venue, hour_of(scan.at), Counted(judgement.outcome.value)] += 1
            verdicts.append(Verdict(judgement, post, self._receipt(scan, post, judgement)))
        await count(session, counts)
        return verdicts

    async def _judge(
        self, session: AsyncSession, scans: Sequence[Scan]
    ) -> tuple[list[Post | None], list[Judgement]]:
        trust = self._around.trust
        assert trust is not None
        posts = [self._around.posts.get(scan.scanner) for scan in scans]
        # First as if every card were on record: that needs no look, and is nearly always so. Then one look
        # for all of them together, and those that are not are judged again, issuer's signature included.
        asked: list[list[bytes]] = [[] for _ in scans]
        judged = [
            self._one(scan, post, trust, asked[at])
            for at, (scan, post) in enumerate(zip(scans, posts, strict=True))
        ]
        known = await _on_record(session, {digest for digests in asked for digest in digests})
        for at, digests in enumerate(asked):
            if not known.issuperset(digests):
                judged[at] = self._one(scans[at], posts[at], trust, None)
                if judged[at].alarm:
                    # Somebody else can sign as we do. No card and no venue here: the operator looks at the keys.
                    log.error("check.card_not_on_record")
        return posts, judged

    def _one(self, scan: Scan, post: Post | None, trust: Trust, asked: list[bytes] | None) -> Judgement:
        if post is None:
            return _NOWHERE

        def recognise(digest: bytes) -> bool:
            if asked is None:
                return False
            asked.append(digest)
            return True

        return judge(
            scan.code,
            host=self._settings.code_host,
            trust=trust,
            status=self._around.statuses,
            now=scan.at,
            # The server's clock is the one that the others go by.
            floor=trust.issued_at,
            place=post.place,
            offers=post.offers,
            recognise=recognise,
        )

    async def _mark(
        self, session: AsyncSession, scans: Sequence[Scan], judged: Sequence[Judgement]
    ) -> dict[int, int]:
        """Moves the marks of accepted live codes: for each such scan how often it came, 0 where it is replayed."""
        waiting: dict[str, dict[tuple[int, str], list[int]]] = defaultdict(lambda: defaultdict(list))
        for at, judgement in enumerate(judged):
            if (
                judgement.outcome is Outcome.ACCEPTED
                and judgement.card is not None
                and judgement.at is not None
            ):
                waiting[self._card(judgement.card)][
                    judgement.at, self._retry(scans[at], judgement.at)
                ].append(at)
        tries: dict[int, int] = {}
        while waiting:
            # One row for each card and round: a statement must not touch a row twice. The same request sent
            # twice shares a row; another one with the same card waits for the next round.
            rows = []
            shares: dict[str, list[int]] = {}
            for card in sorted(waiting):
                (second, retry) = next(iter(waiting[card]))
                shares[card] = waiting[card].pop((second, retry))
                rows.append({"card": card, "code_time": second, "retry": retry})
            taken = await _move_marks(session, rows)
            for card, sharing in shares.items():
                for nth, at in enumerate(sharing):
                    tries[at] = taken[card] + nth if card in taken else 0
            waiting = defaultdict(
                lambda: defaultdict(list), {card: each for card, each in waiting.items() if each}
            )
        return tries

    def _card(self, card: CardId) -> str:
        return hmac.digest(self._marks_key, b"card %d %d" % (card.status_list, card.index), sha256)[:16].hex()

    def _retry(self, scan: Scan, second: int) -> str:
        if scan.idempotency_key is None:
            return secrets.token_hex(16)
        about = b"retry %d " % second + scan.scanner.bytes + scan.idempotency_key.encode()
        return hmac.digest(self._marks_key, about, sha256)[:16].hex()

    def _receipt(self, scan: Scan, post: Post, judgement: Judgement) -> str | None:
        card = judgement.card
        if judgement.outcome is not Outcome.ACCEPTED or card is None:
            return None
        showing = (
            ("live", card.status_list, card.index, judgement.at)
            if judgement.at is not None
            else (
                "printed",
                card.status_list,
                card.index,
                scan.scanner,
                scan.idempotency_key or secrets.token_hex(16),
            )
        )
        return self._receipts.write(
            Receipt(
                card,
                judgement.tariff_bits,
                judgement.name is not None,
                post.place.venue,
                scan.scanner,
                self._receipts.number(*showing),
                scan.at + LIFE,
            )
        )


_NOWHERE = Judgement(Outcome.REFUSED)
_PERHAPS_NEWER: Final = frozenset({Reason.STATUS_MISSING, Reason.STATUS_STALE, Reason.UNKNOWN_ISSUER})


def _replayed(judgement: Judgement) -> Judgement:
    return Judgement(
        outcome_of(Reason.REPLAYED),
        Reason.REPLAYED,
        kind=judgement.kind,
        card=judgement.card,
        at=judgement.at,
    )


def hour_of(at: datetime) -> datetime:
    """The hour that a moment lies in: as close as anything here comes to a time of day."""
    return at.replace(minute=0, second=0, microsecond=0)


# ---- what a check reads and writes ----

_MOVE: Final = {
    "postgresql": """
        INSERT INTO replay_marks (card, code_time, retry, tries)
        SELECT shown.card, shown.code_time, shown.retry, 1
        FROM json_to_recordset(CAST(:rows AS json)) AS shown(card text, code_time bigint, retry text)
        """,
    "sqlite": """
        INSERT INTO replay_marks (card, code_time, retry, tries)
        SELECT json_extract(value, '$.card'), json_extract(value, '$.code_time'),
               json_extract(value, '$.retry'), 1
        FROM json_each(:rows) WHERE true
        """,
}
_UNLESS_REPLAYED: Final = """
        ON CONFLICT (card) DO UPDATE SET
            code_time = excluded.code_time,
            retry = excluded.retry,
            tries = CASE WHEN replay_marks.code_time < excluded.code_time THEN 1 ELSE replay_marks.tries + 1 END
        WHERE replay_marks.code_time < excluded.code_time
           OR (replay_marks.code_time = excluded.code_time AND replay_marks.retry = excluded.retry)
        RETURNING card, tries
        """
_MOVES: Final = {dialect: text(insert + _UNLESS_REPLAYED) for dialect, insert in _MOVE.items()}


async def _move_marks(session: AsyncSession, rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Moves the marks that may move, in one statement; gives how often each accepted request came."""
    # The rows come sorted: two instances take their locks in the same order.
    moved = await session.execute(_MOVES[session.get_bind().dialect.name], {"rows": json.dumps(rows)})
    return {row[0]: row[1] for row in moved}


async def _on_record(session: AsyncSession, digests: Collection[bytes]) -> set[bytes]:
    """Those of these cards that were issued here."""
    if not digests:
        return set()
    wanted = [*digests]
    # Filled up to a power of two, so that few different statements are prepared, whatever the batch's size.
    wanted += [wanted[-1]] * ((1 << (len(wanted) - 1).bit_length()) - len(wanted))
    found = await session.execute(
        select(col(Credential.card_hash)).where(col(Credential.card_hash).in_(wanted))
    )
    return {digest for digest in found.scalars() if digest is not None}


async def count(session: AsyncSession, counts: Mapping[tuple[int, datetime, Counted], int]) -> None:
    """Adds to what is counted per venue and hour."""
    if not counts:
        return
    insert = sqlite_insert if session.get_bind().dialect.name == "sqlite" else postgres_insert
    new = insert(VisitCount)
    added = new.on_conflict_do_update(
        index_elements=["venue", "hour", "what"],
        set_={"number": col(VisitCount.number) + new.excluded.number},
    )
    connection = await session.connection()
    await connection.execute(
        added,
        [
            {"venue": venue, "hour": hour, "what": what, "number": number}
            for (venue, hour, what), number in sorted(counts.items())
        ],
    )


async def forget_marks(session: AsyncSession, _payload: dict[str, Any], now: datetime) -> None:
    """The job of every minute: drops the marks whose codes nobody would accept any more."""
    before = int((now - MARKS_KEPT).timestamp())
    await session.execute(delete(ReplayMark).where(col(ReplayMark.code_time) < before))


async def forget_counts(session: AsyncSession, _payload: dict[str, Any], now: datetime) -> None:
    """The nightly job: drops counts that nobody plans by any more."""
    await session.execute(delete(VisitCount).where(col(VisitCount.hour) < now - COUNTS_KEPT))
