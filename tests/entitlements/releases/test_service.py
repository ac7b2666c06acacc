import asyncio
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlmodel import col

from core.access.rules import Role
from core.audit.models import Entry
from core.errors import DomainError, NotFound
from entitlements.releases import drafts, gate, service, simulating
from entitlements.releases.checking import StillChecking
from entitlements.releases.drafts import DraftClosed, DraftMoved, DraftOfOthers
from entitlements.releases.models import Release, State, Status, Step
from entitlements.releases.service import AuthorDecides, DayPassed, EndsMany, NotReady
from entitlements.rulebook import service as rulebook
from entitlements.rulebook.models import RuleVersionRow, VersionStatus
from entitlements.rulebook.service import RulebookMoved
from entitlements.simulations import service as simulations
from entitlements.simulations.models import Failure, Progress
from tests.entitlements.releases.making import CASE, NEXT_YEAR, RAISED, Office, karte, staff, town_book

KARTE = "dortmund-karte"
WIDER = karte(["sgb2", "wog", "kiz", "sgb12_gsi", "kindergeld"]) + CASE
"""The stored cases that speak of next year still hold by it."""


# --- one person writes, another approves ---------------------------------------------------------------------


async def test_a_released_version_counts_from_its_day_on_and_not_before(office: Office) -> None:
    before = await office.book()
    release = await office.release(WIDER)
    assert (release.status, release.first_day) == (Status.RELEASED, NEXT_YEAR)
    book = await office.book()
    eve = NEXT_YEAR - timedelta(days=1)
    old, new = book.programmes[KARTE].on(eve), book.programmes[KARTE].on(NEXT_YEAR)
    assert old is not None
    assert new is not None
    assert old.rule_hash == before.programmes[KARTE].versions[0].rule_hash
    assert old.until == eve
    assert {ground.name for ground in new.grounds} == {"sgb2", "wog", "kiz", "sgb12_gsi", "kindergeld"}
    assert book.programmes["sozialpass"] == before.programmes["sozialpass"]


async def test_a_released_amount_counts_from_its_day_on(office: Office) -> None:
    await office.release(RAISED)
    book = await office.book()
    assert book.parameters_on(date(2026, 12, 31))["participation_monthly"] == 1500
    assert book.parameters_on(NEXT_YEAR)["participation_monthly"] == 2000


async def test_it_is_written_down_who_wrote_and_who_approved(office: Office) -> None:
    release = await office.approve(await office.ready(WIDER, whole=True))
    async with office.database.reading() as session:
        row = (await rulebook.rows_of(session, KARTE))[-1]
        assert (row.author_id, row.approver_id) == (office.author.principal_id, office.approver.principal_id)
        assert row.release_id == release.id
        assert row.form == "yaml"
        assert row.written.startswith("from: 2027-01-01")
        trail = (
            (await session.execute(select(Entry).where(col(Entry.subject) == f"release:{release.id}")))
            .scalars()
            .all()
        )
    done = {entry.action: entry.principal_id for entry in trail}
    assert done == {
        "release.drafted": office.author.principal_id,
        "release.checked": office.author.principal_id,
        "release.gate": None,
        "release.approved": office.approver.principal_id,
    }


async def test_who_wrote_it_cannot_approve_it_with_both_roles(office: Office) -> None:
    both = staff(Role.RULE_AUTHOR, Role.RULE_APPROVER)
    release = await office.ready(WIDER, by=both)
    with pytest.raises(AuthorDecides):
        await office.approve(release, by=both)
    assert (await office.get(release)).status is Status.READY
    await office.approve(release)


async def test_who_wrote_an_earlier_revision_cannot_approve_a_later_one(office: Office) -> None:
    both = staff(Role.RULE_AUTHOR, Role.RULE_APPROVER)
    other = staff(Role.RULE_AUTHOR, Role.RULE_APPROVER)
    release = await office.rewrite(await office.write(RAISED, by=both), WIDER, by=other)
    release = await office.through(release)
    with pytest.raises(AuthorDecides):
        await office.approve(release, by=both)


async def test_who_corrects_a_draft_becomes_its_author(office: Office) -> None:
    both = staff(Role.RULE_AUTHOR, Role.RULE_APPROVER)
    release = await office.rewrite(await office.ready(RAISED), WIDER, by=both)
    release = await office.through(release)
    with pytest.raises(AuthorDecides):
        await office.approve(release, by=both)


