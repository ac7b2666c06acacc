"""What is said of releases, of what the gate found, and of simulations."""

import unicodedata
from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints

from core.schema import Line, Schema
from entitlements.rulebook.drafting import UNSEEN, Form
from entitlements.rulebook.reading import EARLIEST, LATEST
from entitlements.simulations.models import Failure, Progress, Simulation

from .drafts import LONGEST
from .models import Check, CheckStep, Release, Revision, State, Status, Step
from .rules import Change, How, reason_text, sentence

_SOURCE = """\
programmes:
  - programme: dortmund-karte
    versions:
      - from: 2027-01-01
        ...
parameters:
  participation_monthly:
    unit: cents
    values:
      - {from: 2027-01-01, value: 2000, statute: § 28 Abs. 7 SGB II}
cases:
  - programme: dortmund-karte
    cases: [...]
"""
_HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


def _plain_text(text: str) -> str:
    if any(unicodedata.category(sign) in UNSEEN for sign in text if sign not in "\n\r\t"):
        raise ValueError("control characters are not taken")
    return text


def _within(day: date) -> date:
    if not EARLIEST <= day <= LATEST:
        raise ValueError(f"rules speak of days from {EARLIEST.year} to {LATEST.year}")
    return day


Day = Annotated[date, AfterValidator(_within)]
Source = Annotated[str, StringConstraints(max_length=LONGEST), AfterValidator(_plain_text)]


class NewRelease(Schema):
    """A draft as it is begun."""

    title: Line = Field(description="What it is about", examples=["Participation at 20 euros"])
    form: Form = Field(default=Form.YAML, description="In which form it is written", examples=["yaml"])
    source: Source = Field(
        description=(
            "What changes, from which day on: `tariffs`, `parameters`, `programmes` with new `versions`, `restore` "
            "(programme, rule hash, from), `ends` (programme, until), `cases`, `drop_cases`; otherwise as in the "
            "files of a rulebook"
        ),
        examples=[_SOURCE],
    )


class ChangedRelease(NewRelease):
    """A draft as it is saved again."""

    version: int = Field(
        ge=1, description="The version that was read; with another one saved since, nothing is", examples=[1]
    )


class Approval(Schema):
    """The word of a second person, for one content."""

    content_hash: str = Field(
        min_length=64, max_length=64, description="The content that was read and is meant", examples=[_HASH]
    )
    acknowledge_endings: bool = Field(
        default=False,
        description="Whether it is meant that so many entitlements end; needed where the checks say so",
        examples=[False],
    )


class Refusal(Schema):
    """Why a draft goes no further."""

    remark: Line = Field(description="Why, in a sentence", examples=["The council has not decided yet"])


class WayBack(Schema):
    """From which day on the rules from before a release shall count again."""

    day: Day = Field(description="The first day, tomorrow at the earliest", examples=["2027-03-01"])
    title: Line = Field(description="What it is about", examples=["Back to 15 euros"])


class FindingView(Schema):
    """Something that a step of the checks found."""

    code: str = Field(description="Its stable name", examples=["case-disagrees"])
    message: str = Field(description="What it is, and what to do about it")
    programme: str = Field(
        description="Of which programme; empty where it is of none", examples=["sozialpass"]
    )
    stops: bool = Field(description="Whether it keeps the release from going on", examples=[True])


class StepView(Schema):
    """One step of the checks."""

    step: Step = Field(examples=["cases"])
    state: State = Field(examples=["passed"])
    findings: tuple[FindingView, ...] = Field(description="What it found")
    counts: dict[str, int] = Field(description="How much it looked at", examples=[{"cases": 23}])
    finished_at: datetime | None = Field(description="When it was done", examples=["2026-09-16T10:00:00Z"])


class CheckView(Schema):
    """One run of one content through the checks."""

    id: UUID
    content_hash: str = Field(description="The content that was checked", examples=[_HASH])
    state: State = Field(examples=["passed"])
    day: date = Field(description="The day on which persons were judged", examples=["2027-01-01"])
    asked_by: UUID = Field(description="The principal who sent it through")
    asked_at: datetime = Field(examples=["2026-09-16T10:00:00Z"])
    finished_at: datetime | None = Field(examples=["2026-09-16T10:00:30Z"])
    ends_many: bool = Field(
        description="Whether an approval has to acknowledge that many entitlements end", examples=[False]
    )
    simulation_id: UUID | None = Field(description="The simulation that belongs to it")
    steps: tuple[StepView, ...]

    @classmethod
    def of(cls, row: Check, steps: "list[CheckStep]") -> "CheckView":
        said = {name: getattr(row, name) for name in cls.model_fields if name != "steps"}
        return cls(**said, steps=tuple(StepView.model_validate(step) for step in steps))


