"""Makes an office that writes and approves rules, over a city of random people."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

from sqlalchemy import insert, select, update
from sqlmodel import col

from core.access.rules import Caller, Method, PrincipalKind, Role
from core.audit.models import Entry
from core.clock import FixedClock, day_of
from core.database import Database, new_id
from core.jobs.models import Job
from core.jobs.service import ATTEMPTS, Minded, Worker
from core.settings import Settings
from core.vault import MemoryVault, Vault
from entitlements.facts.models import CURRENT
from entitlements.people.models import Person
from entitlements.releases import checking, drafts, service, simulating
from entitlements.releases.models import Check, CheckStep, Release, State, Status, Step
from entitlements.rulebook import service as rulebook
from entitlements.rulebook.drafting import Form
from entitlements.rulebook.programmes import Rulebook
from entitlements.rulebook.rules import load_rulebook
from entitlements.simulations.models import Simulation
from tests.entitlements.facts.making import a_register
from tests.entitlements.language.citizens import LEARNED, wide_rows

NEXT_YEAR = date(2027, 1, 1)

RAISED = """
parameters:
  participation_monthly:
    unit: cents
    values:
      - {from: 2027-01-01, value: 2000, statute: § 28 Abs. 7 SGB II}
"""
"""An amount alone."""


BOOK = {
    "rulebook.yaml": """
city: Town
tariffs:
  reduced: {bit: 0, label: {de: ermäßigt, de-simple: weniger Geld, en: reduced}}
  education: {bit: 3, label: {de: Bildung, de-simple: Lernen, en: education}}
""",
    "dortmund-karte.yaml": """
programme: dortmund-karte
label: {de: Stadtkarte, de-simple: Stadt-Karte, en: City card}
versions:
  - from: 2024-01-01
    statute: Ratsbeschluss
    requires:
      - {when: main_residence, reason: no_main_residence, statute: Ratsbeschluss}
    hit: any
    grounds:
      - name: sgb2
        when: sgb2 || any_member(bedarfsgemeinschaft, sgb2)
        reason: {code: receives, fact: sgb2}
        statute: § 19 SGB II
      - {name: wog, when: wog, reason: {code: receives, fact: wog}, statute: § 1 WoGG}
      - {name: kiz, when: kiz, reason: {code: receives, fact: kiz}, statute: § 6a BKGG}
    otherwise: no_ground
    validity: {length: P1Y, ends_with: condition}
    tariffs: [{name: reduced}]
""",
    "dortmund-karte.cases.yaml": """
programme: dortmund-karte
cases:
  - name: a recipient has the card
    day: 2026-09-01
    rest_absent: true
    facts: {birth_date: 1980-05-05, main_residence: true, sgb2: true}
    expect: {outcome: granted, ground: sgb2, until: 2027-08-31}
  - name: who receives nothing has none
    day: 2027-06-01
    rest_absent: true
    facts: {birth_date: 1980-05-05, main_residence: true}
    expect: {outcome: refused, reasons: [no_ground]}
""",
    "bildungskarte.yaml": """
programme: bildungskarte
label: {de: Bildungskarte, de-simple: Bildungs-Karte, en: Education card}
parameters:
  participation_monthly:
    unit: cents
    values: [{from: 2019-08-01, value: 1500, statute: § 28 Abs. 7 SGB II}]
  supplies:
    unit: cents
    values: [{from: 2019-08-01, value: 13000, statute: § 28 Abs. 3 SGB II}]
  share:
    unit: cents
    values: [{from: 2019-08-01, value: 1400, statute: § 97 SchulG NRW}]
versions:
  - from: 2019-08-01
    statute: § 28 SGB II
    grounds:
      - {name: G2, when: sgb2, payer: jobcenter, reason: {code: receives, fact: sgb2}, statute: § 28 SGB II}
      - {name: GW, when: wog, payer: city, reason: {code: receives, fact: wog}, statute: § 6b BKGG}
    otherwise: no_ground
    validity: {ends_with: ground}
    tariffs: [{name: education}]
    allowances:
      - kind: participation
        monthly: param.participation_monthly
        when: under(birth_date, 18)
        accrual: monthly
        carry_over: within_approval
        grace: P3M
        statute: § 28 Abs. 7 SGB II
    amounts:
      - {kind: supplies, cents: param.supplies, due: "08-01", when: school_full_time, statute: § 28 Abs. 3 SGB II}
    charges:
      - {kind: ticket, monthly: param.share, when: school_full_time, grounds: [GW], statute: § 97 SchulG NRW}
""",
    "bildungskarte.cases.yaml": """
programme: bildungskarte
cases:
  - name: a child of a recipient
    day: 2026-09-01
    rest_absent: true
    facts: {birth_date: 2015-05-05, sgb2: true}
    expect: {outcome: granted, ground: G2, allowances: {participation: 1500}}