async def test_an_approval_is_for_the_content_that_was_read(office: Office) -> None:
    release = await office.ready(RAISED)
    changed = await office.rewrite(release, WIDER)
    with pytest.raises(DraftMoved):
        await office.approve(release, content_hash=release.content_hash)
    # Even with the new content in hand, that has not been through the gate.
    with pytest.raises(NotReady):
        await office.approve(changed)


async def test_nothing_is_approved_before_the_checks_have_passed(office: Office) -> None:
    release = await office.write(WIDER)
    with pytest.raises(NotReady):
        await office.approve(release)
    await office.check(release, steps=2)
    with pytest.raises(StillChecking):
        await office.approve(await office.get(release))


async def test_what_was_released_is_changed_by_nobody(office: Office) -> None:
    release = await office.release(WIDER)
    with pytest.raises(DraftClosed):
        await office.rewrite(release, RAISED)
    with pytest.raises(DraftClosed):
        await office.approve(release, by=staff(Role.RULE_APPROVER))
    with pytest.raises(DraftClosed):
        await office.check(release)
    async with office.database.writing() as session:
        with pytest.raises(DraftClosed):
            await service.withdraw(session, office.author, release.id, remark="no", now=office.now)


async def test_a_rejected_or_withdrawn_draft_stays_readable(office: Office) -> None:
    rejected, withdrawn = await office.write(WIDER), await office.write(RAISED)
    async with office.database.writing() as session:
        await service.reject(session, office.approver, rejected.id, remark="not yet", now=office.now)
        await service.withdraw(session, office.author, withdrawn.id, remark="a slip", now=office.now)
    for release, status in ((rejected, Status.REJECTED), (withdrawn, Status.WITHDRAWN)):
        stands = await office.get(release)
        assert stands.status is status
        assert stands.remark
        async with office.database.reading() as session:
            assert (await drafts.revision(session, stands)).source in {WIDER, RAISED}
        with pytest.raises(DraftClosed):
            await office.rewrite(release, WIDER)
    book = await office.book()
    assert len(book.programmes[KARTE].versions) == 1


async def test_an_author_does_not_reject_their_own_draft(office: Office) -> None:
    both = staff(Role.RULE_AUTHOR, Role.RULE_APPROVER)
    release = await office.write(WIDER, by=both)
    async with office.database.writing() as session:
        with pytest.raises(AuthorDecides):
            await service.reject(session, both, release.id, remark="no", now=office.now)


async def test_a_draft_is_changed_and_taken_back_by_its_authors_and_by_nobody_else(office: Office) -> None:
    colleague, release = staff(Role.RULE_AUTHOR), await office.write(WIDER)
    with pytest.raises(DraftOfOthers):
        await office.rewrite(release, RAISED, by=colleague)
    async with office.database.writing() as session:
        with pytest.raises(DraftOfOthers):
            await service.withdraw(session, colleague, release.id, remark="mine now", now=office.now)
    stands = await office.get(release)
    assert (stands.status, stands.version, stands.author_id) == (
        Status.DRAFT,
        1,
        office.author.principal_id,
    )
    changed = await office.rewrite(release, RAISED)
    async with office.database.writing() as session:
        await service.withdraw(session, office.author, changed.id, remark="a slip", now=office.now)
    assert (await office.get(release)).status is Status.WITHDRAWN


async def test_who_approves_rules_may_help_with_a_draft_of_others_and_it_is_written_down(
    office: Office,
) -> None:
    both, release = staff(Role.RULE_AUTHOR, Role.RULE_APPROVER), await office.write(WIDER)
    corrected = await office.rewrite(release, RAISED, by=both)
    # Now it is theirs as well, and still that of the first author.
    again = await office.rewrite(await office.rewrite(corrected, WIDER, by=both), RAISED)
    async with office.database.writing() as session:
        await service.withdraw(session, staff(Role.RULE_APPROVER), again.id, remark="no", now=office.now)
        trail = select(Entry).where(col(Entry.subject) == f"release:{release.id}").order_by(col(Entry.id))
        entries = (await session.execute(trail)).scalars().all()
    of_others = [(entry.action, entry.details.get("of_others")) for entry in entries]
    assert of_others == [
        ("release.drafted", None),
        ("release.redrafted", True),
        ("release.redrafted", False),
        ("release.redrafted", False),
        ("release.withdrawn", True),
    ]


