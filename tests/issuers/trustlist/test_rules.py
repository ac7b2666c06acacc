import copy
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from core import jose, p256, texts
from core.jose import Key, KeySet, Refusal, TokenRefused
from core.vault import KeyUse, MemoryVault, SoftwareSigner, WrongUse
from issuers.trustlist import rules
from issuers.trustlist.rules import (
    Acceptance,
    Standing,
    TrustedIssuer,
    TrustedKey,
    TrustList,
    TrustListRefused,
    accept,
)

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
DAY = timedelta(days=1)
VAULT = MemoryVault()
ANCHOR, NEXT_ANCHOR = VAULT.create(KeyUse.TRUST_LIST, NOON), VAULT.create(KeyUse.TRUST_LIST, NOON)
CARD, PRINTED = VAULT.create(KeyUse.CARD, NOON), VAULT.create(KeyUse.PRINTED, NOON)
SIGNER = VAULT.signer(ANCHOR.key_id, KeyUse.TRUST_LIST)
HELD_ANCHORS = KeySet((Key(ANCHOR.public_key, ANCHOR.key_id),))


def _key(info, **changes):
    given = {"kid": info.kid, "use": info.use, "public_key": info.public_key}
    return TrustedKey(**(given | {"not_before": NOON, "not_after": NOON + 30 * DAY} | changes))


def _issuer(*keys):
    return TrustedIssuer("https://karte.example", "Stadt Dortmund", keys or (_key(CARD), _key(PRINTED)))


def _list(**changes):
    plain = {
        "publisher": "https://karte.example",
        "version": 1,
        "issued_at": NOON,
        "expires_at": NOON + 7 * DAY,
        "anchors": (_key(ANCHOR),),
        "issuers": (_issuer(),),
    }
    return TrustList(**(plain | changes))


# ---- signing and verifying ----


def test_a_scanner_reads_the_list_that_the_city_signed():
    withdrawn = _key(PRINTED, withdrawn_at=NOON + DAY)
    signed = _list(issuers=(_issuer(_key(CARD), withdrawn),))
    assert rules.verify(rules.sign(signed, SIGNER), HELD_ANCHORS) == signed


def test_a_key_is_published_as_the_jwk_that_browsers_import():
    published = _list().claims()["issuers"][0]["keys"][0]
    assert published == {
        "kid": CARD.key_id,
        "use": "card",
        "jwk": jose.jwk(CARD.public_key),
        "not_before": int(NOON.timestamp()),
        "not_after": int((NOON + 30 * DAY).timestamp()),
    }


def test_a_list_signed_by_nobody_known_is_refused():
    signed = rules.sign(_list(anchors=(_key(NEXT_ANCHOR),)), VAULT.signer(NEXT_ANCHOR.key_id))
    with pytest.raises(TokenRefused) as refused:
        rules.verify(signed, HELD_ANCHORS)
    assert refused.value.why is Refusal.KEY


def test_a_list_signed_under_a_borrowed_kid_is_refused():
    claims = _list().claims()
    intruder = SoftwareSigner(ec.generate_private_key(ec.SECP256R1()))
    signed = jose.sign(intruder, claims, typ=rules.TYPE, protected={"kid": ANCHOR.key_id})
    with pytest.raises(TokenRefused) as refused:
        rules.verify(signed, HELD_ANCHORS)
    assert refused.value.why is Refusal.SIGNATURE


def test_the_twin_of_our_signature_is_not_ours():
    head, body, signature = rules.sign(_list(), SIGNER).split(".")
    raw = texts.unb64url(signature)
    twin = raw[:32] + (p256.ORDER - int.from_bytes(raw[32:], "big")).to_bytes(32, "big")
    with pytest.raises(TokenRefused) as refused:
        rules.verify(f"{head}.{body}.{texts.b64url(twin)}", HELD_ANCHORS)
    assert refused.value.why is Refusal.SIGNATURE


def test_another_token_of_the_same_key_is_no_trust_list():
    with pytest.raises(TokenRefused) as refused:
        rules.verify(jose.sign(SIGNER, _list().claims(), typ="statuslist+jwt"), HELD_ANCHORS)
    assert refused.value.why is Refusal.TYPE


def test_a_list_is_not_signed_by_a_key_that_it_does_not_name_as_anchor():
    with pytest.raises(ValueError, match="anchors"):
        rules.sign(_list(), VAULT.signer(NEXT_ANCHOR.key_id))
    with pytest.raises(ValueError, match="anchors"):
        rules.sign(_list(), VAULT.signer(CARD.key_id))


def test_the_vault_keeps_a_card_key_from_signing_the_list():
    with pytest.raises(WrongUse):
        VAULT.signer(CARD.key_id, KeyUse.TRUST_LIST)


