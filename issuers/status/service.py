"""Give places in status lists away, change what they say, and publish the lists."""

import hashlib
import secrets
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import TypeVar

import anyio
import deflate
import structlog
from sqlalchemy import Row, case, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import SQLModel, col

from core import jose
from core.errors import NotFound
from core.settings import Settings
from core.vault import KeyUse, Signer, Vault, VaultError
from issuers.authorities.certificates import NoCertificate, Purpose, chain_for
from issuers.authorities.models import IssuingKey
from issuers.authorities.service import current_key
from issuers.status.cwt import sign_cwt
from issuers.status.models import KeptList, ListKind, Place
from issuers.status.rules import CWT_TYPE, MEDIA_TYPE, TYPE, Status, StatusList, StatusListToken

T = TypeVar("T")

Numbered = tuple[int, int]
"""A place: the number of its list, and the index in it."""

SERVED_AFTER_END = timedelta(days=1)
"""How long a list is still served once the last credential in it has ended."""

FOLLOWED_FOR = timedelta(minutes=1)
"""How long memory is good for without having asked the database again; then it says nothing."""

_CHUNK = 1000

log = structlog.get_logger("status")


# ---- giving places away ----


async def allocate(
    session: AsyncSession, kind: ListKind, count: int, *, until: datetime, settings: Settings, now: datetime
) -> list[Numbered]:
    """So many places that nobody had before, drawn at random; the lists are kept for them until `until`.

    Whoever knows some places learns nothing of the others: neither order nor neighbourhood means anything.
    """
    places: list[Numbered] = []
    while len(places) < count:
        number, size, reserved = await _reserve(
            session, kind, count - len(places), until=until, settings=settings, now=now
        )
        places += await _draw(session, number, size, reserved)
    return places


async def _reserve(
    session: AsyncSession, kind: ListKind, count: int, *, until: datetime, settings: Settings, now: datetime
) -> tuple[int, int, int]:
    while True:
        with_room = await session.execute(
            select(col(KeptList.number), col(KeptList.size), col(KeptList.capacity) - col(KeptList.allocated))
            .where(col(KeptList.kind) == kind, col(KeptList.allocated) < col(KeptList.capacity))
            .order_by(col(KeptList.number))
            .limit(1)
        )
        found = with_room.one_or_none()
        if found is None:
            await _open(session, kind, until, settings, now)
            continue
        number, size, room = found
        reserved = min(count, room)
        taken = await session.execute(
            update(KeptList)
            .where(
                col(KeptList.number) == number,
                # Asked again: between the look and the lock somebody else may have taken the room.
                col(KeptList.allocated) + reserved <= col(KeptList.capacity),
            )
            .values(
                allocated=KeptList.allocated + reserved,
                holds_until=case((col(KeptList.holds_until) < until, until), else_=col(KeptList.holds_until)),
            )
            .returning(col(KeptList.number))
            .execution_options(synchronize_session=False)
        )
        if taken.scalar_one_or_none() is not None:
            return number, size, reserved


async def _draw(session: AsyncSession, number: int, size: int, count: int) -> list[Numbered]:
    drawn: list[int] = []
    while len(drawn) < count:
        offered = {secrets.randbelow(size) for _ in range(count - len(drawn))}
        new = _insert(session, Place).on_conflict_do_nothing().returning(col(Place.position))
        rows = [
            {"list_number": number, "position": position, "status": Status.VALID, "version": 0}
            for position in offered
        ]
        for chunk in _chunks(rows):
            drawn += (await session.execute(new, chunk)).scalars().all()
    # The database may answer in its own order, and a set has one too: neither may tell of the draw.
    secrets.SystemRandom().shuffle(drawn)
    return [(number, position) for position in drawn]


