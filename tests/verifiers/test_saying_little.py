"""Nothing of why somebody is entitled, and nothing of who they are, reaches a venue, a header or a log."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler

from core.access.rules import Role
from entitlements.grants.changes import Changes
from entitlements.grants.rules import Terms
from entitlements.notices import service as notices
from entitlements.people import service as people
from entitlements.people.rules import IDENTITY_FIELDS, PersonIdentity
from tests import rulebooks
from tests.issuers.makers import make_person
from tests.verifiers.makers import REDUCED, City, Paper, Phone, Till

MARKER = "zzmarker"


async def marked_person(city: City) -> tuple[Phone, Paper, list[str]]:
    """Somebody in whose every sensitive column stands a word that is found again wherever it turns up."""
    async with city.database.writing() as session:
        person_id = await make_person(session, city.vault, city.now)
        identity = PersonIdentity(**{field: f"{MARKER}{field}" for field in IDENTITY_FIELDS})
        await people.keep_identity(session, city.vault, person_id, identity, stated_at=city.now, now=city.now)
        await notices.owe(session, person_id, "device.moved", {"pays_on": city.now.date()}, now=city.now)
        await rulebooks.load(session, city.now)
        terms = Terms(
            decision_id=uuid4(),
            ground=f"{MARKER}-ground",
            payer=f"{MARKER}-payer",
            tariffs=("reduced",),
            until=None,
            changes_on=None,
            renewable=False,
        )
        changes = Changes(city.now, city.settings)
        changes.grant(person_id, "sozialpass", terms)
        await changes.write(session)
    phone = await city.phone(REDUCED, person_id=person_id)
    paper = await city.paper(person_id=person_id, name="MUSTER<<EVA")
    secrets = [MARKER, str(person_id), person_id.hex, "sozialpass", "sgb", "jobcenter"]
    return phone, paper, secrets


async def every_door(city: City, till: Till, phone: Phone, paper: Paper, offer: str) -> list[Any]:
    answers = [
        await till.get("/v1/bundle"),
        await city.client.get("/v1/venues"),
        await city.client.get("/v1/offers"),
    ]
    for code in (
        phone.code(city.now),
        phone.code(city.now),
        paper.code,
        phone.code(city.now - timedelta(hours=2)),
        "x",
    ):
        answers.append(await till.check(code))
        receipt = answers[-1].json()["receipt"]
        if receipt is not None:
            for _ in range(2):
                answers.append(await till.redeem(receipt, offer))
    undo = next(
        answer.json()["undo"] for answer in answers if "undo" in answer.json() and answer.json()["undo"]
    )
    answers.append(await till.post("/v1/redemptions/undo", {"undo": undo}, "undo-1"))
    await city.revoke(phone)
    answers.append(await till.check(phone.code(city.now + timedelta(seconds=1))))
    return answers


async def test_no_marker_reaches_a_venue_a_header_or_a_log(
    city: City, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    venue = await city.venue()
    offer = await city.offer(venue, limit_uses=1, limit_period="day")
    till = await city.till(venue)
    phone, paper, secrets = await marked_person(city)
    capfd.readouterr()
    caplog.clear()
    answers = await every_door(city, till, phone, paper, offer)
    said = [answer.text + repr(sorted(answer.headers.items())) for answer in answers]
    out, err = capfd.readouterr()
    said += [out, err, caplog.text]
    assert {answer.status_code for answer in answers} == {200}
    for text in said:
        for secret in secrets:
            assert secret.lower() not in text.lower()


async def test_the_doors_that_were_driven_are_all_that_a_scanner_has(
    city: City, application: Litestar
) -> None:
    driven = {"/v1/bundle", "/v1/checks", "/v1/redemptions", "/v1/redemptions/undo"}
    own = {
        path
        for route in application.routes
        for handler in getattr(route, "route_handlers", ())
        if isinstance(handler, HTTPRouteHandler)
        for guard in handler.resolve_guards()
        if Role.SCANNER in getattr(guard, "roles", ())
        for path in [route.path]
    }
    # Who asks a wallet chooses what to ask for; what it may learn is promised beside that (tests/verifiers/presentations).
    assert own - {"/v1/presentations"} == driven, "a new door for scanners belongs into `every_door`"


async def test_what_a_code_carries_names_no_benefit_and_no_person(city: City) -> None:
    phone, paper, secrets = await marked_person(city)
    for body in (phone.card, paper.card):
        for secret in [*secrets, phone.person_id.bytes.hex()]:
            assert secret.encode().lower() not in body.lower()
            assert secret not in body.hex()


async def test_no_log_names_card_and_venue_together(city: City, capfd: pytest.CaptureFixture[str]) -> None:
    venue = await city.venue()
    offer = await city.offer(venue, limit_uses=1, limit_period="day")
    till = await city.till(venue)
    phone, paper, _ = await marked_person(city)
    capfd.readouterr()
    await every_door(city, till, phone, paper, offer)
    out, err = capfd.readouterr()
    named = (phone.card.hex(), f"index={phone.place.index}", "code_time", "receipt=", "MUSTER")
    assert not [line for line in (out + err).splitlines() if any(word in line for word in named)]
