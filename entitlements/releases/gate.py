"""The gate of a release: five steps, each of which finds something or nothing, and says what to do about it."""

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from random import Random
from typing import Any
from uuid import UUID

from sqlalchemy import and_, case, func, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from core.settings import Settings
from entitlements.facts import service as facts
from entitlements.facts.catalogue import ValueNotReadable
from entitlements.facts.models import CURRENT
from entitlements.language import Known, Subject, evaluate
from entitlements.rulebook.cases import disagreements, ruling_of
from entitlements.rulebook.changing import Changes
from entitlements.rulebook.compiled import ALLOWANCE, AMOUNT, CHARGE, GROUND, OUTCOME, compile_book
from entitlements.rulebook.programmes import Outcome, Rulebook, RuleVersion, WorkedCase
from entitlements.rulebook.reading import MOST_CENTS
from entitlements.rulebook.rules import Ruling, decide
from entitlements.rulebook.soundness import CARD_BITS, flaws, flaws_of_change
from entitlements.simulations.rules import HELD_BEFORE, LOSSES, Counted, Rounding, shown
from entitlements.simulations.service import Compared, alone_on
from entitlements.simulations.statements import DATED, asked, needed_for, plainly, side_of
from entitlements.simulations.together import Side

PAGE = 500
"""Persons whose facts are read at once."""
AT_ONCE = 5_000
"""Persons whom one statement is asked about; each reads the whole city."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that keeps a release from passing, or that its approver has to know."""

    code: str
    message: str
    programme: str = ""
    stops: bool = True