class ReleaseView(Schema):
    """A release, from draft to days of force."""

    id: UUID
    title: str = Field(examples=["Participation at 20 euros"])
    status: Status = Field(examples=["draft"])
    version: int = Field(description="The revision that counts", examples=[1])
    content_hash: str = Field(description="Over what that revision says", examples=[_HASH])
    author_id: UUID = Field(description="The principal who wrote that revision")
    created_at: datetime = Field(examples=["2026-09-16T10:00:00Z"])
    changed_at: datetime = Field(examples=["2026-09-16T10:00:00Z"])
    undoes_id: UUID | None = Field(description="The release that this one rolls back")
    approver_id: UUID | None = Field(description="The principal who approved it")
    acknowledged: bool = Field(
        description="Whether it was said that many endings are meant", examples=[False]
    )
    decided_by: UUID | None = Field(description="The principal who approved, rejected or withdrew it")
    decided_at: datetime | None = Field(examples=["2026-09-17T08:00:00Z"])
    remark: str | None = Field(description="Why it was rejected or withdrawn")
    first_day: date | None = Field(
        description="Of what was released: the first day on which something is in force",
        examples=["2027-01-01"],
    )


class ReleaseDetails(ReleaseView):
    """A release with what it says, and what the checks found last."""

    form: Form = Field(examples=["yaml"])
    source: str = Field(description="What its author wrote", examples=[_SOURCE])
    check: CheckView | None = Field(description="The last run through the checks")

    @classmethod
    def tell(cls, release: Release, revision: Revision, check: CheckView | None) -> "ReleaseDetails":
        said = {name: getattr(release, name) for name in ReleaseView.model_fields}
        return cls(**said, form=revision.form, source=revision.source, check=check)


class ReleasePage(Schema):
    """Releases, the newest first."""

    releases: tuple[ReleaseView, ...]
    next: UUID | None = Field(description="Pass as `before` for the next page")


class RevisionView(Schema):
    """A draft as somebody saved it."""

    version: int = Field(examples=[1])
    author_id: UUID
    at: datetime = Field(examples=["2026-09-16T10:00:00Z"])
    form: Form = Field(examples=["yaml"])
    source: str = Field(examples=[_SOURCE])
    content_hash: str = Field(examples=[_HASH])


class ChangeView(Schema):
    """One part of the rules that is another than without the release."""

    programme: str = Field(description="Empty for amounts and tariffs", examples=["dortmund-karte"])
    what: str = Field(description="Which kind of part", examples=["ground"])
    name: str = Field(description="Its name there", examples=["kiz"])
    how: How = Field(examples=["added"])
    since: date | None = Field(description="From which day on", examples=["2027-01-01"])
    before: str | None = Field(description="What the rules say without the release")
    after: str | None = Field(description="What they say with it", examples=["kiz; § 6a BKGG"])
    text: str = Field(description="The change as a sentence in the language asked for")
    reason: str | None = Field(description="What people are told where this part decides")

    @classmethod
    def of(cls, change: Change, language: str) -> "ChangeView":
        said = {
            n: getattr(change, n) for n in ("programme", "what", "name", "how", "since", "before", "after")
        }
        return cls(**said, text=sentence(change, language), reason=reason_text(change, language))


class DifferenceView(Schema):
    """Everything that a release changes, against what would hold on the same days without it."""

    content_hash: str = Field(description="The content that was compared", examples=[_HASH])
    changes: tuple[ChangeView, ...]


# --- simulations --------------------------------------------------------------------------------------------


class NewSimulation(Schema):
    """What is to be simulated: a draft against what is released, or two days of what is released."""

    release_id: UUID | None = Field(default=None, description="The draft; none compares two days")
    before_on: Day | None = Field(
        default=None,
        description="By the rules of which day it is decided before; by default those of `on`",
        examples=["2026-12-31"],
    )
    after_on: Day | None = Field(
        default=None,
        description="By the rules of which day it is decided after; by default those of `on`",
        examples=["2027-01-01"],
    )
    on: Day | None = Field(
        default=None,
        description="The day of the facts and ages; by default the first day of the draft, or today",
        examples=["2027-01-01"],
    )
    months: int = Field(
        default=0, ge=0, le=12, description="How many months ahead to look as well", examples=[12]
    )