# ---- what a key is worth ----


@pytest.mark.parametrize(
    ("after", "standing"),
    [
        (timedelta(seconds=-1), Standing.NOT_YET),
        (timedelta(0), Standing.TRUSTED),
        (30 * DAY - timedelta(seconds=1), Standing.TRUSTED),
        (30 * DAY, Standing.OVER),
    ],
)
def test_a_key_is_trusted_from_its_first_moment_to_its_last(after, standing):
    assert _list().standing(CARD.kid, KeyUse.CARD, NOON + after) is standing


def test_a_withdrawn_key_is_worth_nothing_from_then_on_whatever_it_signed_before():
    signed = _list(issuers=(_issuer(_key(CARD, withdrawn_at=NOON + DAY)),))
    assert signed.standing(CARD.kid, KeyUse.CARD, NOON + DAY - timedelta(seconds=1)) is Standing.TRUSTED
    for later in (DAY, 2 * DAY, 90 * DAY):
        assert signed.standing(CARD.kid, KeyUse.CARD, NOON + later) is Standing.WITHDRAWN


@pytest.mark.parametrize("use", [use for use in KeyUse if use is not KeyUse.CARD])
def test_a_key_is_worth_nothing_for_another_use(use):
    assert _list().standing(CARD.kid, use, NOON) is Standing.OTHER_USE


def test_a_kid_that_is_not_listed_is_unknown():
    assert _list().standing(b"\0\0\0\0", KeyUse.CARD, NOON) is Standing.UNKNOWN
    assert _list().find(b"\0\0\0\0") is None
    assert _list().find(CARD.kid).public_key == CARD.public_key


def test_during_a_rotation_both_keys_are_trusted():
    successor = VAULT.create(KeyUse.CARD, NOON)
    signed = _list(
        issuers=(_issuer(_key(CARD), _key(successor, not_before=NOON + 10 * DAY, not_after=NOON + 50 * DAY)),)
    )
    for kid in (CARD.kid, successor.kid):
        assert signed.standing(kid, KeyUse.CARD, NOON + 20 * DAY) is Standing.TRUSTED


# ---- the next list ----


def test_the_first_list_is_taken_while_it_holds():
    assert accept(None, _list(), NOON + 7 * DAY - timedelta(seconds=1)) is Acceptance.TAKEN
    assert accept(None, _list(), NOON + 7 * DAY) is Acceptance.EXPIRED


def test_a_clock_that_is_behind_does_not_keep_the_newer_list_out():
    assert accept(None, _list(), NOON - 300 * DAY) is Acceptance.TAKEN


@given(held=st.integers(1, 50), offered=st.integers(1, 50))
def test_the_version_never_goes_back(held, offered):
    outcome = accept(_list(version=held), _list(version=offered), NOON)
    expected = (
        Acceptance.ROLLED_BACK if offered < held else Acceptance.SAME if offered == held else Acceptance.TAKEN
    )
    assert outcome is expected


def test_two_different_lists_under_one_number_contradict_each_other():
    assert accept(_list(), _list(expires_at=NOON + 8 * DAY), NOON) is Acceptance.CONTRADICTS


@pytest.mark.parametrize("withdrawn_at", [None, NOON + timedelta(seconds=1)])
def test_a_withdrawn_key_never_comes_back(withdrawn_at):
    held = _list(issuers=(_issuer(_key(CARD, withdrawn_at=NOON)),))
    offered = _list(version=2, issuers=(_issuer(_key(CARD, withdrawn_at=withdrawn_at)),))
    assert accept(held, offered, NOON) is Acceptance.REVIVES_KEY


def test_a_withdrawn_key_may_stay_withdrawn_or_leave_the_list():
    held = _list(issuers=(_issuer(_key(CARD, withdrawn_at=NOON)),))
    assert accept(held, replace(held, version=2), NOON) is Acceptance.TAKEN
    assert accept(held, _list(version=2, issuers=(_issuer(_key(PRINTED)),)), NOON) is Acceptance.TAKEN


def test_an_offline_scanner_follows_the_city_to_its_next_anchor():
    first = _list(anchors=(_key(ANCHOR), _key(NEXT_ANCHOR)))
    second = _list(version=2, anchors=(_key(NEXT_ANCHOR),))
    signed = rules.sign(second, VAULT.signer(NEXT_ANCHOR.key_id))
    with pytest.raises(TokenRefused):
        rules.verify(signed, HELD_ANCHORS)
    assert accept(first, rules.verify(signed, first.anchors_at(NOON)), NOON) is Acceptance.TAKEN