# --- a machine that breaks ----------------------------------------------------------------------------------


async def test_checks_that_break_off_for_good_say_so_and_begin_anew(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = await office.write(WIDER)
    check = await office.check(release, steps=0)

    async def breaks(*_: object, **__: object) -> None:
        raise TimeoutError("what a database says holds names")

    with monkeypatch.context() as broken:
        broken.setattr(gate, "invariants", breaks)
        await office.run_until_given_up()
    steps = await office.steps(check)
    assert [steps[step].state for step in Step] == [
        State.PASSED,
        State.PASSED,
        State.FAILED,
        State.NOT_REACHED,
        State.NOT_REACHED,
    ]
    (said,) = steps[Step.INVARIANTS].findings
    assert said["code"] == "given-up"
    assert "TimeoutError" in said["message"]
    assert "run the checks again" in said["message"]
    assert "names" not in said["message"]
    stands = await office.get(release)
    assert ((await office.checked(release)).state, stands.status) == (State.FAILED, Status.DRAFT)
    with pytest.raises(NotReady):
        await office.approve(stands)
    await office.approve(await office.through(release))


async def test_a_simulation_that_breaks_off_for_good_says_so_and_is_asked_anew(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaks(*_: object, **__: object) -> None:
        raise TimeoutError

    with monkeypatch.context() as broken:
        broken.setattr(simulations, "compare", breaks)
        async with office.database.writing() as session:
            asked = await simulating.simulate(
                session, office.author, **ASKED, now=office.now, settings=office.settings
            )
        await office.run_until_given_up()
    async with office.database.reading() as session:
        row = await simulations.simulation(session, asked.id)
    assert (row.state, row.problem) == (Progress.FAILED, Failure.GIVEN_UP)
    assert (await office.simulate()).state is Progress.DONE


async def test_a_simulation_of_rules_that_have_moved_says_so(office: Office) -> None:
    async with office.database.writing() as session:
        asked = await simulating.simulate(
            session, office.author, **ASKED, now=office.now, settings=office.settings
        )
    await office.release(WIDER)
    await office.run_jobs()
    async with office.database.reading() as session:
        row = await simulations.simulation(session, asked.id)
    assert (row.state, row.problem) == (Progress.FAILED, Failure.RULES_MOVED)


ASKED: dict[str, Any] = {"release_id": None, "before_on": None, "after_on": None, "on": None, "months": 0}


# --- at the same time ---------------------------------------------------------------------------------------


async def outcomes(*acts: object) -> list[object]:
    return list(await asyncio.gather(*acts, return_exceptions=True))  # type: ignore[call-overload]


async def test_of_two_approvals_at_once_one_counts(office: Office) -> None:
    release = await office.ready(WIDER)
    first, second = staff(Role.RULE_APPROVER), staff(Role.RULE_APPROVER)
    done = await outcomes(office.approve(release, by=first), office.approve(release, by=second))
    assert sum(isinstance(one, Release) for one in done) == 1
    assert sum(isinstance(one, DraftClosed) for one in done) == 1
    async with office.database.reading() as session:
        rows = await rulebook.rows_of(session, KARTE)
    assert len(rows) == 2
    assert rows[-1].approver_id == (await office.get(release)).approver_id


async def test_of_two_releases_from_one_state_the_second_goes_through_the_gate_again(office: Office) -> None:
    one, other = await office.ready(WIDER), await office.ready(RAISED)
    done = await outcomes(
        office.approve(one, by=staff(Role.RULE_APPROVER)), office.approve(other, by=staff(Role.RULE_APPROVER))
    )
    assert sum(isinstance(each, Release) for each in done) == 1
    assert sum(isinstance(each, RulebookMoved) for each in done) == 1
    (waits,) = [r for r in (one, other) if (await office.get(r)).status is Status.READY]
    await office.approve(await office.through(waits))


async def test_a_correction_and_an_approval_at_once_leave_one_of_them(office: Office) -> None:
    both = staff(Role.RULE_AUTHOR, Role.RULE_APPROVER)
    release = await office.ready(WIDER)
    done = await outcomes(office.approve(release, by=both), office.rewrite(release, RAISED, by=both))
    refused = [one for one in done if isinstance(one, Exception)]
    assert len(refused) == 1
    assert isinstance(refused[0], DomainError)
    stands = await office.get(release)
    # Either it was released as it was read, or it is another draft that nobody approved.
    assert (stands.status, stands.version) in {(Status.RELEASED, 1), (Status.DRAFT, 2)}


async def test_of_two_who_save_the_same_version_one_is_told_to_read_again(office: Office) -> None:
    release = await office.write(WIDER)
    done = await outcomes(office.rewrite(release, RAISED), office.rewrite(release, WIDER + "\nnote: mine"))
    assert sum(isinstance(one, Release) for one in done) == 1
    assert sum(isinstance(one, DraftMoved) for one in done) == 1


async def test_of_two_who_send_it_through_the_gate_one_does(office: Office) -> None:
    release = await office.write(WIDER)
    done = await outcomes(office.check(release, steps=0), office.check(release, steps=0))
    assert sum(isinstance(one, StillChecking) for one in done) == 1


# --- days ----------------------------------------------------------------------------------------------------


async def test_a_day_that_has_come_while_it_waited_is_not_released_any_more(office: Office) -> None:
    tomorrow = (office.today + timedelta(days=1)).isoformat()
    release = await office.ready(RAISED.replace("2027-01-01", tomorrow))
    office.clock.forward(timedelta(days=1))
    with pytest.raises(DayPassed):
        await office.approve(release)
    assert (await office.get(release)).status is Status.READY


async def test_a_change_while_the_gate_is_at_work_overtakes_it(office: Office) -> None:
    release = await office.write(WIDER)
    check = await office.check(release, steps=1)
    changed = await office.rewrite(release, RAISED)
    await office.go_on(check)
    assert (await office.checked(changed)).state is State.OVERTAKEN
    assert (await office.get(changed)).status is Status.DRAFT


async def test_a_release_in_between_overtakes_the_gate(office: Office) -> None:
    other, waits = await office.ready(RAISED), await office.write(WIDER)
    check = await office.check(waits, steps=1)
    await office.approve(other)
    await office.go_on(check)
    assert (await office.checked(waits)).state is State.OVERTAKEN
    assert (await office.get(waits)).status is Status.DRAFT


# --- endings ------------------------------------------------------------------------------------------------


async def test_who_would_end_many_has_to_say_that_it_is_meant(town: Office) -> None:
    release = await town.ready(karte(["sgb2"]) + CASE, whole=True)
    with pytest.raises(EndsMany):
        await town.approve(release, acknowledge=False)
    released = await town.approve(release, acknowledge=True)
    assert released.acknowledged


# --- the way back -------------------------------------------------------------------------------------------


async def roll_back(office: Office, release: Release, day: date) -> Release:
    async with office.database.writing() as session:
        return await service.roll_back(
            session,
            office.author,
            release.id,
            day=day,
            title="Back",
            now=office.now,
            settings=office.settings,
        )


async def test_a_way_back_is_a_release_of_its_own(office: Office) -> None:
    before = (await office.book()).programmes[KARTE].versions[0]
    release = await office.release(WIDER)
    back = await roll_back(office, release, date(2027, 3, 1))
    assert (back.status, back.undoes_id) == (Status.DRAFT, release.id)
    await office.approve(await office.through(back))
    rules = (await office.book()).programmes[KARTE]
    assert [v.since for v in rules.versions] == [before.since, NEXT_YEAR, date(2027, 3, 1)]
    assert replace(rules.versions[-1], since=before.since, until=None) == replace(before, until=None)
    async with office.database.reading() as session:
        rows = await rulebook.rows_of(session, KARTE)
    assert rows[-1].form == "restored"


async def test_a_way_back_brings_the_former_amount(office: Office) -> None:
    release = await office.release(RAISED)
    await office.approve(await office.through(await roll_back(office, release, date(2027, 3, 1))))
    book = await office.book()
    days = (date(2026, 12, 31), NEXT_YEAR, date(2027, 3, 1))
    assert [book.parameters_on(day)["participation_monthly"] for day in days] == [1500, 2000, 1500]


async def test_what_has_not_begun_yet_can_give_way_and_come_again(office: Office) -> None:
    release = await office.release(WIDER)
    # Back before the first day has come: the new rule is in force on no day.
    await office.approve(await office.through(await roll_back(office, release, NEXT_YEAR)))
    rules = (await office.book()).programmes[KARTE]
    assert len(rules.versions) == 2
    assert rules.versions[0].grounds == rules.versions[1].grounds
    async with office.database.reading() as session:
        rows = await rulebook.version_rows(session, KARTE)
    assert [row.status for row in rows].count(VersionStatus.REPLACED) == 1
    # And once more forward: the same rule again, by a release of its own.
    again = await office.release(WIDER)
    rules = (await office.book()).programmes[KARTE]
    assert {ground.name for ground in rules.versions[-1].grounds} >= {"kindergeld"}
    async with office.database.reading() as session:
        rows = await rulebook.version_rows(session, KARTE)
    assert [row.release_id for row in rows if row.status is VersionStatus.ACTIVE][-1] == again.id


async def test_a_new_programme_is_taken_back_by_its_end(office: Office) -> None:
    release = await office.release(LIBRARY)
    await office.approve(await office.through(await roll_back(office, release, date(2027, 3, 1))))
    rules = (await office.book()).programmes["library"]
    assert [(v.since, v.until) for v in rules.versions] == [(NEXT_YEAR, date(2027, 2, 28))]


async def test_the_past_is_not_rolled_back(office: Office) -> None:
    release = await office.release(WIDER)
    with pytest.raises(DayPassed):
        await roll_back(office, release, office.today)


LIBRARY = """
tariffs:
  library:
    bit: 9
    label: {de: Bücherei, de-simple: Bücher, en: library}
programmes:
  - programme: library
    label: {de: Büchereikarte, de-simple: Bücher-Karte, en: Library card}
    versions:
      - from: 2027-01-01
        statute: Satzung der Stadtbücherei
        after: [{programme: dortmund-karte, outcomes: [granted]}]
        grounds:
          - {name: child, when: "under(birth_date, 18)", reason: {code: receives, fact: kindergeld}, statute: Satzung}
        otherwise: no_ground
        validity: {ends_with: condition}
        tariffs: [{name: library}]
cases:
  - programme: library
    cases:
      - name: a child with the card
        day: 2027-02-01
        rest_absent: true
        facts: {birth_date: 2015-05-05, main_residence: true, sgb2: true}
        expect: {outcome: granted, tariffs: [library]}
      - name: an adult with the card
        day: 2027-02-01
        rest_absent: true
        facts: {birth_date: 1980-05-05, main_residence: true, sgb2: true}
        expect: {outcome: refused, reasons: [no_ground]}
"""


async def test_a_new_programme_is_a_release(office: Office) -> None:
    await office.release(LIBRARY)
    book = await office.book()
    assert book.programmes["library"].on(NEXT_YEAR) is not None
    assert book.programmes["library"].on(NEXT_YEAR - timedelta(days=1)) is None
    assert book.order().index("library") > book.order().index(KARTE)
    async with office.database.reading() as session:
        assert (await rulebook.programme_names(session, "de"))["library"] == "Büchereikarte"
        assert (await rulebook.tariff_bits(session))["library"] == 1 << 9


# --- files and releases -------------------------------------------------------------------------------------


async def test_from_the_first_release_on_files_are_not_read(office: Office) -> None:
    await office.release(WIDER)
    after = await office.book()
    async with office.database.writing() as session:
        loaded = await rulebook.load(session, town_book(), office.now)
    assert loaded.led_by_releases
    assert await office.book() == after


async def test_a_rule_row_of_a_release_names_two_persons(office: Office) -> None:
    release = await office.release(WIDER)
    async with office.database.reading() as session:
        rows = (await session.execute(select(RuleVersionRow))).scalars().all()
    for row in rows:
        assert (row.release_id == release.id) == (row.author_id is not None)


async def test_an_unknown_release_is_not_found(office: Office) -> None:
    async with office.database.writing() as session:
        with pytest.raises(NotFound):
            await service.withdraw(
                session, office.author, office.author.principal_id, remark="x", now=office.now
            )
