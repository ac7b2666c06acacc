"""Two guests with the same tariff get the same bytes, whatever else is different about them and wherever they show it."""

import json
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from uuid import UUID, uuid4

from hypothesis import given, settings
from hypothesis import strategies as st

from core.languages import Language
from core.vault import MemoryVault
from issuers.credentials.card import MOST_INDEX, MOST_LIST, CardId
from verifiers.checks.places import Post, Shown
from verifiers.checks.receipts import LENGTH, Receipt, Receipts
from verifiers.checks.routes import answer
from verifiers.checks.rules import Judgement, Offer, Outcome, Place, Reason, outcome_of
from verifiers.checks.service import Verdict
from verifiers.offers.rules import OfferKind
from wallet.codes.text import Kind

NOW = datetime(2026, 9, 16, 10, tzinfo=UTC)
RECEIPTS = Receipts(MemoryVault())
SCANNER = uuid4()
OFFER = Offer(str(UUID(int=1)), OfferKind.FREE, 3)
SAID = {"id": OFFER.id, "kind": "free", "text": "Eintritt frei"}
POST = Post(
    UUID(int=2),
    Place(7),
    (OFFER,),
    MappingProxyType({OFFER.id: Shown(OFFER, dict.fromkeys(Language, SAID))}),
)

guests: st.SearchStrategy[dict[str, object]] = st.builds(
    dict,
    card=st.builds(CardId, st.integers(0, MOST_LIST), st.integers(0, MOST_INDEX)),
    at=st.integers(1_700_000_000, 1_900_000_000),
    expires_at=st.integers(1, 400).map(lambda days: NOW + timedelta(days=days)),
    tariff_bits=st.integers(1, 0xFFFF),
)
names = st.none() | st.from_regex(r"[A-Z]{1,10}<<[A-Z]{1,11}", fullmatch=True)


def told(guest: dict[str, object], name: str | None, language: Language) -> tuple[dict[str, object], int]:
    judgement = Judgement(Outcome.ACCEPTED, kind=Kind.LIVE, name=name, offers=(OFFER,), **guest)  # type: ignore[arg-type]
    assert judgement.card is not None
    receipt = RECEIPTS.write(
        Receipt(
            judgement.card,
            judgement.tariff_bits,
            name is not None,
            7,
            SCANNER,
            RECEIPTS.number(judgement.card, judgement.at),
            NOW + timedelta(minutes=5),
        )
    )
    octets = answer(Verdict(judgement, POST, receipt), language, NOW)
    view = json.loads(octets)
    assert len(view.pop("receipt")) == LENGTH
    return view, len(octets)


@settings(max_examples=200, deadline=None)
@given(guests, guests, names, names, st.sampled_from(Language))
def test_an_accepted_guest_is_told_apart_by_nothing_but_a_name_of_fixed_length(
    one: dict[str, object],
    other: dict[str, object],
    first: str | None,
    second: str | None,
    language: Language,
) -> None:
    (mine, length), (theirs, same) = told(one, first, language), told(other, second, language)
    assert length == same
    assert mine.pop("name") == (first or "").ljust(23, "<")
    assert theirs.pop("name") == (second or "").ljust(23, "<")
    assert mine == theirs


@settings(max_examples=200, deadline=None)
@given(guests, guests, st.sampled_from(Reason), st.sampled_from(Language))
def test_a_refused_guest_is_told_apart_by_nothing(
    one: dict[str, object], other: dict[str, object], reason: Reason, language: Language
) -> None:
    octets = {
        answer(
            Verdict(Judgement(outcome_of(reason), reason, kind=Kind.LIVE, **guest), POST),  # type: ignore[arg-type]
            language,
            NOW,
        )
        for guest in (one, other)
    }
    assert len(octets) == 1
