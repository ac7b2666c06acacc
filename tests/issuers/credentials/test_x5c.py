"""Which rule of a chain is broken, said by name, and only sound chains end at an anchor."""

import base64
import warnings
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from core import jose
from core.vault import SoftwareSigner
from issuers.credentials.x5c import LONGEST_CERTIFICATE, Anchors, Break, Path, Rule, leaf_key, read_chain
from tests.issuers.credentials.chains import (
    MIDDLE_KEY,
    NOON,
    ROOT_KEY,
    certificate,
    leaf,
    middle,
    name,
    root,
    usage,
    x5c,
)

KEY = ec.derive_private_key(1_003, ec.SECP256R1())
OTHER = ec.derive_private_key(1_004, ec.SECP256R1())
ANCHORS = Anchors([root()])
WEAK_RSA = rsa.generate_private_key(public_exponent=65537, key_size=1024)


def _trace(*certificates, anchors=ANCHORS, now=NOON):
    return anchors.trace(x5c(*certificates), now)


def test_a_sound_chain_leads_from_the_leaf_to_the_anchor():
    path = _trace(leaf(KEY), middle())

    assert isinstance(path, Path)
    assert path.key == KEY.public_key()
    assert path.anchor == root()
    assert ANCHORS.diagnose(x5c(leaf(KEY), middle()), NOON) == ()


def test_a_leaf_may_stand_alone_below_its_anchor():
    path = _trace(leaf(KEY, issuer="Root", issuer_key=ROOT_KEY))

    assert isinstance(path, Path)


def test_what_this_house_puts_into_headers_is_traced():
    chain = jose.x5c([leaf(KEY), middle()], SoftwareSigner(KEY), NOON)

    assert isinstance(ANCHORS.trace(chain, NOON), Path)


def test_every_authority_key_identifier_of_the_chain_is_named_for_dcql():
    path = _trace(leaf(KEY), middle())

    def identifier(key):
        digest = x509.SubjectKeyIdentifier.from_public_key(key.public_key()).digest
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    assert path.authority_key_ids == {identifier(MIDDLE_KEY), identifier(ROOT_KEY)}


CRITICAL = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
CONSTRAINED = x509.NameConstraints([x509.DNSName("example")], None)
DAY = timedelta(days=1)

BROKEN = {
    "a leaf that signed itself": ([leaf(KEY, issuer="Leaf", issuer_key=KEY)], Rule.LEAF_SELF_SIGNED, 0),
    "the anchor in the chain": ([leaf(KEY), middle(), root()], Rule.ANCHOR_INCLUDED, 2),
    "the anchor alone": ([root()], Rule.LEAF_SELF_SIGNED, 0),
    "a strange root in the chain": (
        [leaf(KEY, issuer="Root", issuer_key=OTHER), root(key=OTHER, issuer_key=OTHER)],
        Rule.ANCHOR_INCLUDED,
        1,
    ),
    "a leaf on another curve": ([leaf(ec.generate_private_key(ec.SECP384R1())), middle()], Rule.LEAF_KEY, 0),
    "a leaf that may not sign": (
        [leaf(KEY, key_usage=usage(key_agreement=True)), middle()],
        Rule.KEY_USAGE,
        0,
    ),
    "an authority that may not sign certificates": (
        [leaf(KEY), middle(key_usage=usage(digital_signature=True))],
        Rule.KEY_USAGE,
        1,
    ),
    "a leaf as authority": ([leaf(KEY), middle(ca=False)], Rule.NOT_AN_AUTHORITY, 1),
    "an authority that does not say it is one": (
        [leaf(KEY), middle(ca=None, key_usage=None)],
        Rule.NOT_AN_AUTHORITY,
        1,
    ),
    "more authorities than allowed": (
        [
            leaf(KEY, issuer="Lower", issuer_key=OTHER),
            certificate("Lower", OTHER, "Middle", MIDDLE_KEY, ca=True),
            middle(path_length=0),
        ],
        Rule.PATH_LENGTH,
        2,
    ),
    "a critical extension that nobody knows": (
        [leaf(KEY, extensions=[(CRITICAL, True)]), middle()],
        Rule.EXTENSION,
        0,
    ),
    "constraints on names": ([leaf(KEY), middle(extensions=[(CONSTRAINED, False)])], Rule.EXTENSION, 1),
    "a weak hash": ([leaf(KEY, hashed=hashes.SHA224()), middle()], Rule.WEAK, 0),
    "an issuer of another name": ([leaf(KEY, issuer="Muddle"), middle()], Rule.NAMES, 0),
    "an issuer of another key identifier": ([leaf(KEY, names_key=OTHER), middle()], Rule.NAMES, 0),
    "a forged signature of an intermediate": (
        [leaf(KEY, issuer_key=OTHER, names_key=MIDDLE_KEY), middle()],
        Rule.SIGNATURE,
        0,
    ),
    "a forged signature of the anchor": (
        [leaf(KEY), middle(issuer_key=OTHER, names_key=ROOT_KEY)],
        Rule.SIGNATURE,
        1,
    ),
    "no way to an anchor": ([leaf(KEY)], Rule.NO_ANCHOR, 1),
    "an intermediate in the wrong place": ([middle(), leaf(KEY)], Rule.NAMES, 0),
    "a leaf of tomorrow": ([leaf(KEY, begins=NOON + DAY), middle()], Rule.NOT_YET_VALID, 0),
    "a leaf of yesterday": ([leaf(KEY, ends=NOON - DAY), middle()], Rule.EXPIRED, 0),
    "an intermediate of yesterday": ([leaf(KEY), middle(ends=NOON - DAY)], Rule.EXPIRED, 1),
}