class CountsView(Schema):
    """Persons and cents a month, rounded by chance up or down; null for none, or for so few that they could be told."""

    held_before: int | None = Field(description="Who holds it by the rules before", examples=[61210])
    held_after: int | None = Field(
        description="Who holds it by the rules after, as it follows from the other numbers", examples=[63000]
    )
    gains: int | None = Field(description="Who would hold it then and does not now", examples=[1900])
    losses: int | None = Field(description="Who holds it and would be refused", examples=[110])
    unclear: int | None = Field(
        description="Who holds it and of whom it could not be told: it would go on", examples=[0]
    )
    moves: int | None = Field(description="Who would hold it on another ground", examples=[42])
    allowances_before: int | None = Field(description="Allowances, in cents a month", examples=[46000000])
    allowances_after: int | None = Field(description="Allowances, in cents a month", examples=[61000000])
    lump_sums_before: int | None = Field(description="A twelfth of what is paid once a year", examples=[3000])
    lump_sums_after: int | None = Field(description="A twelfth of what is paid once a year", examples=[3000])
    charges_before: int | None = Field(description="What holders pay, in cents a month", examples=[1400])
    charges_after: int | None = Field(description="What holders pay, in cents a month", examples=[1400])


class GroupView(CountsView):
    """The counts of one district or age group."""

    group: str = Field(description="Which; `unknown` where nobody said", examples=["18-24"])


class MoveView(Schema):
    """How many go from one ground to another."""

    before: str = Field(examples=["kiz"])
    after: str = Field(examples=["wog"])
    persons: int = Field(description="Rounded; moves of fewer are not named", examples=[40])


class SimulatedProgramme(Schema):
    """One programme that the two sets of rules can decide differently."""

    programme: str = Field(examples=["dortmund-karte"])
    total: CountsView
    districts: tuple[GroupView, ...]
    ages: tuple[GroupView, ...]
    grounds: tuple[MoveView, ...]


class MonthView(Schema):
    """A programme on the first day of a month, with the facts as they stand today."""

    day: date = Field(examples=["2027-02-01"])
    held: int | None = Field(examples=[61210])
    granted: int | None = Field(description="Not held a month before", examples=[120])
    ending: int | None = Field(description="Held a month before, and refused now", examples=[340])
    unclear: int | None = Field(description="Held a month before, and open now", examples=[0])
    unseen: int | None = Field(
        description="For how many persons something that the rule looks at begins since the month before: it is stated "
        "already, and not in the other numbers",
        examples=[60],
    )
    cost_cents: int | None = Field(description="Allowances and a twelfth of lump sums", examples=[46000000])


class ProjectedProgramme(Schema):
    """A programme over the coming months."""

    programme: str = Field(examples=["dortmund-karte"])
    months: tuple[MonthView, ...]


class SimulationResult(Schema):
    """What may be shown of a simulation."""

    persons: int = Field(description="How many persons were judged", examples=[190000])
    programmes: tuple[SimulatedProgramme, ...] = Field(
        description="Those that the two sets of rules can decide differently"
    )
    withheld: bool = Field(
        description="Whether all numbers are left out, because whoever asked has been shown as many today as anybody is",
        examples=[False],
    )
    months: tuple[ProjectedProgramme, ...] = Field(description="The projection, where one was asked for")


class SimulationView(Schema):
    """A simulation: what was asked, and what may be shown of the answer."""

    id: UUID
    state: Progress = Field(examples=["done"])
    release_id: UUID | None
    content_hash: str = Field(
        description="The content of the draft; empty where none was meant", examples=[_HASH]
    )
    before_on: date = Field(examples=["2027-01-01"])
    after_on: date = Field(examples=["2027-01-01"])
    on: date = Field(examples=["2027-01-01"])
    months: int = Field(examples=[12])
    months_done: int = Field(description="How many looks ahead are done", examples=[0])
    threshold: int = Field(
        description="Numbers of persons are rounded to multiples of this; one multiple and less, none included, is null",
        examples=[5],
    )
    asked_by: UUID
    asked_at: datetime = Field(examples=["2026-09-16T10:00:00Z"])
    finished_at: datetime | None = Field(examples=["2026-09-16T10:00:05Z"])
    problem: Failure | None = Field(
        description="Why it has failed: `rules-moved` where something was released since, `given-up` where it broke "
        "off at every attempt; ask for it anew",
        examples=[None],
    )
    seconds: float | None = Field(description="How long it took", examples=[2.4])
    result: SimulationResult | None

    @classmethod
    def of(cls, row: Simulation) -> "SimulationView":
        said: dict[str, Any] = {name: getattr(row, name) for name in cls.model_fields if name != "result"}
        return cls(**said, result=SimulationResult.model_validate(row.result) if row.result else None)


class ConcernedView(Schema):
    """Persons whom a simulation concerns, by id; who they are stands with their identity."""

    persons: tuple[UUID, ...]
    next: UUID | None = Field(description="Pass as `after` for the next page")
