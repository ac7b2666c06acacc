"""How decisions are kept, and for each person and programme the one that stands."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, text
from sqlmodel import Field, SQLModel

from core.database import Json, Moment, impersonal, new_id, personal, word
from entitlements.rulebook.programmes import Outcome


class Decision(SQLModel, table=True):
    """What one rule version said about one person on one day, and why; appended, never changed.

    With the rule's hash, the hash of the amounts, the day and the moment of knowing, it can be worked out
    again; the hash of the facts says whether it was from the same ones.
    """

    __tablename__ = "decisions"
    __table_args__ = (
        Index("ix_decisions_person_id_programme", "person_id", "programme", "decided_at"),
        personal("person_id"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    person_id: UUID = Field(foreign_key="persons.id")
    programme: str = Field(foreign_key="programmes.slug", max_length=64)
    rule_hash: str = Field(foreign_key="rule_versions.rule_hash", max_length=64, index=True)
    parameter_hash: str = Field(max_length=64)
    facts_hash: str = Field(max_length=64)
    """Over every fact that the rule looks at, of the person and of those in their households, as they stood."""
    day: date
    decided_at: datetime = Field(sa_type=Moment)
    """Also the moment of knowing: what was learned later had no part in it."""
    held_since: date | None = None
    """From which day a fixed length of what was held already counted."""
    others: dict[str, str] = Field(default_factory=dict, sa_type=Json)
    """The outcomes of the programmes that this one depends on."""
    cause: str = Field(max_length=64)
    outcome: Outcome = Field(sa_type=word(Outcome))
    ground: str | None = Field(default=None, max_length=64)
    payer: str | None = Field(default=None, max_length=64)
    until: date | None = None
    reasons: list[dict[str, Any]] = Field(default_factory=list, sa_type=Json)
    missing: list[dict[str, Any]] = Field(default_factory=list, sa_type=Json)
    brings: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    """Tariffs, allowances, amounts and charges as the rule gave them."""
    changes_on: date | None = None
    previous_id: UUID | None = Field(default=None, index=True)


class Verdict(SQLModel, table=True):
    """The decision that stands for a person and programme, and when to look again.

    The row is also what two assessments of the same person wait for.
    """

    __tablename__ = "verdicts"
    __table_args__ = (
        Index("ix_verdicts_look_on", "look_on"),
        Index(
            "ix_verdicts_refer",
            "outcome",
            "person_id",
            sqlite_where=text("outcome IN ('refer', 'undetermined')"),
            postgresql_where=text("outcome IN ('refer', 'undetermined')"),
        ),
        CheckConstraint("(decision_id IS NULL) = (digest IS NULL)", name="decided_or_not_yet"),
        personal("person_id"),
    )

    person_id: UUID = Field(foreign_key="persons.id", primary_key=True)
    programme: str = Field(foreign_key="programmes.slug", max_length=64, primary_key=True)
    decision_id: UUID | None = Field(default=None, foreign_key="decisions.id", index=True)
    digest: str | None = Field(default=None, max_length=64)
    """Of what the decision says, without the day on which it was said."""
    outcome: Outcome | None = Field(default=None, sa_type=word(Outcome))
    timeline_hash: str = Field(default="", max_length=64)
    """The state of the programme's rules by which it was last judged."""
    next_change_on: date | None = None
    """The next day on which it can change if nothing new is learned: the frontier."""
    look_on: date | None = None
    """The next day to look: the frontier, or earlier to announce an end in time."""
    judged_at: datetime | None = Field(default=None, sa_type=Moment)


class Assessed(SQLModel, table=True):
    """What everybody's decisions say, as one number per person: where it is another, something is to be done.

    It is written by the statement that decides for everybody, and taken away when the person is judged by
    themselves; who has none was judged since, and is given one with the next look at everybody.
    """

    __tablename__ = "assessed"
    __table_args__ = (personal("person_id"),)

    person_id: UUID = Field(foreign_key="persons.id", primary_key=True)
    essence: int = Field(sa_type=BigInteger)


class RunState(StrEnum):
    """How far an assessment of everybody has come."""

    RUNNING = "running"
    STOPPED = "stopped"
    """Somebody stopped it; it goes on where it was when it is taken up again."""
    HELD = "held"
    """It would end more than a set share of what is held; a person has to look."""
    FINISHED = "finished"


class Run(SQLModel, table=True):
    """An assessment of everybody: what it found to do, and how far it has come."""

    __tablename__ = "assessment_runs"
    __table_args__ = (
        Index(
            "uq_assessment_runs_open",
            "open",
            unique=True,
            sqlite_where=text("state <> 'finished'"),
            postgresql_where=text("state <> 'finished'"),
        ),
        CheckConstraint("(state = 'finished') = (finished_at IS NOT NULL)", name="finished_says_when"),
        CheckConstraint("done >= 0 AND done <= total", name="done_within_total"),
        CheckConstraint("open", name="open_is_true"),
        impersonal("a run over everybody: counts only"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    cause: str = Field(max_length=64)
    on_day: date
    state: RunState = Field(default=RunState.RUNNING, sa_type=word(RunState))
    open: bool = True
    """Always so; at most one run is not finished."""
    persons: int = 0
    """Of how many persons it was looked whether something is another."""
    differing: int = 0
    """For how many of them something is."""
    total: int = 0
    """How many are judged: these, and those whose days have come or whose rules were replaced."""
    done: int = 0
    ends: int = 0
    """How many entitlements it would end."""
    standing: int = 0
    """Of how many that are held."""
    decisions: int = 0
    """Decisions appended so far."""
    started_at: datetime = Field(sa_type=Moment)
    moved_at: datetime = Field(sa_type=Moment)
    finished_at: datetime | None = Field(default=None, sa_type=Moment)
    released_by: UUID | None = None
    """The principal who looked and let it go on although it ends much."""


class RunPerson(SQLModel, table=True):
    """Somebody whom a run has still to judge."""

    __tablename__ = "assessment_run_persons"
    __table_args__ = (
        Index("ix_assessment_run_persons_next", "run_id", "rank", "person_id"),
        personal("person_id"),
    )

    run_id: UUID = Field(foreign_key="assessment_runs.id", primary_key=True)
    person_id: UUID = Field(foreign_key="persons.id", primary_key=True)
    rank: int
    """Those first for whom something is another."""
    ends: int
    """How many entitlements of theirs it would end."""
    essence: int = Field(sa_type=BigInteger)
    """What their decisions say by the facts and rules of the run."""