def test_an_anchor_that_is_over_or_withdrawn_signs_no_further_list():
    listed = _list(anchors=(_key(ANCHOR), _key(NEXT_ANCHOR, withdrawn_at=NOON + DAY)))
    assert {key.kid for key in listed.anchors_at(NOON).keys} == {ANCHOR.key_id, NEXT_ANCHOR.key_id}
    assert {key.kid for key in listed.anchors_at(NOON + DAY).keys} == {ANCHOR.key_id}
    assert listed.anchors_at(NOON + 30 * DAY).keys == ()


# ---- what is no trust list ----


def _impossible():
    p384 = ec.generate_private_key(ec.SECP384R1()).public_key()
    return {
        "version zero": lambda: _list(version=0),
        "expires before it begins": lambda: _list(expires_at=NOON),
        "no publisher": lambda: _list(publisher=""),
        "an issuer without a name": lambda: _list(issuers=(TrustedIssuer("https://a", "", ()),)),
        "no anchor": lambda: _list(anchors=()),
        "a card key as anchor": lambda: _list(anchors=(_key(CARD),), issuers=()),
        "an anchor among the issuer's keys": lambda: _list(issuers=(_issuer(_key(NEXT_ANCHOR)),)),
        "an access token key": lambda: _list(issuers=(_issuer(_key(CARD, use=KeyUse.ACCESS_TOKEN)),)),
        "one kid twice": lambda: _list(issuers=(_issuer(_key(CARD), _key(PRINTED, kid=CARD.kid)),)),
        "an issuer's key with an anchor's kid": lambda: _list(issuers=(_issuer(_key(CARD, kid=ANCHOR.kid)),)),
        "one issuer twice": lambda: _list(issuers=(_issuer(_key(CARD)), _issuer(_key(PRINTED)))),
        "a long kid": lambda: _key(CARD, kid=b"12345"),
        "a key that ends before it begins": lambda: _key(CARD, not_after=NOON),
        "a key of another curve": lambda: _key(CARD, public_key=p384),
    }


@pytest.mark.parametrize("make", _impossible().values(), ids=_impossible().keys())
def test_an_impossible_list_is_not_even_made(make):
    with pytest.raises(TrustListRefused):
        make()


def _places(value, path=()):
    """Every place in the list, so that none is forgotten."""
    yield path
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _places(inner, (*path, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _places(inner, (*path, index))


WRITTEN = json.loads(json.dumps(_list(issuers=(_issuer(_key(CARD, withdrawn_at=NOON)),)).claims()))


@pytest.mark.parametrize(
    "path", [path for path in _places(WRITTEN) if path], ids=lambda path: ".".join(map(str, path))
)
@pytest.mark.parametrize(
    "value", [None, True, -1, 1.5, "", [], {}, "x" * 600, 2**40, [None], {"x": 1}], ids=repr
)
def test_a_wrong_value_anywhere_is_refused(path, value):
    claims = copy.deepcopy(WRITTEN)
    inner = claims
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    if (
        (path == ("issuers",) and value == [])
        or (path[-1:] == ("keys",) and value == [])
        or (path == ("version",) and value == 2**40)
    ):
        assert rules.read(claims).publisher == "https://karte.example"
        return
    with pytest.raises(TrustListRefused):
        rules.read(claims)


@pytest.mark.parametrize(
    "path", [path for path in _places(WRITTEN) if path], ids=lambda path: ".".join(map(str, path))
)
def test_what_is_missing_or_too_much_is_refused(path):
    claims = copy.deepcopy(WRITTEN)
    inner = claims
    for step in path[:-1]:
        inner = inner[step]
    if isinstance(inner, dict):
        with pytest.raises(TrustListRefused):
            rules.read(_with(claims, (*path[:-1], "unknown"), 1))
        if path[-1] != "withdrawn_at":
            del inner[path[-1]]
            with pytest.raises(TrustListRefused):
                rules.read(claims)


def _with(claims, path, value):
    changed = copy.deepcopy(claims)
    inner = changed
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return changed


@pytest.mark.parametrize("kid", ["ABCDEF01", "abcdef0", "abcdef012", "abcdefg1", " bcdef01", "abcdef0１"])
def test_a_kid_has_one_spelling(kid):
    with pytest.raises(TrustListRefused):
        rules.read(_with(WRITTEN, ("anchors", 0, "kid"), kid))


def test_a_key_that_hides_its_private_part_is_refused():
    with pytest.raises(TrustListRefused):
        rules.read(_with(WRITTEN, ("anchors", 0, "jwk", "d"), "AAAA"))


def test_a_point_off_the_curve_is_refused():
    with pytest.raises(TrustListRefused):
        rules.read(_with(WRITTEN, ("anchors", 0, "jwk", "x"), texts.b64url(bytes(32))))