""",
    "sozialpass.yaml": """
programme: sozialpass
label: {de: Sozialpass, de-simple: Sozial-Pass, en: Social pass}
versions:
  - from: 2023-12-01
    statute: Tarif
    grounds:
      - {name: wog, when: wog, reason: {code: receives, fact: wog}, statute: § 1 WoGG}
    otherwise: no_ground
    validity: {ends_with: ground}
    tariffs: [{name: reduced}]
""",
    "sozialpass.cases.yaml": """
programme: sozialpass
cases:
  - name: Wohngeld suffices
    day: 2026-09-01
    rest_absent: true
    facts: {wog: true}
    expect: {outcome: granted}
""",
}
"""A small rulebook: a card, a pot of money with a lump sum and an own share, and a pass."""


@cache
def town_book() -> Rulebook:
    """The small rulebook, read by the reader of all rulebooks."""
    with TemporaryDirectory() as folder:
        for name, text in BOOK.items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        return load_rulebook(Path(folder))


def karte(conditions: Sequence[str], *, since: str = "2027-01-01", until: str = "", more: str = "") -> str:
    """A Dortmund-Karte of these grounds, each a fact that suffices."""
    grounds = "\n".join(
        f"          - {{name: {one}, when: {one}, reason: {{code: receives, fact: {one}}}, statute: § 1}}"
        for one in conditions
    )
    return f"""
programmes:
  - programme: dortmund-karte
    versions:
      - from: {since}
        {f"until: {until}" if until else "note: open"}
        statute: Ratsbeschluss
        requires:
          - {{when: main_residence, reason: no_main_residence, statute: Ratsbeschluss}}
        hit: any
        grounds:
{grounds}
        otherwise: no_ground
        validity: {{length: P1Y, ends_with: condition}}
        tariffs: [{{name: reduced}}]
{more}"""


CASE = """
cases:
  - programme: dortmund-karte
    cases:
      - name: a recipient keeps the card in the new year
        day: 2027-02-01
        rest_absent: true
        facts: {birth_date: 1980-05-05, main_residence: true, sgb2: true}
        expect: {outcome: granted, ground: sgb2, until: 2028-01-31}