@pytest.mark.parametrize(("chain", "rule", "at"), BROKEN.values(), ids=BROKEN)
def test_a_broken_chain_is_refused_and_the_rule_is_named(chain, rule, at):
    broken = _trace(*chain)

    assert isinstance(broken, Break)
    assert Break(rule, at) in ANCHORS.diagnose(x5c(*chain), NOON)
    assert broken in ANCHORS.diagnose(x5c(*chain), NOON)


def test_a_weak_key_of_an_authority_is_refused():
    chain = [leaf(KEY, issuer_key=WEAK_RSA), middle(key=WEAK_RSA)]

    assert _trace(*chain) == Break(Rule.WEAK, 1)


def test_an_anchor_keeps_to_the_rules_too():
    for anchor, rule in (
        (root(ends=NOON - DAY), Rule.EXPIRED),
        (root(ca=False), Rule.NOT_AN_AUTHORITY),
        (root(path_length=0), Rule.PATH_LENGTH),
        (root(key_usage=usage(digital_signature=True)), Rule.KEY_USAGE),
    ):
        assert _trace(leaf(KEY), middle(), anchors=Anchors([anchor])) == Break(rule, 2)


def test_of_two_anchors_of_one_name_the_one_that_signed_is_found():
    later = root(key=OTHER, issuer_key=OTHER)

    path = _trace(leaf(KEY), middle(), anchors=Anchors([later, root()]))

    assert isinstance(path, Path)
    assert path.anchor == root()


def test_without_anchors_nobody_is_trusted():
    assert _trace(leaf(KEY), middle(), anchors=Anchors([])) == Break(Rule.NO_ANCHOR, 2)


def test_a_remembered_chain_still_ends_in_time():
    anchors, chain = Anchors([root()]), x5c(leaf(KEY, ends=NOON + DAY), middle())

    assert isinstance(anchors.trace(chain, NOON), Path)
    assert anchors.trace(chain, NOON + 2 * DAY) == Break(Rule.EXPIRED, 0)
    assert anchors.trace(chain, NOON - 200 * DAY) == Break(Rule.NOT_YET_VALID, 0)
    assert isinstance(anchors.trace(chain, NOON), Path)


def test_what_is_remembered_does_not_grow_without_end():
    anchors = Anchors([root()], most_remembered=3)
    for number in range(10):
        anchors.trace([str(number)], NOON)

    assert len(anchors._traced) == 3


def test_every_broken_rule_is_in_the_diagnosis():
    chain = x5c(leaf(KEY, ends=NOON - DAY, key_usage=usage(key_agreement=True)), middle(ca=False), root())

    assert ANCHORS.diagnose(chain, NOON) == (
        Break(Rule.EXPIRED, 0),
        Break(Rule.KEY_USAGE, 0),
        Break(Rule.KEY_USAGE, 1),
        Break(Rule.NOT_AN_AUTHORITY, 1),
        Break(Rule.ANCHOR_INCLUDED, 2),
    )


LEAF = x5c(leaf(KEY))[0]


@pytest.mark.parametrize(
    ("header", "rule"),
    [
        (None, Rule.SHAPE),
        ("text", Rule.SHAPE),
        ({}, Rule.SHAPE),
        ([], Rule.SHAPE),
        ([7], Rule.SHAPE),
        ([LEAF] * 7, Rule.SHAPE),
        ([""], Rule.CERTIFICATE),
        (["!"], Rule.CERTIFICATE),
        (["AAAA"], Rule.CERTIFICATE),
        ([LEAF + "\n"], Rule.CERTIFICATE),
        ([LEAF[:-8]], Rule.CERTIFICATE),
        ([LEAF.replace("/", "_").replace("+", "-") + "_"], Rule.CERTIFICATE),
        (["A" * (LONGEST_CERTIFICATE + 4)], Rule.CERTIFICATE),
    ],
)
def test_what_is_no_chain_is_refused(header, rule):
    assert ANCHORS.trace(header, NOON) == Break(rule, 0)
    assert ANCHORS.diagnose(header, NOON) == (Break(rule, 0),)
    assert read_chain(header) == Break(rule, 0)


def test_the_key_of_a_leaf_is_read_without_trust():
    assert leaf_key([LEAF]) == KEY.public_key()
    assert leaf_key(["AAAA"]) is None
    assert leaf_key([]) is None
    assert leaf_key("AAAA") is None


DER = base64.b64decode(LEAF)


@settings(max_examples=300)
@given(at=st.integers(0, len(DER) - 1), octets=st.binary(max_size=4), cut=st.integers(0, 4))
def test_a_damaged_certificate_raises_nothing_and_is_not_trusted(at, octets, cut):
    damaged = DER[:at] + octets + DER[at + cut :]
    header = [base64.b64encode(damaged).decode(), *x5c(middle())]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library warns of odd certificates; odd ones are what this makes
        assert isinstance(ANCHORS.trace(header, NOON), Break) or damaged == DER
        ANCHORS.diagnose(header, NOON)


def test_names_of_authorities_are_compared_whole():
    assert name("Root") != name("root ")
