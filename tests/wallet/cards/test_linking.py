"""Two holders of the same tariff cannot be told apart by a thousand of their nameless codes, whatever is visible in them."""

import random
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from core import p256
from core.cose import KeyInHand
from issuers.credentials.service import issue_cards
from tests.wallet.makers import Somebody, Town
from wallet.codes.text import Kind, LiveCode, live_text, parse, read_live

VISITS = 500
"""Of each of the two."""
CHANCE = 0.6
"""Of 500 guesses at a fair coin, more than this share is right once in 250,000 tries."""

Label = bool


@dataclass(frozen=True)
class Seen:
    """What a venue has of one visit, and whose it was: the linker is told that of the first half."""

    code: LiveCode
    text: str
    whose: Label


FEATURES: dict[str, Callable[[Seen], float]] = {
    "kid": lambda seen: int.from_bytes(seen.code.card.kid),
    "end": lambda seen: seen.code.card.exp,
    "tariff": lambda seen: seen.code.card.tariff_bits,
    "list": lambda seen: seen.code.card.status.status_list,
    "index": lambda seen: seen.code.card.status.index,
    "index, last digits": lambda seen: seen.code.card.status.index % 8,
    "index, halved": lambda seen: seen.code.card.status.index // 8,
    "key, sign": lambda seen: seen.code.card.holder[0],
    "key, first bytes": lambda seen: int.from_bytes(seen.code.card.holder[1:5]),
    "key, last bytes": lambda seen: int.from_bytes(seen.code.card.holder[-4:]),
    "card's signature": lambda seen: int.from_bytes(seen.code.signed_card.signature[:4]),
    "card's hash": lambda seen: int.from_bytes(seen.code.digest[:4]),
    "proof's signature": lambda seen: int.from_bytes(seen.code.proof.signature[:4]),
    "second": lambda seen: seen.code.at,
    "second in its minute": lambda seen: seen.code.at % 60,
    "length": lambda seen: len(seen.text),
    "headers": lambda seen: int.from_bytes(
        (seen.code.signed_card.protected + seen.code.proof.protected)[-8:]
    ),
}


def nearest(known: Sequence[tuple[float, Label]], value: float) -> Label:
    """The label of whichever is nearest; of several that are equally near, what most of them are."""
    at = bisect_left(known, (value, False))
    around = known[max(0, at - 3) : at + 3]
    distance = min(abs(each - value) for each, _ in around)
    votes = [label for each, label in known if abs(each - value) == distance]
    return 2 * sum(votes) > len(votes)


def on_one_side(known: Sequence[tuple[float, Label]]) -> Callable[[float], Label]:
    """The best single cut: everything above it is one of the two."""
    best, cut, above = 0.0, 0.0, True
    total, seen, right = len(known), 0, 0
    trues = sum(label for _, label in known)
    for value, label in known:
        seen, right = seen + 1, right + label
        share = (trues - right + seen - right) / total
        for score, side in ((share, True), (1 - share, False)):
            if score > best:
                best, cut, above = score, value, side
    return lambda value: (value > cut) is above


def linkable(seen: Sequence[Seen]) -> dict[str, float]:
    """By way of linking, the share of the second half that was put to the right holder."""
    learnt, asked = seen[: len(seen) // 2], seen[len(seen) // 2 :]
    shares = {}
    for name, feature in FEATURES.items():
        known = sorted((feature(each), each.whose) for each in learnt)
        cut = on_one_side(known)
        for way, guess in (
            ("nearest", lambda value, known=known: nearest(known, value)),
            ("cut", cut),
        ):
            right = sum(guess(feature(each)) is each.whose for each in asked)
            shares[f"{name}, {way}"] = max(right, len(asked) - right) / len(asked)
    return shares


async def visits(town: Town, one: Somebody, other: Somebody, order: Sequence[Label]) -> list[Seen]:
    """A visit after the other, each with a fresh card; each of the two tops up when their batch is used up."""
    hands: dict[Label, list[tuple[bytes, KeyInHand]]] = {True: [], False: []}
    devices: dict[Label, UUID] = {True: uuid4(), False: uuid4()}
    seen = []
    async with town.database.writing() as session:
        for number, whose in enumerate(order):
            if not hands[whose]:
                keys = [KeyInHand(ec.generate_private_key(ec.SECP256R1())) for _ in range(8)]
                issued = await issue_cards(
                    session,
                    town.vault,
                    town.settings,
                    person_id=one.id if whose else other.id,
                    device_id=devices[whose],
                    holders=[p256.point(key.key.public_key()) for key in keys],
                    name=None,
                    now=town.clock.now(),
                )
                hands[whose] = [(card.signed, key) for card, key in zip(issued, keys, strict=True)]
            card, key = hands[whose].pop(0)
            at = int((town.clock.now() + timedelta(minutes=7 * number)).timestamp()) + random.randrange(60)
            text = live_text(town.settings.code_host, card, key, at)
            kind, body = parse(text, town.settings.code_host)
            assert kind is Kind.LIVE
            seen.append(Seen(read_live(body), text, whose))
    return seen


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_linker_with_all_visible_fields_does_not_beat_chance(town: Town) -> None:
    one = await town.person(given="Eva", family="Sommer", tariffs=("reduced",))
    other = await town.person(given="Jan", family="Winter", tariffs=("reduced",))
    order = [True] * VISITS + [False] * VISITS
    random.shuffle(order)
    seen = await visits(town, one, other, order)
    assert len({each.code.card.status for each in seen}) == 2 * VISITS
    assert len({each.code.card.holder for each in seen}) == 2 * VISITS
    shares = linkable(seen)
    assert len(shares) == 2 * len(FEATURES)
    assert {way: share for way, share in shares.items() if share > CHANCE} == {}
    # The same linker finds them at once where anything gives them away: here, places near each other in the list.
    near = [replace(each, code=in_order(each, number)) for number, each in enumerate(seen)]
    found = linkable(near)
    assert (found["index, cut"], found["index, nearest"] > 0.9) == (1.0, True)


def in_order(seen: Seen, number: int) -> LiveCode:
    """The same code, had places been given out holder by holder."""
    status = replace(seen.code.card.status, index=10_000 * seen.whose + number % 97)
    return replace(seen.code, card=replace(seen.code.card, status=status))