async def _open(
    session: AsyncSession, kind: ListKind, until: datetime, settings: Settings, now: datetime
) -> None:
    size = settings.status_size
    last = (await session.execute(select(func.max(col(KeptList.number))))).scalar_one()
    number = (last or 0) + 1
    opened = await session.execute(
        _insert(session, KeptList)
        .values(
            number=number,
            kind=kind,
            size=size,
            capacity=_capacity(size),
            allocated=0,
            version=0,
            changed_at=now,
            opened_at=now,
            holds_until=until,
        )
        # Of two who find every list full at once, one opens the next and both use it.
        .on_conflict_do_nothing()
        .returning(col(KeptList.number))
    )
    if opened.scalar_one_or_none() is None:
        return
    log.info("status.list_opened", list=number, kind=kind.value)
    await _sow_decoys(session, number, size, size // 64 + secrets.randbelow(size // 64 + 1), version=1)
    await session.execute(
        update(KeptList)
        .where(col(KeptList.number) == number)
        .values(version=1)
        .execution_options(synchronize_session=False)
    )


async def _sow_decoys(session: AsyncSession, number: int, size: int, count: int, *, version: int) -> None:
    """Marks places of nobody: how many credentials were revoked, and which with which, must not be countable.

    A new list begins with some of them, every later revocation takes a few more along. A decoy looks in every
    respect like a credential that was revoked (a few like a suspended one), and it uses its place up.
    """
    room = await session.execute(
        update(KeptList)
        .where(col(KeptList.number) == number, col(KeptList.allocated) + count <= col(KeptList.capacity))
        .values(allocated=KeptList.allocated + count)
        .returning(col(KeptList.number))
        .execution_options(synchronize_session=False)
    )
    if room.scalar_one_or_none() is None:
        return
    decoys = [index for _, index in await _draw(session, number, size, count)]
    suspended = [index for index in decoys if secrets.randbelow(32) == 0]
    for status, indices in ((Status.INVALID, set(decoys) - set(suspended)), (Status.SUSPENDED, suspended)):
        for chunk in _chunks(indices):
            await session.execute(
                update(Place)
                .where(col(Place.list_number) == number, col(Place.position).in_(chunk))
                .values(status=int(status), version=version)
                .execution_options(synchronize_session=False)
            )


def _capacity(size: int) -> int:
    # At least every fourth place stays free: then a draw finds one in four tries, however full the list is.
    return size * 3 // 4


# ---- changing what they say ----


async def set_status(
    session: AsyncSession, places: Collection[Numbered], status: Status, *, now: datetime
) -> list[Numbered]:
    """Changes what the lists say of these places; gives back those that it changed.

    What is invalid stays invalid, whatever is asked for.
    """
    by_list: dict[int, set[int]] = defaultdict(set)
    for place in places:
        by_list[place[0]].add(place[1])
    changed: list[Numbered] = []
    for number in sorted(by_list):  # in one order for all, so that two changes never wait for each other
        # The row is held to the commit: versions become visible in the order in which they count.
        found = await session.execute(
            select(col(KeptList.size), col(KeptList.version), col(KeptList.changed_at))
            .where(col(KeptList.number) == number)
            .with_for_update()
        )
        held = found.one_or_none()
        if held is None:
            continue
        size, version, changed_at = held[0], held[1] + 1, held[2]
        flipped: list[int] = []
        for chunk in _chunks(by_list[number]):
            flips = await session.execute(
                update(Place)
                .where(
                    col(Place.list_number) == number,
                    col(Place.position).in_(chunk),
                    col(Place.status).not_in([int(Status.INVALID), int(status)]),
                )
                .values(status=int(status), version=version)
                .returning(col(Place.position))
                .execution_options(synchronize_session=False)
            )
            flipped += flips.scalars().all()
        if not flipped:
            continue
        if status is Status.INVALID:
            await _sow_decoys(session, number, size, secrets.randbelow(2 * len(flipped) + 8), version=version)
        await session.execute(
            update(KeptList)
            .where(col(KeptList.number) == number)
            .values(version=version, changed_at=max(now, changed_at))
            .execution_options(synchronize_session=False)
        )
        changed += [(number, position) for position in flipped]
    return changed


# ---- knowing what they say ----


@dataclass(frozen=True, slots=True)
class Held:
    """A list as this process knows it; replaced as a whole, never changed."""

    number: int
    kind: ListKind
    version: int
    changed_at: datetime
    statuses: StatusList


@dataclass(frozen=True, slots=True)
class Sheet:
    """One list as the judgement of a check reads it."""

    statuses: StatusList
    issued_at: datetime
    expires_at: datetime

    def __len__(self) -> int:
        return self.statuses.size

    def __getitem__(self, index: int, /) -> int:
        return self.statuses.get(index)


class StatusMemory:
    """What the lists say, in this process's memory, following the database.

    `follow` asks for versions (one small query) and loads only what changed since; `status` answers from
    memory. Whoever checks a batch follows once and then asks as often as needed.
    """

    def __init__(self, bits: int = 2) -> None:
        self._bits = bits
        self._lists: dict[int, Held] = {}
        self._followed_at: datetime | None = None
        self._signed: dict[int, tuple[tuple[int, int, str], Published]] = {}

    async def follow(self, session: AsyncSession, now: datetime) -> None:
        """Brings the memory up to what is committed."""
        known = await session.execute(
            select(
                col(KeptList.number),
                col(KeptList.kind),
                col(KeptList.size),
                col(KeptList.version),
                col(KeptList.changed_at),
            ).where(col(KeptList.holds_until) >= now - SERVED_AFTER_END)
        )
        current = known.all()
        for row in current:
            number, version = row[0], row[3]
            held = self._lists.get(number)
            if held is None or held.version < version:
                loaded = await _load(session, held, row, self._bits)
                # Another follower may have come further while we waited; memory never goes back.
                newest = self._lists.get(number)
                if newest is None or newest.version < loaded.version:
                    self._lists[number] = loaded
        for number in self._lists.keys() - {row[0] for row in current}:
            self._lists.pop(number, None)
            self._signed.pop(number, None)
        self._followed_at = now

    def sheet(self, status_list: int, /) -> "Sheet | None":
        """A list for the judgement of a check; None where there is none, and nothing before the first `follow`."""
        held = self._lists.get(status_list)
        if held is None or self._followed_at is None:
            return None
        return Sheet(held.statuses, self._followed_at, self._followed_at + FOLLOWED_FOR)

    def newest_seen(self, _status_list: int, /) -> datetime | None:
        """Nothing: memory follows versions, which never go back."""
        return None

    def status(self, place: Numbered) -> Status | None:
        """What is known of this place; None where there is no such place, which must never pass as valid."""
        held = self._lists.get(place[0])
        if held is None:
            return None
        try:
            return Status(held.statuses.get(place[1]))
        except IndexError:
            return None

    def held(self, number: int) -> Held:
        """One list; NotFound where there is none, or none any more."""
        held = self._lists.get(number)
        if held is None:
            raise NotFound
        return held

    def numbers(self) -> list[int]:
        """The lists that are in use."""
        return sorted(self._lists)

    async def published(
        self, session: AsyncSession, number: int, *, vault: Vault, settings: Settings, now: datetime
    ) -> "Published":
        """The signed list, made anew when it changed and once in each `ttl`.

        Every process makes the same bytes of the same state: nothing in them is chosen here.
        """
        held = self.held(number)
        try:
            return await self._published(session, held, vault=vault, settings=settings, now=now)
        except (VaultError, NoCertificate):
            made = self._signed.get(number)
            if made is None or not await _still_holds(session, made[0], settings, now):
                raise
            # Checking goes on while nothing can be signed: the last list says of itself how old it is.
            log.warning("status.not_signed_anew", list=number)
            return made[1]

    async def _published(
        self, session: AsyncSession, held: Held, *, vault: Vault, settings: Settings, now: datetime
    ) -> "Published":
        number, ttl = held.number, settings.status_ttl
        issued = max(int(held.changed_at.timestamp()), int(now.timestamp()) // ttl * ttl)
        if held.kind is ListKind.CREDENTIAL:
            chain = await chain_for(session, vault, settings, Purpose.STATUS_LIST, now)
            signer: Signer = chain.signer
            x5c, name = chain.x5c, f"{chain.key_id}.{chain.x5c[0]}"
        else:
            key = await current_key(session, KeyUse.STATUS_LIST, now)
            signer, x5c, name = vault.signer(key.key_id, KeyUse.STATUS_LIST), (), key.key_id
        state = (held.version, issued, name)
        made = self._signed.get(number)
        if made is not None and made[0] == state:
            return made[1]
        publish = partial(_publish, held, signer, x5c, settings=settings, issued=issued)
        published = await anyio.to_thread.run_sync(publish)
        made = self._signed.get(number)
        if made is None or made[0][:2] <= state[:2]:
            self._signed[number] = (state, published)
        return published


@dataclass(frozen=True, slots=True)
class Form:
    """A signed list in one of its two forms, as it is served."""

    media_type: str
    token: bytes
    gzipped: bytes
    etag: str

    @classmethod
    def of(cls, media_type: str, token: bytes) -> "Form":
        etag = hashlib.sha256(token).hexdigest()[:32]
        return cls(media_type, token, bytes(deflate.gzip_compress(token, 6)), etag)


@dataclass(frozen=True, slots=True)
class Published:
    """A signed list as it is served, as JWT and as CWT."""

    version: int
    jwt: Form
    cwt: Form


def uri_of(number: int, settings: Settings) -> str:
    """Where a list is served: its name in credentials and in its own token."""
    return f"{settings.public_url}/status/{number}"


def _publish(held: Held, signer: Signer, x5c: Sequence[str], *, settings: Settings, issued: int) -> Published:
    at = datetime.fromtimestamp(issued, held.changed_at.tzinfo)
    listed = StatusListToken(
        uri_of(held.number, settings),
        held.statuses,
        issued_at=at,
        expires_at=at + timedelta(days=settings.status_days),
        ttl=timedelta(seconds=settings.status_ttl),
    )
    protected = {"x5c": list(x5c)} if x5c else {}
    token = jose.sign(signer, listed.claims(), typ=TYPE, protected=protected).encode()
    return Published(
        held.version, Form.of(MEDIA_TYPE, token), Form.of(CWT_TYPE, sign_cwt(signer, listed, x5c))
    )


async def _still_holds(
    session: AsyncSession, made: tuple[int, int, str], settings: Settings, now: datetime
) -> bool:
    """Whether a list that was signed before can still be relied on: not too old, and its key not withdrawn."""
    _version, issued, name = made
    if now.timestamp() >= issued + timedelta(days=settings.status_days).total_seconds():
        return False
    key = await session.get(IssuingKey, name.partition(".")[0])
    return key is not None and key.withdrawn_at is None


async def _load(
    session: AsyncSession, held: Held | None, current: Row[int, ListKind, int, int, datetime], bits: int
) -> Held:
    number, kind, size, version, changed_at = current
    statuses = StatusList.blank(size, bits) if held is None else StatusList(bits, held.statuses.octets())
    changes = await session.execute(
        select(col(Place.position), col(Place.status)).where(
            col(Place.list_number) == number,
            col(Place.version) > (0 if held is None else held.version),
        )
    )
    for position, status in changes.all():
        # Where a status has one bit, what is suspended counts as little as what is invalid.
        statuses.set(position, status if bits > 1 else min(status, Status.INVALID))
    return Held(number, kind, version, changed_at, statuses)


def _insert(session: AsyncSession, table: type[SQLModel]) -> sqlite.Insert | postgresql.Insert:
    return sqlite.insert(table) if session.get_bind().dialect.name == "sqlite" else postgresql.insert(table)


def _chunks(items: Iterable[T]) -> Iterable[list[T]]:
    rest = iter(items)
    while chunk := list(islice(rest, _CHUNK)):
        yield chunk