@dataclass(frozen=True, slots=True)
class Found:
    """What a step found."""

    findings: tuple[Finding, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether nothing stops the release."""
        return not any(finding.stops for finding in self.findings)


# --- types, cases -------------------------------------------------------------------------------------------


def sound(standing: Rulebook, book: Rulebook, changes: Changes, today: date) -> Found:
    """Whether the rulebook that comes of the changes can stand, from a day in the future on."""
    found = (*flaws_of_change(standing, changes, today), *flaws(book))
    return Found(
        tuple(Finding(flaw.code, flaw.message, flaw.programme) for flaw in found),
        {"programmes": len(changes.touched()), "parameters": len(changes.parameters)},
    )


def worked(book: Rulebook, concerned: Sequence[str]) -> Found:
    """Whether the worked cases of these programmes hold: those of the draft and those that stand."""
    tried, found = 0, list[Finding]()
    for one in book.cases:
        if one.programme not in concerned:
            continue
        tried += 1
        try:
            wrong = disagreements(book, one)
        except (KeyError, TypeError, ValueError, ValueNotReadable) as error:
            wrong = (f"it cannot be tried: {error}",)
        if wrong:
            found.append(
                Finding(
                    "case-disagrees",
                    f"the case “{one.name}” on {one.day}: {'; '.join(wrong)}; put the rule right, or write the "
                    f"case again under its name, or drop it",
                    one.programme,
                )
            )
    for programme in concerned:
        if not any(one.programme == programme for one in book.cases):
            found.append(
                Finding("no-case", f"{programme} has no worked case; write one for each outcome", programme)
            )
    return Found(tuple(found), {"cases": tried})


def untried(book: Rulebook, changes: Changes) -> Found:
    """The rules of a draft that no worked case tries on a day on which they are in force.

    A case from earlier days tries a rule that comes back, since it is the same to the letter. Of an amount alone it
    is only said that no case reckons with it.
    """
    found = list[Finding]()
    for name in book.order():
        fresh = {v.since for v in changes.programmes[name].versions} if name in changes.programmes else set()
        fresh |= {one.since for one in changes.restored if one.programme == name}
        rules = book.programmes[name]
        for version in rules.versions:
            if version.since in fresh:
                found += _untried(book, version)
        if not fresh:
            found += _not_reckoned(book, changes, name)
    return Found(tuple(found))


def _untried(book: Rulebook, version: RuleVersion) -> Iterator[Finding]:
    name = version.programme
    days = f"from {version.since} " + ("on" if version.until is None else f"to {version.until}")
    said = {ruling_of(book, case).outcome for case in _trying(book, version)}
    wanted = [outcome for outcome in _can_come_out(book, version) if outcome not in said]
    if not said:
        both = " and ".join(f"one {outcome.value}" for outcome in wanted)
        yield Finding(
            "case-missing",
            f"no worked case tries the rule of {name} {days}; write cases with a day in that time, {both}, so that "
            f"it is tried on paper before it is tried on people; a stored case with a new name and day will often do",
            name,
        )
        return
    for outcome in wanted:
        yield Finding(
            "case-missing",
            f"no worked case of {name} {days} is {outcome.value}; write one with a day in that time, so that it is "
            f"seen where the rule draws its line; {_WAY_OUT[outcome]}",
            name,
        )


_WAY_OUT = {
    Outcome.GRANTED: "if nobody is to have it any more, end the programme under `ends`",
    Outcome.REFUSED: "if nobody can be refused, say so by the condition `true`",
}


def _trying(book: Rulebook, version: RuleVersion) -> Iterator[WorkedCase]:
    for one in book.cases:
        if one.programme != version.programme:
            continue
        then = book.programmes[version.programme].on(one.day)
        if then is not None and replace(then, since=version.since, until=version.until) == version:
            yield one


def _can_come_out(book: Rulebook, version: RuleVersion) -> tuple[Outcome, ...]:
    """Which of the two a rule can come to, as far as that shows without knowing anybody."""
    nobody = Subject("nobody", {})
    always = evaluate(version.condition, nobody, book.parameters_on(version.since), version.since)
    refused = always != Known(value=True) or bool(version.depends_on)
    return (Outcome.GRANTED,) * (always != Known(value=False)) + (Outcome.REFUSED,) * refused


def _not_reckoned(book: Rulebook, changes: Changes, programme: str) -> Iterator[Finding]:
    """Amounts that a programme uses and that change under a rule that does not: whether a case reckons with them."""
    for amount, parameter in sorted(changes.parameters.items()):
        first = parameter.values[0].since
        using = {
            version.rule_hash
            for version in book.programmes[programme].versions
            if (version.until is None or version.until >= first)
            and any(amount in tree.parameters() for tree in version.trees())
        }
        days = [
            one.day
            for one in book.cases
            if one.programme == programme
            and (then := book.programmes[programme].on(one.day)) is not None
            and then.rule_hash in using
        ]
        if using and not any(day >= first for day in days):
            yield Finding(
                "amount-not-tried",
                f"no worked case of {programme} lies on {first} or later, so none reckons with the new {amount}; "
                f"better write one",
                programme,
                stops=False,
            )


# --- what must never be -------------------------------------------------------------------------------------

EVERYBODY = ("decided", "ground", "dead", "money")
SAMPLED = ("end", "payer", "tariffs", "later")
"""The invariants, those that the database checks on everybody and those that the interpreter does on a sample."""

_SAYS: Mapping[str, str] = {
    "decided": "{n} persons would be told none of the four outcomes by {programme}",
    "ground": "{n} persons would be granted {programme} without a ground",
    "dead": "{n} persons who have died would be granted {programme}",
    "money": "{n} persons would have a negative amount from {programme}, or one beyond any city's means; look at "
    "its amounts",
    "end": "{n} of the sampled persons would be granted {programme} with an end before the day of the grant; "
    "look at its validity",
    "payer": "{n} of the sampled persons would have money from {programme} that nobody bears; name a payer",
    "tariffs": "{n} of the sampled persons would have a tariff from {programme} that no card can carry",
    "later": "{n} of the sampled persons would have a decision by {programme} that changes in the past",
}


async def invariants(
    session: AsyncSession,
    side: Side,
    book: Rulebook,
    *,
    on: date,
    today: date,
    sampled: Sequence[UUID],
    how: Rounding,
) -> Found:
    """Whether anybody would be told what must never be said, whatever the rules are.

    Whoever writes a rule chooses whom it is about, and so is told how many only as a simulation tells it.
    """
    broken = Counter[tuple[str, str]]()
    everybody = await _invariants_of_everybody(session, side, broken, on=on, today=today)
    async for _, subject in _subjects(session, sampled, today):
        for version, ruling in judged(side, subject, on):
            broken.update((version.programme, name) for name in broken_by(ruling, book, on))
    findings = tuple(
        Finding(
            name,
            _SAYS[name].format(n=_number_of(n, how, side, programme, name), programme=programme),
            programme,
        )
        for (programme, name), n in sorted(broken.items())
        if n
    )
    return Found(findings, {"persons": everybody, "sampled": len(sampled)})


def _number_of(persons: int, how: Rounding, side: Side, programme: str, broken: str) -> str:
    told = how.persons(persons, asked(side, programme), "broken", broken)
    return "a few" if told is None else f"about {told}"


async def _invariants_of_everybody(
    session: AsyncSession, side: Side, broken: Counter[tuple[str, str]], *, on: date, today: date
) -> int:
    if not side.versions:
        return 0
    compiled = compile_book(side.versions, DATED)
    told = compiled.select.subquery("told")
    columns: list[Any] = [func.count().label("persons")]
    for n, version in enumerate(side.versions):
        name = version.programme
        outcome, ground = told.c[name + OUTCOME], told.c[name + GROUND]
        granted = outcome == literal(Outcome.GRANTED.value)
        kinds = tuple(name + kind for kind in (ALLOWANCE, CHARGE, AMOUNT))
        amounts = [column for column in told.c if column.name.startswith(kinds)]
        money, beyond = [cents < 0 for cents in amounts], [cents > MOST_CENTS for cents in amounts]
        conditions = {
            "decided": or_(outcome.is_(None), outcome.not_in([o.value for o in Outcome])),
            "ground": and_(granted, ground.is_(None)),
            "dead": and_(granted, CURRENT.c.deceased.is_(True)),
        }
        if money:
            conditions["money"] = or_(*money, *beyond)
        columns += [
            func.sum(case((wrong, 1), else_=0)).label(f"{n}_{what}") for what, wrong in conditions.items()
        ]
    joined = select(*columns).select_from(CURRENT.join(told, told.c.key == CURRENT.c.person_id))
    given = compiled.bind(side.parameters, on, alone=await alone_on(session, today))
    await plainly(session)
    row = (await session.execute(joined, given)).mappings().one()
    for n, version in enumerate(side.versions):
        for what in EVERYBODY:
            broken[version.programme, what] += int(row.get(f"{n}_{what}") or 0)
    return int(row["persons"])


def broken_by(ruling: Ruling, book: Rulebook, on: date) -> Iterator[str]:
    """The invariants that one ruling breaks."""
    if ruling.changes_on is not None and ruling.changes_on <= on:
        yield "later"
    if ruling.outcome is not Outcome.GRANTED:
        return
    if ruling.until is not None and ruling.until < on:
        yield "end"
    if (ruling.allowances or ruling.amounts) and ruling.payer is None:
        yield "payer"
    bits = [book.tariffs[name].bit if name in book.tariffs else -1 for name in ruling.tariffs]
    if not all(0 <= bit < CARD_BITS for bit in bits):
        yield "tariffs"


def judged(side: Side, subject: Subject, on: date) -> Iterator[tuple[RuleVersion, Ruling]]:
    """What every programme of a side says about one person, those that others depend on first."""
    outcomes: dict[str, Outcome] = {}
    for version in side.versions:
        others = {d.programme: outcomes[d.programme] for d in version.depends_on if d.programme in outcomes}
        ruling = decide(version, subject, side.parameters, on, others=others)
        outcomes[version.programme] = ruling.outcome
        yield version, ruling


# --- two back ends, one meaning -----------------------------------------------------------------------------


async def differential(
    session: AsyncSession, side: Side, *, on: date, today: date, sampled: Sequence[UUID]
) -> Found:
    """Whether the interpreter and the database say the same of real persons."""
    if not side.versions:
        return Found()
    compiled = compile_book(side.versions, DATED)
    given = compiled.bind(side.parameters, on, alone=await alone_on(session, today))
    told = compiled.select.subquery("told")
    differ = Counter[str]()
    await plainly(session)
    for n in range(0, len(sampled), AT_ONCE):
        some = sampled[n : n + AT_ONCE]
        rows = await session.execute(select(told).where(told.c.key.in_(some)), given)
        by_sql = {row["key"]: row for row in rows.mappings()}
        async for person_id, subject in _subjects(session, some, today):
            for version, ruling in judged(side, subject, on):
                if not _agree(by_sql.get(person_id, {}), version, ruling):
                    differ[version.programme] += 1
    findings = tuple(
        Finding(
            "back-ends-differ",
            f"for {n} of {len(sampled)} persons the interpreter and the database disagree about {programme}; "
            f"this is a fault of the system: report it, and release nothing of the kind",
            programme,
        )
        for programme, n in sorted(differ.items())
    )
    return Found(findings, {"persons": len(sampled)})


def _agree(row: Mapping[Any, Any], version: RuleVersion, ruling: Ruling) -> bool:
    name = version.programme
    said: dict[str, int] = Counter()
    for kind, sums in (
        (ALLOWANCE, [(a.kind, a.monthly_cents) for a in ruling.allowances]),
        (CHARGE, [(c.kind, c.monthly_cents) for c in ruling.charges]),
    ):
        for of, cents in sums:
            said[name + kind + of] += cents
    money = {
        key: cents
        for key, cents in row.items()
        if str(key).startswith((name + ALLOWANCE, name + CHARGE)) and cents
    }
    return (row.get(name + OUTCOME), row.get(name + GROUND)) == (ruling.outcome.value, ruling.ground) and (
        money == {key: cents for key, cents in said.items() if cents}
    )


# --- who is gained and lost ---------------------------------------------------------------------------------


def ends_many(compared: Compared, how: Rounding, settings: Settings) -> Found:
    """Whether it would end more than may end without somebody's word; asked of the rounded numbers, since the
    answer is told.
    """
    findings = tuple(
        Finding(
            "ends-many",
            f"more than {settings.hold_share:.0%} of those who hold {name} would lose it; whoever approves "
            f"this has to say that it is meant",
            name,
            stops=False,
        )
        for name, counted in compared.programmes.items()
        if counted.counts and _share_ended(counted, how) > settings.hold_share
    )
    return Found(findings, {"persons": compared.persons})


def _share_ended(counted: Counted, how: Rounding) -> float:
    total = shown(counted, how).total
    held, losses = total[HELD_BEFORE], total[LOSSES]
    return losses / held if held and losses else 0.0


WITHHELD = Finding(
    "simulation-withheld",
    "you have been shown as many simulations today as anybody is, so the numbers are left out of this one; whoever "
    "approves this may simulate the draft, or run the checks again tomorrow",
    stops=False,
)


# --- whom to try it on --------------------------------------------------------------------------------------


async def sample(session: AsyncSession, seed: str, size: int, today: date) -> list[UUID]:
    """Persons to try a release on, the same ones for the same content; at most so many.

    Whose row does not speak of today is not asked: tonight's run renews it.
    """
    rows = await session.execute(
        select(CURRENT.c.person_id)
        .where(CURRENT.c.on_day <= today, CURRENT.c.refresh_on > today)
        .order_by(CURRENT.c.person_id)
    )
    everybody: list[UUID] = list(rows.scalars())
    if len(everybody) <= size:
        return everybody
    # No secret: which persons are drawn must come out the same when the step is run again.
    return sorted(Random(seed).sample(everybody, size))  # noqa: S311


async def _subjects(
    session: AsyncSession, person_ids: Sequence[UUID], today: date
) -> AsyncIterator[tuple[UUID, Subject]]:
    for n in range(0, len(person_ids), PAGE):
        for person_id, subject in (await facts.subjects(session, person_ids[n : n + PAGE], today)).items():
            yield person_id, subject


def concerned_side(book: Rulebook, concerned: Iterable[str], on: date) -> Side:
    """The rules of a day for the programmes that a release concerns, and for those that they wait for."""
    return needed_for(side_of(book, on), tuple(concerned))


__all__ = [
    "WITHHELD",
    "Finding",
    "Found",
    "concerned_side",
    "differential",
    "ends_many",
    "invariants",
    "sample",
    "sound",
    "untried",
    "worked",
]
