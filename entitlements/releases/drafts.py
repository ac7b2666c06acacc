"""Write drafts of releases, read them, and understand what they change."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import ColumnElement, exists, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.access.rules import Caller, Role
from core.audit.service import note
from core.errors import Conflict, NotAllowed, NotFound, Unprocessable
from core.settings import Settings
from entitlements.language.days import ONE_DAY
from entitlements.releases.models import OPEN, Check, CheckStep, Release, Revision, State, Status
from entitlements.releases.rules import Change, change_from_json, changes_of
from entitlements.rulebook import service as rulebook
from entitlements.rulebook.changing import Changes, NothingToRestore, merged
from entitlements.rulebook.drafting import DRAFT, Form, read_changes
from entitlements.rulebook.keeping import state_hash
from entitlements.rulebook.programmes import Rulebook
from entitlements.rulebook.rules import RulebookError
from entitlements.rulebook.soundness import flaws

LONGEST = 400_000
"""Characters of one draft."""


class DraftMoved(Conflict):
    """Somebody saved another revision since the one that the caller has read."""

    slug, title = "draft-moved", "The draft was changed in the meantime; read it again"


class DraftOfOthers(NotAllowed):
    """Whoever wrote no revision of a draft does not change it."""

    slug = "draft-of-others"
    title = "Only its authors, or somebody who approves rules, may change or withdraw this draft"


class DraftClosed(Conflict):
    """It was released, rejected or withdrawn, and so does not change any more."""

    slug, title = "draft-closed", "This release is decided and stays as it is"


class TooLong(Unprocessable):
    """The draft is longer than what is taken."""

    slug, title = "draft-too-long", "The draft is too long"


class NotSound(Unprocessable):
    """What a draft makes of the rulebook cannot stand, and so nothing can be worked out from it."""

    slug, title = "draft-not-sound", "The draft cannot stand like this"


@dataclass(frozen=True, slots=True)
class Draft:
    """A revision, understood: what it changes, and the rulebook without and with it."""

    changes: Changes
    standing: Rulebook
    book: Rulebook
    base_hash: str

    def first_day(self, today: date) -> date:
        """The first day on which something of it is in force; tomorrow where it names none."""
        return min(self.changes.days(), default=today + ONE_DAY)


# --- writing ------------------------------------------------------------------------------------------------


def hash_of_source(form: Form, source: str) -> str:
    """What identifies the content of a draft."""
    return hashlib.sha256(f"{form.value}\n{source}".encode()).hexdigest()


async def write(
    session: AsyncSession,
    caller: Caller,
    *,
    title: str,
    form: Form,
    source: str,
    now: datetime,
    undoes: UUID | None = None,
) -> Release:
    """Begins a draft."""
    _check_length(source)
    release = Release(
        title=title,
        content_hash=hash_of_source(form, source),
        author_id=caller.principal_id,
        created_at=now,
        changed_at=now,
        undoes_id=undoes,
    )
    session.add(release)
    await session.flush()
    await _keep_revision(session, release, form, source, now)
    note(session, caller, "release.drafted", ("release", release.id), now=now, content=release.content_hash)
    return release


async def rewrite(
    session: AsyncSession,
    caller: Caller,
    release_id: UUID,
    *,
    read: int,
    title: str,
    form: Form,
    source: str,
    now: datetime,
) -> Release:
    """Saves a draft anew; `read` is the revision that the caller has changed.

    What the gate found of another content does not count any more. Whoever approves rules may correct the draft of
    others, and so becomes one of its authors.
    """
    _check_length(source)
    others = await may_change(session, caller, await release_of(session, release_id))
    saved = await session.execute(
        update(Release)
        .where(col(Release.id) == release_id, col(Release.version) == read, col(Release.status).in_(OPEN))
        .values(
            title=title,
            status=Status.DRAFT,
            version=read + 1,
            content_hash=hash_of_source(form, source),
            author_id=caller.principal_id,
            changed_at=now,
        )
        .returning(Release)
        .execution_options(populate_existing=True)
    )
    release = saved.scalar_one_or_none()
    if release is None:
        release = await release_of(session, release_id)
        raise DraftMoved(version=release.version) if release.status in OPEN else DraftClosed()
    await session.execute(
        update(Check)
        .where(col(Check.release_id) == release_id, col(Check.state) == State.WAITING)
        .values(state=State.OVERTAKEN, finished_at=now)
        .execution_options(synchronize_session=False)
    )
    await _keep_revision(session, release, form, source, now)
    note(
        session,
        caller,
        "release.redrafted",
        ("release", release.id),
        now=now,
        content=release.content_hash,
        of_others=others,
    )
    return release


async def may_change(session: AsyncSession, caller: Caller, release: Release) -> bool:
    """Whether it is a draft of others, which only who approves rules may change; DraftOfOthers for anybody else."""
    own = caller.principal_id == release.author_id
    if own or (await session.execute(select(wrote(release.id, caller)))).scalar_one():
        return False
    if not caller.has(Role.RULE_APPROVER):
        raise DraftOfOthers
    return True


def wrote(release_id: UUID, caller: Caller) -> ColumnElement[bool]:
    """Whether the caller wrote a revision of it."""
    return exists().where(
        col(Revision.release_id) == release_id, col(Revision.author_id) == caller.principal_id
    )


def _check_length(source: str) -> None:
    if len(source) > LONGEST:
        raise TooLong(f"a draft has at most {LONGEST} characters")


async def _keep_revision(
    session: AsyncSession, release: Release, form: Form, source: str, now: datetime
) -> None:
    session.add(
        Revision(
            release_id=release.id,
            version=release.version,
            author_id=release.author_id,
            at=now,
            form=form,
            source=source,
            content_hash=release.content_hash,
        )
    )
    await session.flush()


# --- reading ------------------------------------------------------------------------------------------------


async def release_of(session: AsyncSession, release_id: UUID) -> Release:
    """One release as it stands now; NotFound where there is none."""
    release = await session.get(Release, release_id, populate_existing=True)
    if release is None:
        raise NotFound
    return release


async def releases(
    session: AsyncSession, *, status: Status | None, before: UUID | None, limit: int
) -> Sequence[Release]:
    """Releases, the newest first."""
    wanted = select(Release).order_by(col(Release.id).desc()).limit(limit)
    if status is not None:
        wanted = wanted.where(col(Release.status) == status)
    if before is not None:
        wanted = wanted.where(col(Release.id) < before)
    return (await session.execute(wanted)).scalars().all()


async def revisions(session: AsyncSession, release_id: UUID) -> Sequence[Revision]:
    """Every revision of a draft, the first one first."""
    await release_of(session, release_id)
    wanted = select(Revision).where(col(Revision.release_id) == release_id).order_by(col(Revision.version))
    return (await session.execute(wanted)).scalars().all()


async def revision(session: AsyncSession, release: Release) -> Revision:
    """The revision that counts."""
    found = await session.execute(
        select(Revision).where(
            col(Revision.release_id) == release.id, col(Revision.version) == release.version
        )
    )
    row: Revision = found.scalar_one()
    return row


async def understand(session: AsyncSession, written: Revision, settings: Settings) -> Draft:
    """What a revision changes; RulebookError with its line where it cannot be understood."""
    standing = await rulebook.in_force(session)
    changes = read_changes(written.source, written.form, standing)
    try:
        book = merged(standing, changes, await rulebook.known_rules(session))
    except NothingToRestore as error:
        raise RulebookError(str(error), DRAFT, error.line) from None
    base = state_hash(standing)
    if not standing.city:
        book = replace(book, city=settings.city)
    return Draft(changes, standing, book, base)


async def draft_of(session: AsyncSession, release_id: UUID, settings: Settings) -> Draft:
    """What a release changes, against what is released now."""
    release = await release_of(session, release_id)
    return await understand(session, await revision(session, release), settings)


async def latest_check(session: AsyncSession, release_id: UUID) -> Check | None:
    """The newest run through the gate."""
    wanted = (
        select(Check)
        .where(col(Check.release_id) == release_id)
        .order_by(col(Check.asked_at).desc(), col(Check.id).desc())
        .limit(1)
    )
    found: Check | None = (await session.execute(wanted)).scalar_one_or_none()
    return found


async def steps_of(session: AsyncSession, check_id: UUID) -> Sequence[CheckStep]:
    """The steps of a run, in their order."""
    wanted = select(CheckStep).where(col(CheckStep.check_id) == check_id).order_by(col(CheckStep.position))
    return (await session.execute(wanted)).scalars().all()


@dataclass(frozen=True, slots=True)
class Difference:
    """What one content changes."""

    content_hash: str
    changes: tuple[Change, ...]


async def difference(session: AsyncSession, release_id: UUID, settings: Settings) -> Difference:
    """Everything that a release changes, part by part; NotSound where programmes wait for one another."""
    release = await release_of(session, release_id)
    if release.status is Status.RELEASED:
        return Difference(release.content_hash, tuple(change_from_json(kept) for kept in release.difference))
    written = await revision(session, release)
    draft = await understand(session, written, settings)
    circles = [flaw for flaw in flaws(draft.book) if flaw.code in {"circle", "waits-for-nothing"}]
    if circles:
        raise NotSound("; ".join(flaw.message for flaw in circles))
    return Difference(written.content_hash, changes_of(draft.standing, draft.book, draft.changes))
