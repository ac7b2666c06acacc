"""A released rule decides about people from its day on, and not before."""

from datetime import date, timedelta

from core.clock import FixedClock
from core.database import Database
from core.settings import Settings
from tests.entitlements.decisions.making import City
from tests.entitlements.releases.making import Office

PASS = """
programmes:
  - programme: sozialpass
    versions:
      - from: {since}
        statute: Tarif
        grounds:
          - {{name: kiz, when: kiz, reason: {{code: receives, fact: kiz}}, statute: § 6a BKGG}}
        otherwise: no_ground
        validity: {{ends_with: ground}}
        tariffs: [{{name: social_ticket}}]
cases:
  - programme: sozialpass
    cases:
      - name: Kinderzuschlag suffices then
        day: {since}
        rest_absent: true
        facts: {{kiz: true}}
        expect: {{outcome: granted, ground: kiz}}
"""


async def test_a_released_rule_decides_from_its_day_on_and_not_before(
    database: Database, settings: Settings, clock: FixedClock
) -> None:
    city = City(database, settings, clock)
    await city.found()
    office = Office(database, settings, clock)
    parent = await city.person(date(1990, 5, 4), kiz=True)
    await city.assess(parent)
    assert (await city.decision(parent, "sozialpass")).outcome == "refused"
    before = (await city.decision(parent, "sozialpass")).rule_hash

    since = city.today + timedelta(days=2)
    released = await office.release(PASS.format(since=since))
    assert released.first_day == since
    await city.night()
    assert city.today == since - timedelta(days=1)
    assert await city.holds(parent, "sozialpass") is None
    assert (await city.decision(parent, "sozialpass")).rule_hash == before

    await city.night()
    held = await city.holds(parent, "sozialpass")
    assert held is not None
    assert (held.since, held.ground) == (since, "kiz")
    assert (await city.decision(parent, "sozialpass")).rule_hash != before
    # The old decision still finds its rule.
    assert [d.rule_hash for d in await city.decisions(parent, "sozialpass")][-1] == before