"""


def staff(*roles: Role) -> Caller:
    """Somebody of the office."""
    return Caller(new_id(), PrincipalKind.LOGIN, frozenset(roles), Method.SESSION)


@dataclass
class Office:
    """Rule authors and approvers, and the jobs that they set going."""

    database: Database
    settings: Settings
    clock: FixedClock
    vault: Vault = field(default_factory=MemoryVault)

    def __post_init__(self) -> None:
        self.author = staff(Role.RULE_AUTHOR)
        self.approver = staff(Role.RULE_APPROVER)

    @property
    def now(self) -> datetime:
        return self.clock.now()

    @property
    def today(self) -> date:
        return day_of(self.now, self.settings.zone)

    async def open(self, book: Rulebook | None = None) -> None:
        async with self.database.writing() as session:
            await rulebook.load(session, book or town_book(), self.now)

    async def settle(self, count: int, seed: int = 1) -> list[UUID]:
        """Random people of today move in."""
        async with self.database.writing() as session:
            register = await a_register(session)
            rows = list(wide_rows(count, self.today, register.id, seed))
            await session.execute(
                insert(Person), [{"id": row["person_id"], "created_at": LEARNED} for row in rows]
            )
            await session.execute(insert(CURRENT), rows)
        return [row["person_id"] for row in rows]

    async def write(
        self, source: str, *, by: Caller | None = None, form: Form = Form.YAML, title: str = "A change"
    ) -> Release:
        async with self.database.writing() as session:
            return await drafts.write(
                session, by or self.author, title=title, form=form, source=source, now=self.now
            )

    async def rewrite(
        self, release: Release, source: str, *, by: Caller | None = None, read: int | None = None
    ) -> Release:
        async with self.database.writing() as session:
            return await drafts.rewrite(
                session,
                by or self.author,
                release.id,
                read=release.version if read is None else read,
                title=release.title,
                form=Form.YAML,
                source=source,
                now=self.now,
            )

    async def check(self, release: Release, *, steps: int = 5) -> Check:
        """Sends it through the gate, and does so many steps of it."""
        async with self.database.writing() as session:
            row = await checking.check(session, self.author, release.id, now=self.now, settings=self.settings)
        for _ in range(steps):
            await self.go_on(row)
        return await self.checked(release)

    async def go_on(self, row: Check) -> None:
        async with self.database.writing() as session:
            await checking.run_check(
                session, {"check_id": str(row.id)}, self.now, settings=self.settings, vault=self.vault
            )

    async def checked(self, release: Release) -> Check:
        async with self.database.reading() as session:
            row = await drafts.latest_check(session, release.id)
        assert row is not None
        return row

    async def steps(self, check: Check) -> dict[Step, CheckStep]:
        async with self.database.reading() as session:
            return {one.step: one for one in await drafts.steps_of(session, check.id)}

    async def stopped_at(
        self, source: str, *, form: Form = Form.YAML
    ) -> tuple[Step, list[dict[str, object]]]:
        """The step that a draft fails at, and what it found; whatever comes after is not reached."""
        check = await self.check(await self.write(source, form=form))
        steps = await self.steps(check)
        failed = [step for step, one in steps.items() if one.state is State.FAILED]
        assert check.state is State.FAILED, {s: (o.state, o.findings) for s, o in steps.items()}
        assert len(failed) == 1
        later = [one for one in steps.values() if one.position > steps[failed[0]].position]
        assert all(one.state is State.NOT_REACHED for one in later)
        assert all(found["message"] for found in steps[failed[0]].findings)
        return failed[0], steps[failed[0]].findings

    async def ready(self, source: str, *, by: Caller | None = None, whole: bool = False) -> Release:
        """A draft that is through the gate."""
        return await self.through(await self.write(source, by=by), whole=whole)

    async def through(self, release: Release, *, whole: bool = False) -> Release:
        """Brings a draft through the gate; unless `whole`, what it would do to people is taken as looked at."""
        check = await self.check(release, steps=5 if whole else 2)
        steps = await self.steps(check)
        if not whole and check.state is State.WAITING:
            async with self.database.writing() as session:
                await session.execute(update(CheckStep).values(state=State.PASSED, finished_at=self.now))
                await session.execute(
                    update(Check)
                    .where(col(Check.id) == check.id)
                    .values(state=State.PASSED, finished_at=self.now)
                )
                await session.execute(
                    update(Release).where(col(Release.id) == release.id).values(status=Status.READY)
                )
            check = await self.checked(release)
        assert check.state is State.PASSED, {s: (o.state, o.findings) for s, o in steps.items()}
        release = await self.get(release)
        assert release.status is Status.READY
        return release

    async def approve(
        self,
        release: Release,
        *,
        by: Caller | None = None,
        content_hash: str | None = None,
        acknowledge: bool = True,
    ) -> Release:
        async with self.database.writing() as session:
            return await service.approve(
                session,
                by or self.approver,
                release.id,
                content_hash=content_hash or release.content_hash,
                acknowledge_endings=acknowledge,
                now=self.now,
                settings=self.settings,
            )

    async def release(self, source: str) -> Release:
        return await self.approve(await self.ready(source))

    async def get(self, release: Release) -> Release:
        async with self.database.reading() as session:
            return await drafts.release_of(session, release.id)

    async def book(self) -> Rulebook:
        async with self.database.reading() as session:
            return await rulebook.in_force(session)

    async def simulate(self, **wanted: object) -> Simulation:
        """Asks, and does all that it takes."""
        asked: dict[str, object] = {
            "release_id": None,
            "before_on": None,
            "after_on": None,
            "on": None,
            "months": 0,
        } | wanted
        async with self.database.writing() as session:
            row = await simulating.simulate(
                session,
                self.author,
                now=self.now,
                settings=self.settings,
                **asked,  # type: ignore[arg-type]
            )
        for _ in range(row.months + 2):
            async with self.database.writing() as session:
                await simulating.run_simulation(
                    session,
                    {"simulation_id": str(row.id)},
                    self.now,
                    settings=self.settings,
                    vault=self.vault,
                )
        async with self.database.reading() as session:
            found = await session.get(Simulation, row.id)
        assert found is not None
        return found

    async def owed(self, kind: str) -> int:
        async with self.database.reading() as session:
            return len((await session.execute(select(Job).where(col(Job.kind) == kind))).scalars().all())

    async def run_jobs(self) -> None:
        """Does what is owed, as a worker does."""
        handlers = {
            "release.check": Minded(
                partial(checking.run_check, settings=self.settings, vault=self.vault), checking.check_given_up
            ),
            "simulation.step": Minded(
                partial(simulating.run_simulation, settings=self.settings, vault=self.vault),
                simulating.simulation_given_up,
            ),
        }
        await Worker(self.database, handlers, self.clock).run_due()

    async def run_until_given_up(self) -> None:
        """Does what is owed again and again, until nobody tries any more."""
        for _ in range(ATTEMPTS):
            await self.run_jobs()
            self.clock.forward(timedelta(minutes=10))

    async def noted(self, action: str) -> int:
        """How often something was written down."""
        async with self.database.reading() as session:
            found = await session.execute(select(Entry).where(col(Entry.action) == action))
            return len(found.scalars().all())
