"""Each MUST of RFC 9901 §7.1 and §7.3, and what SD-JWT VC adds, by name."""

import hashlib
import json
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from core import p256
from core.jose import Key
from issuers.credentials.sdjwt import vc
from issuers.credentials.sdjwt.keybinding import Binding
from issuers.credentials.sdjwt.parts import LONGEST
from issuers.credentials.sdjwt.reasons import Reason
from issuers.credentials.sdjwt.verify import Accepted, Expected, KnownKeys, Memory, Refused, verify
from issuers.status.rules import Reference
from tests.issuers.credentials.sdjwt.making import (
    ASKED,
    EXPECTED,
    HOLDER,
    ISS,
    ISSUER,
    NOON,
    STRANGER,
    TRUST,
    VCT,
    b64,
    bind,
    digest,
    disclosure,
    issued,
    plain_claims,
    reason,
    token,
)

SECOND = timedelta(seconds=1)
UNBOUND = Expected(None, vcts=[VCT])
GIVEN = disclosure("2GLC42sKQveCfGfryNRN9w", "given_name", "Zoë")
CITY = disclosure("eluV5Og3gSNII8EYnsxA_A", "city", "Musterstadt")
GERMAN = disclosure("lklxF5jMYlGTPUovMNIvCA", "DE")


def shown(*disclosures, sd_alg="sha-256", **claims):
    """A credential with these open claims, presented with these disclosures and a sound proof."""
    return bind(issued(plain_claims(_sd_alg=sd_alg, **claims), disclosures))


def accepted(presentation, expected=EXPECTED, **options):
    answer = verify(presentation, TRUST, expected, options.pop("now", NOON), **options)
    assert isinstance(answer, Accepted), answer
    return answer


# ---- RFC 9901 §7.1, steps 1 and 2: the parts, and the token of the issuer ----


def test_what_is_disclosed_is_accepted_in_its_place():
    answer = accepted(
        shown(GIVEN, GERMAN, _sd=[digest(GIVEN)], nationalities=[{"...": digest(GERMAN)}, "FR"])
    )

    assert answer.claims["given_name"] == "Zoë"
    assert answer.claims["nationalities"] == ["DE", "FR"]
    assert answer.types == (VCT,)
    assert answer.status == Reference("https://karte.musterstadt.example/status/7", 4711)
    assert answer.bound_at == NOON
    assert answer.holder == HOLDER.public_key()


def test_7_1_1_a_presentation_without_its_last_tilde_is_refused():
    assert reason(issued(plain_claims()).rstrip("~"), UNBOUND) is Reason.MALFORMED


def test_7_1_1_an_empty_disclosure_is_refused():
    assert reason(issued(plain_claims(), [""]), UNBOUND) is Reason.MALFORMED


@pytest.mark.parametrize(
    "text", ["", "~", "~~", ".~", "..~", "a.b.c.d~", "{}", "{", '{"payload":1}', "[]~", "\ud800~"]
)
def test_7_1_1_what_is_no_sd_jwt_at_all_is_refused(text):
    assert reason(text, UNBOUND) is Reason.MALFORMED


@pytest.mark.parametrize(
    "algorithm", ["none", "None", "HS256", "RS256", "PS256", "ES384", "EdDSA", "es256", "", None, 7]
)
def test_7_1_2_a_no_algorithm_but_es256_is_accepted_and_never_none(algorithm):
    assert reason(bind(issued(plain_claims(), alg=algorithm))) is Reason.ALGORITHM


def test_7_1_2_a_an_unsigned_token_is_refused():
    header, payload, _signature = issued(plain_claims(), alg="none").rstrip("~").split(".")

    assert reason(bind(f"{header}.{payload}.~")) is Reason.ALGORITHM


@pytest.mark.parametrize("parameter", ["jku", "x5u", "jwk", "crit", "b64", "zip"])
def test_7_1_2_a_a_header_that_brings_its_own_key_or_rules_is_refused(parameter):
    assert reason(bind(issued(plain_claims(), **{parameter: [parameter]}))) is Reason.HEADER


def test_7_1_2_b_a_signature_of_another_key_is_refused():
    assert reason(bind(issued(plain_claims(), key=STRANGER))) is Reason.SIGNATURE


def test_7_1_2_b_a_changed_payload_is_refused():
    header, _payload, signature = issued(plain_claims()).rstrip("~").split(".")

    assert reason(bind(f"{header}.{b64(plain_claims(iat=1))}.{signature}~")) is Reason.SIGNATURE


@pytest.mark.parametrize("signature", [b"", bytes(64), bytes(63), bytes(65), b"\xff" * 64])
def test_7_1_2_b_a_signature_that_is_none_is_refused(signature):
    unsigned = issued(plain_claims()).rpartition(".")[0]

    assert reason(bind(f"{unsigned}.{b64(signature)}~")) is Reason.SIGNATURE


def test_7_1_2_b_a_text_that_decodes_to_the_same_bytes_is_another_text_and_refused():
    sd_jwt = issued(plain_claims()).rstrip("~")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    twin = sd_jwt[:-1] + alphabet[alphabet.index(sd_jwt[-1]) + 1]

    assert reason(f"{twin}~", UNBOUND) is Reason.MALFORMED
    assert reason(f"{sd_jwt}=~", UNBOUND) is Reason.MALFORMED
    assert reason(f"{sd_jwt[:9]}\n{sd_jwt[9:]}~", UNBOUND) is Reason.MALFORMED


@pytest.mark.parametrize(
    "payload",
    [
        b'{"vct":"a","vct":"b"}',
        b'{"exp":NaN}',
        b'{"exp":1e999}',
        b'{"exp":Infinity}',
        b'{"a":"\\ud800"}',
        b"[]",
        b"null",
        b"\xff",
        b"[" * 3000,
        b'{"a":' * 3000,
        b"1" * 5000,
    ],
)
def test_7_1_2_b_a_payload_that_can_be_read_in_two_ways_or_in_none_is_refused(payload):
    assert reason(bind(issued(payload))) is Reason.MALFORMED


def test_7_1_2_c_an_issuer_that_was_not_asked_for_is_refused():
    assert reason(shown(), replace(EXPECTED, issuers=[ISS])) is None
    assert reason(shown(iss="https://elsewhere.example"), replace(EXPECTED, issuers=[ISS])) is Reason.ISSUER
    assert reason(shown(iss=None), replace(EXPECTED, issuers=[ISS])) is Reason.ISSUER
    assert reason(shown(iss=7)) is Reason.CLAIMS


def test_7_1_2_c_a_key_of_another_name_is_not_asked():
    named = KnownKeys([Key(ISSUER.public_key(), kid="2026"), Key(STRANGER.public_key(), kid="2025")])

    assert reason(bind(issued(plain_claims(), kid="2026")), trust=named) is None
    assert reason(bind(issued(plain_claims(), kid="2025")), trust=named) is Reason.SIGNATURE
    assert reason(bind(issued(plain_claims(), kid="2024")), trust=named) is Reason.UNKNOWN_KEY
    assert reason(bind(issued(plain_claims())), trust=named) is None
    assert reason(bind(issued(plain_claims(), kid=7)), trust=named) is Reason.HEADER
    nameless = token({"alg": "ES256", "typ": "dc+sd-jwt", "kid": None}, plain_claims())
    assert reason(bind(f"{nameless}~"), trust=named) is Reason.HEADER


def test_7_1_2_c_a_certificate_for_another_key_than_the_one_that_signed_is_refused():
    assert reason(bind(issued(plain_claims(), x5c=["AAAA"]))) is Reason.UNKNOWN_KEY


@pytest.mark.parametrize(
    "named", ["md5", "sha-1", "SHA-256", "sha256", "sha3-256", "", 256, None, ["sha-256"]]
)
def test_7_1_2_d_a_hash_that_is_unknown_or_not_trusted_is_refused(named):
    claims = plain_claims() | {"_sd_alg": named}

    assert reason(bind(issued(claims))) is Reason.HASH_ALGORITHM


@pytest.mark.parametrize("named", ["sha-384", "sha-512"])
def test_7_1_2_d_another_trusted_hash_serves_digests_and_proof_alike(named):
    hashed = getattr(hashlib, named.replace("-", ""))
    sd_jwt = issued(plain_claims(_sd_alg=named, _sd=[digest(GIVEN, hashed)]), [GIVEN])

    assert accepted(bind(sd_jwt, hashed=hashed)).claims["given_name"] == "Zoë"
    assert reason(bind(sd_jwt)) is Reason.BINDING_HASH


def test_7_1_2_d_without_a_named_hash_it_is_sha_256():
    assert accepted(shown(GIVEN, sd_alg=None, _sd=[digest(GIVEN)])).claims["given_name"] == "Zoë"


def test_7_1_2_d_a_hash_named_below_the_top_level_is_refused():
    assert reason(shown(place={"_sd_alg": "sha-256"})) is Reason.DIGESTS_MALFORMED


# ---- step 3: digests and disclosures ----


@pytest.mark.parametrize("digests", ["abc", {"a": 1}, 7, None, [7], [None], [["a"]], [{"...": "a"}]])
def test_7_1_3_b_digests_that_are_not_a_list_of_texts_are_refused(digests):
    assert reason(bind(issued(plain_claims() | {"_sd": digests}))) is Reason.DIGESTS_MALFORMED


@pytest.mark.parametrize(
    "element", [{"...": digest(GERMAN), "more": 1}, {"...": 7}, {"...": None}, {"...": [digest(GERMAN)]}]
)
def test_7_1_3_b_an_element_that_is_no_sound_digest_is_refused(element):
    assert reason(shown(nationalities=[element])) is Reason.DIGESTS_MALFORMED


def test_7_1_3_b_an_elements_digest_outside_of_a_list_is_refused():
    assert reason(shown(place={"...": digest(GERMAN)})) is Reason.DIGESTS_MALFORMED
    assert reason(shown(**{"...": digest(GERMAN)})) is Reason.DIGESTS_MALFORMED


def test_7_1_3_c_i_a_digest_without_its_disclosure_is_passed_over():
    answer = accepted(shown(GIVEN, _sd=[digest(CITY), digest(GIVEN), "a decoy"]))

    assert answer.claims["given_name"] == "Zoë"
    assert "city" not in answer.claims


@pytest.mark.parametrize(
    ("contents", "why"),
    [
        (["salt", "DE"], Reason.DISCLOSURE_MISPLACED),
        (["salt"], Reason.DISCLOSURE_MALFORMED),
        ([], Reason.DISCLOSURE_MALFORMED),
        (["salt", "name", "value", "more"], Reason.DISCLOSURE_MALFORMED),
        (["salt", 7, "value"], Reason.DISCLOSURE_MALFORMED),
        (["salt", None, "value"], Reason.DISCLOSURE_MALFORMED),
        ([7, "name", "value"], Reason.DISCLOSURE_MALFORMED),
        ({"salt": "a", "name": "b", "value": "c"}, Reason.DISCLOSURE_MALFORMED),
        ("salt", Reason.DISCLOSURE_MALFORMED),
        (None, Reason.DISCLOSURE_MALFORMED),
    ],
)
def test_7_1_3_c_ii_1_a_claims_disclosure_is_salt_name_and_value(contents, why):
    assert reason(shown(b64(contents), _sd=[digest(b64(contents))])) is why


@pytest.mark.parametrize("name", ["_sd", "...", "_sd_alg"])
def test_7_1_3_c_ii_2_a_disclosed_name_that_means_something_else_is_refused(name):
    bad = disclosure("salt", name, ["x"])

    assert reason(shown(bad, _sd=[digest(bad)])) is Reason.FORBIDDEN_NAME
    assert reason(shown(bad, sd_alg=None, place={"_sd": [digest(bad)]})) is Reason.FORBIDDEN_NAME


def test_7_1_3_c_ii_3_a_disclosed_name_that_stands_there_already_is_refused():
    twin = disclosure("another salt", "given_name", "Zoe")

    assert reason(shown(GIVEN, given_name="Zoe", _sd=[digest(GIVEN)])) is Reason.NAME_TAKEN
    assert reason(shown(GIVEN, twin, _sd=[digest(GIVEN), digest(twin)])) is Reason.NAME_TAKEN
    nested = {"_sd": [digest(CITY)], "city": "Elsewhere"}
    assert reason(shown(CITY, address=nested)) is Reason.NAME_TAKEN


def test_7_1_3_c_ii_3_the_same_name_at_another_level_is_another_claim():
    answer = accepted(shown(CITY, city="Elsewhere", address={"_sd": [digest(CITY)]}))

    assert (answer.claims["city"], answer.claims["address"]) == ("Elsewhere", {"city": "Musterstadt"})


def test_7_1_3_c_ii_5_what_is_disclosed_may_hold_digests_itself():
    address = disclosure("salt", "address", {"_sd": [digest(CITY)], "country": "DE"})
    both = [digest(address)]

    assert accepted(shown(address, CITY, _sd=both)).claims["address"] == {
        "country": "DE",
        "city": "Musterstadt",
    }
    assert accepted(shown(CITY, address, _sd=both)).claims["address"] == {
        "country": "DE",
        "city": "Musterstadt",
    }
    assert accepted(shown(address, _sd=both)).claims["address"] == {"country": "DE"}


@pytest.mark.parametrize(
    ("contents", "why"),
    [
        (["salt", "name", "DE"], Reason.DISCLOSURE_MISPLACED),
        (["salt"], Reason.DISCLOSURE_MALFORMED),
        ([7, "DE"], Reason.DISCLOSURE_MALFORMED),
        ({"salt": "DE"}, Reason.DISCLOSURE_MALFORMED),
    ],
)
def test_7_1_3_c_iii_1_an_elements_disclosure_is_salt_and_value(contents, why):
    assert reason(shown(b64(contents), nationalities=[{"...": digest(b64(contents))}])) is why


def test_7_1_3_c_iii_3_a_disclosed_element_may_hold_digests_itself():
    inner = disclosure("salt 1", "orange")
    outer = disclosure("salt 2", [{"...": digest(inner)}, {"...": "a decoy"}])
    member = disclosure("salt 3", {"_sd": [digest(CITY)]})

    answer = accepted(
        shown(outer, inner, member, CITY, baz=[{"...": digest(outer)}, {"...": digest(member)}])
    )

    assert answer.claims["baz"] == [["orange"], {"city": "Musterstadt"}]


def test_7_1_3_d_elements_that_were_not_disclosed_are_gone():
    answer = accepted(
        shown(GERMAN, nationalities=["FR", {"...": "hidden"}, {"...": digest(GERMAN)}, {"...": "x"}])
    )

    assert answer.claims["nationalities"] == ["FR", "DE"]


def test_7_1_3_e_digests_are_gone_and_what_they_leave_empty_is_an_empty_object():
    answer = accepted(shown(_sd=["hidden"], address={"_sd": ["hidden too"]}))

    assert "_sd" not in answer.claims
    assert answer.claims["address"] == {}


def test_7_1_3_f_the_name_of_the_hash_is_gone():
    assert "_sd_alg" not in accepted(shown()).claims


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text + "=",
        lambda text: text + "A",
        lambda text: text.replace("W", "!", 1),
        lambda text: text[:4] + " " + text[4:],
        lambda text: text + "ä",
    ],
)
def test_7_1_3_a_disclosure_that_is_not_base64url_in_its_one_form_is_refused(spoil):
    spoiled = spoil(GIVEN)
    sd_jwt = issued(plain_claims(_sd=[digest(spoiled)]), [spoiled])

    assert reason(sd_jwt, UNBOUND) is Reason.DISCLOSURE_MALFORMED


@pytest.mark.parametrize(
    "octets", [b'["a","b",{"c":1,"c":2}]', b'["a","b",NaN]', b'["a","b"', b"\xff", b'["a","b","\\ud800"]']
)
def test_7_1_3_a_disclosure_that_is_not_sound_json_is_refused(octets):
    assert reason(shown(b64(octets), _sd=[digest(b64(octets))])) is Reason.DISCLOSURE_MALFORMED


# ---- steps 4 to 6 ----


def test_7_1_4_a_digest_that_stands_twice_is_refused_wherever_the_two_are():
    one = digest(CITY)
    inner = disclosure("salt", "place", {"_sd": [one]})

    assert reason(shown(CITY, _sd=[one, one])) is Reason.DIGEST_TWICE
    assert reason(shown(CITY, _sd=[one], place={"_sd": [one]})) is Reason.DIGEST_TWICE
    assert reason(shown(CITY, inner, _sd=[one, digest(inner)])) is Reason.DIGEST_TWICE
    assert (
        reason(shown(GERMAN, a=[{"...": digest(GERMAN)}], b=[{"...": digest(GERMAN)}])) is Reason.DIGEST_TWICE
    )


def test_7_1_4_a_digest_that_stands_twice_is_refused_also_where_nothing_was_disclosed_for_it():
    assert reason(shown(_sd=["decoy"], place={"_sd": ["decoy"]})) is Reason.DIGEST_TWICE
    assert reason(shown(_sd=["decoy"], list=[{"...": "decoy"}])) is Reason.DIGEST_TWICE


def test_7_1_5_a_disclosure_that_no_digest_refers_to_is_refused():
    assert reason(shown(GIVEN)) is Reason.DISCLOSURE_UNREFERENCED
    assert reason(shown(GIVEN, CITY, _sd=[digest(GIVEN)])) is Reason.DISCLOSURE_UNREFERENCED


def test_7_1_5_a_disclosure_whose_parent_was_kept_is_refused():
    address = disclosure("salt", "address", {"_sd": [digest(CITY)]})

    assert reason(shown(CITY, _sd=[digest(address)])) is Reason.DISCLOSURE_UNREFERENCED


def test_7_1_5_two_disclosures_that_hold_each_other_are_refused():
    # Nobody can make two that are each in the other's digest; one that names itself is as near as it gets.
    lonely = disclosure("salt", "self", {"_sd": ["self"]})

    assert reason(shown(lonely)) is Reason.DISCLOSURE_UNREFERENCED


def test_7_1_5_a_disclosure_that_is_there_twice_is_refused():
    assert reason(shown(GIVEN, GIVEN, _sd=[digest(GIVEN)])) is Reason.DISCLOSURE_TWICE


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"exp": NOON.timestamp()}, Reason.EXPIRED),
        ({"exp": NOON.timestamp() - 1}, Reason.EXPIRED),
        ({"exp": 0}, Reason.EXPIRED),
        ({"exp": NOON.timestamp() + 1}, None),
        ({"exp": None}, None),
        ({"nbf": NOON.timestamp() + 1}, Reason.NOT_YET_VALID),
        ({"nbf": NOON.timestamp()}, None),
        ({"iat": NOON.timestamp() + 1}, Reason.NOT_YET_VALID),
        ({"iat": NOON.timestamp()}, None),
        ({"exp": "2027-01-01"}, Reason.CLAIMS),
        ({"exp": True}, Reason.CLAIMS),
        ({"nbf": [1]}, Reason.CLAIMS),
        ({"iat": -1}, Reason.CLAIMS),
        ({"exp": 10**30}, Reason.CLAIMS),
    ],
)
def test_7_1_6_a_credential_holds_from_nbf_and_iat_until_before_exp(claims, why):
    assert reason(shown(**claims)) is why


def test_7_1_6_null_is_no_moment():
    assert reason(bind(issued(plain_claims() | {"exp": None}))) is Reason.CLAIMS


def test_7_1_6_clocks_may_differ_by_as_much_as_the_verifier_allows():
    patient = replace(EXPECTED, skew=30 * SECOND)

    assert reason(shown(exp=NOON.timestamp() - 29), patient) is None
    assert reason(shown(exp=NOON.timestamp() - 30), patient) is Reason.EXPIRED
    assert reason(shown(nbf=NOON.timestamp() + 30), patient) is None
    assert reason(shown(nbf=NOON.timestamp() + 31), patient) is Reason.NOT_YET_VALID


def test_7_1_6_a_claim_that_controls_validity_is_missed_where_it_is_required():
    assert reason(shown(exp=None), replace(EXPECTED, required=["exp"])) is Reason.CLAIMS
    assert reason(shown(), replace(EXPECTED, required=["exp", "iat"])) is None


def test_7_1_6_times_count_in_the_processed_payload_of_a_plain_sd_jwt():
    past = disclosure("salt", "exp", int(NOON.timestamp()) - 1)
    sd_jwt = issued(plain_claims(exp=None, vct=None, _sd=[digest(past)]), [past], typ="example+sd-jwt")

    assert reason(sd_jwt, Expected(None, typ="example+sd-jwt")) is Reason.EXPIRED


# ---- RFC 9901 §7.3: what the verifier asks of the holder ----


def test_7_3_1_whether_a_proof_is_needed_does_not_depend_on_whether_one_came():
    sd_jwt = issued(plain_claims())

    assert reason(sd_jwt) is Reason.BINDING_MISSING
    assert reason(sd_jwt, UNBOUND) is None
    assert accepted(sd_jwt, UNBOUND).bound_at is None


def test_7_3_2_a_presentation_without_the_proof_that_is_needed_is_refused():
    assert reason(issued(plain_claims(_sd=[digest(GIVEN)]), [GIVEN])) is Reason.BINDING_MISSING


def test_7_3_3_a_proof_that_came_unasked_must_be_sound_too():
    sd_jwt = issued(plain_claims())

    assert (
        reason(bind(sd_jwt, asked=Binding("somebody", "else"), at=NOON - timedelta(days=9)), UNBOUND) is None
    )
    assert reason(bind(sd_jwt, key=STRANGER), UNBOUND) is Reason.BINDING_SIGNATURE
    assert reason(bind(sd_jwt, sd_hash="x"), UNBOUND) is Reason.BINDING_HASH


@pytest.mark.parametrize(
    "cnf",
    [
        None,
        {},
        "key",
        {"kid": "holder"},
        {"jwk": None},
        {"jwk": {"kty": "EC", "crv": "P-256", "x": "a"}},
        {"jwk": {"kty": "EC", "crv": "P-256", "x": "A" * 43, "y": "A" * 43}},
        {"jwk": {"kty": "EC", "crv": "P-384", "x": "A" * 64, "y": "A" * 64}},
        {"jwk": {"kty": "oct", "k": "AAAA"}},
        {"jwk": vc.holder_jwk(HOLDER.public_key()) | {"d": "A" * 43}},
        {"jwk": vc.holder_jwk(HOLDER.public_key()) | {"use": "enc"}},
        {"jwk": vc.holder_jwk(HOLDER.public_key()) | {"alg": "ES384"}},
        {"jwk": vc.holder_jwk(HOLDER.public_key()) | {"x": 7}},
    ],
)
def test_7_3_5_a_a_credential_without_a_usable_key_of_its_holder_proves_nothing(cnf):
    assert reason(shown(cnf=cnf)) is Reason.HOLDER_KEY


@pytest.mark.parametrize("algorithm", ["none", "HS256", "ES384", "RS256", None])
def test_7_3_5_b_no_algorithm_but_es256_is_accepted_in_a_proof_and_never_none(algorithm):
    assert reason(bind(issued(plain_claims()), header={"alg": algorithm})) is Reason.BINDING_ALGORITHM


def test_7_3_5_c_a_proof_by_another_key_than_the_credentials_is_refused():
    assert reason(bind(issued(plain_claims()), key=STRANGER)) is Reason.BINDING_SIGNATURE
    assert reason(bind(issued(plain_claims()), key=ISSUER)) is Reason.BINDING_SIGNATURE


def test_7_3_5_c_a_changed_proof_is_refused():
    head, _, signature = bind(issued(plain_claims())).rpartition(".")

    assert reason(f"{head}.{b64(bytes(64))}") is Reason.BINDING_SIGNATURE
    assert reason(f"{head}.{signature[:-2]}") is not None
    assert reason(head) is Reason.BINDING_MALFORMED
    assert reason(f"{head}.{signature}.") is Reason.BINDING_MALFORMED
    assert reason(f"{head}.{signature}\n") is Reason.BINDING_MALFORMED


@pytest.mark.parametrize("typ", ["JWT", "dc+sd-jwt", "kb+jwt ", "kb", "", None, ["kb+jwt"], 7])
def test_7_3_5_d_a_proof_of_another_type_is_refused(typ):
    assert reason(bind(issued(plain_claims()), header={"typ": typ})) is Reason.BINDING_TYPE


def test_7_3_5_d_the_type_may_be_written_as_a_media_type():
    assert reason(bind(issued(plain_claims()), header={"typ": "application/KB+JWT"})) is None


@pytest.mark.parametrize(
    ("at", "why"),
    [
        (NOON - timedelta(minutes=5), None),
        (NOON - timedelta(minutes=5, seconds=1), Reason.BINDING_TIME),
        (NOON + timedelta(seconds=60), None),
        (NOON + timedelta(seconds=61), Reason.BINDING_TIME),
    ],
)
def test_7_3_5_e_a_proof_is_neither_old_nor_from_the_future(at, why):
    assert reason(bind(issued(plain_claims()), at=at)) is why


@pytest.mark.parametrize("iat", [None, "now", True, [1], -1, 10**30])
def test_7_3_5_e_a_proof_says_when_it_was_made(iat):
    assert reason(bind(issued(plain_claims()), iat=iat)) is Reason.BINDING_TIME


@pytest.mark.parametrize(
    "aud", [None, "https://elsewhere.example", [ASKED.audience], "", ASKED.audience + "/", 7]
)
def test_7_3_5_f_a_proof_for_anybody_else_is_refused(aud):
    assert reason(bind(issued(plain_claims()), aud=aud)) is Reason.BINDING_AUDIENCE


@pytest.mark.parametrize("nonce", [None, "", "another", [ASKED.nonce], ASKED.nonce.lower()])
def test_7_3_5_f_a_proof_for_another_request_is_refused(nonce):
    assert reason(bind(issued(plain_claims()), nonce=nonce)) is Reason.BINDING_NONCE


def test_7_3_5_g_a_proof_over_other_disclosures_is_refused():
    sd_jwt = issued(plain_claims(_sd=[digest(GIVEN), digest(CITY)]), [GIVEN, CITY])
    first, given, city, proof = bind(sd_jwt).split("~")

    assert reason(f"{first}~{given}~{city}~{proof}") is None
    assert reason(f"{first}~{city}~{given}~{proof}") is Reason.BINDING_HASH
    assert reason(f"{first}~{given}~{proof}") is Reason.BINDING_HASH


@pytest.mark.parametrize("sd_hash", [None, "", 7, ["x"]])
def test_7_3_5_g_a_proof_names_the_digest_of_what_it_is_for(sd_hash):
    assert reason(bind(issued(plain_claims()), sd_hash=sd_hash)) is Reason.BINDING_HASH


def test_7_3_5_h_a_proof_is_a_sound_token_in_all_other_respects():
    sd_jwt, noon = issued(plain_claims()), NOON.timestamp()

    assert reason(bind(sd_jwt, exp=noon)) is Reason.BINDING_TIME
    assert reason(bind(sd_jwt, exp=noon + 1, nbf=noon)) is None
    assert reason(bind(sd_jwt, nbf=noon + 61)) is Reason.BINDING_TIME
    assert reason(bind(sd_jwt, exp="soon")) is Reason.BINDING_TIME
    assert reason(bind(sd_jwt, header={"crit": ["x"]})) is Reason.BINDING_MALFORMED
    assert reason(bind(sd_jwt, header={"jwk": {}})) is Reason.BINDING_MALFORMED


# ---- SD-JWT VC ----


@pytest.mark.parametrize(
    "typ", ["vc+sd-jwt", "JWT", "jwt", "example+sd-jwt", "sd-jwt", "kb+jwt", "", None, 7]
)
def test_a_credential_of_another_typ_is_refused(typ):
    assert reason(bind(issued(plain_claims(), typ=typ))) is Reason.TYPE


def test_the_typ_of_a_credential_may_be_written_as_a_media_type():
    assert reason(bind(issued(plain_claims(), typ="application/dc+sd-jwt"))) is None


@pytest.mark.parametrize("vct", [None, "urn:de.musterstadt:ausweis:1", VCT.upper(), "", 7, [VCT]])
def test_a_credential_that_is_not_of_the_expected_type_is_refused(vct):
    assert reason(shown(vct=vct)) is Reason.CREDENTIAL_TYPE


def test_a_credential_names_its_type_also_where_any_is_welcome():
    assert reason(shown(vct="anything"), replace(EXPECTED, vcts=None)) is None
    assert reason(shown(vct=None), replace(EXPECTED, vcts=None)) is Reason.CREDENTIAL_TYPE


def test_a_credential_counts_as_what_its_issuer_says_that_it_is_too():
    answer = accepted(shown(vct="urn:de:1", aka_vcts=[VCT, "urn:eu:1"]))

    assert answer.types == ("urn:de:1", VCT, "urn:eu:1")
    assert reason(shown(vct="urn:de:1", aka_vcts="a text")) is Reason.CREDENTIAL_TYPE
    assert reason(shown(vct=VCT, aka_vcts=[7])) is Reason.CREDENTIAL_TYPE


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("iss", ISS),
        ("nbf", 1),
        ("exp", int(NOON.timestamp()) + 9),
        ("cnf", plain_claims()["cnf"]),
        ("vct", VCT),
        ("vct#integrity", "sha256-x"),
        ("aka_vcts", [VCT]),
        ("status", plain_claims()["status"]),
    ],
)
def test_what_must_stand_in_the_open_is_refused_where_it_was_disclosed(name, value):
    hidden = disclosure("salt", name, value)

    assert reason(shown(hidden, **{name: None, "_sd": [digest(hidden)]})) is Reason.NEVER_DISCLOSABLE


def test_nothing_within_what_must_stand_in_the_open_is_disclosable_either():
    jwk, status = plain_claims()["cnf"]["jwk"], plain_claims()["status"]
    hidden_key, hidden_list = (
        disclosure("salt", "jwk", jwk),
        disclosure("salt", "status_list", status["status_list"]),
    )
    hidden_type = disclosure("salt", "urn:eu:1")

    assert reason(shown(hidden_key, cnf={"_sd": [digest(hidden_key)]})) is Reason.NEVER_DISCLOSABLE
    assert reason(shown(hidden_list, status={"_sd": [digest(hidden_list)]})) is Reason.NEVER_DISCLOSABLE
    assert reason(shown(hidden_type, aka_vcts=[{"...": digest(hidden_type)}])) is Reason.NEVER_DISCLOSABLE


def test_decoys_within_what_must_stand_in_the_open_hide_nothing():
    jwk, status = plain_claims()["cnf"]["jwk"], plain_claims()["status"]

    assert reason(shown(cnf={"jwk": jwk, "_sd": ["decoy"]}, status=status | {"_sd": ["another"]})) is None
    assert reason(shown(status={"_sd": ["withheld"]})) is Reason.STATUS
    assert reason(shown(cnf={"_sd": ["withheld"]})) is Reason.HOLDER_KEY


def test_sub_and_iat_may_be_disclosed():
    hidden = [disclosure("salt", "sub", "4711"), disclosure("salt", "iat", 1)]
    answer = accepted(shown(*hidden, iat=None, _sd=[digest(one) for one in hidden]))

    assert (answer.claims["sub"], answer.claims["iat"]) == ("4711", 1)


@pytest.mark.parametrize(
    "status",
    [
        {},
        "valid",
        {"status_list": {}},
        {"status_list": {"idx": 1}},
        {"status_list": {"uri": "https://a.example"}},
        {"status_list": {"idx": -1, "uri": "https://a.example"}},
        {"status_list": {"idx": True, "uri": "https://a.example"}},
        {"status_list": {"idx": "1", "uri": "https://a.example"}},
        {"status_list": {"idx": 1, "uri": ""}},
        {"another_mechanism": {"idx": 1}},
    ],
)
def test_a_status_that_nobody_here_can_look_up_is_refused(status):
    assert reason(shown(status=status)) is Reason.STATUS


def test_a_credential_without_status_has_none_to_look_up():
    assert accepted(shown(status=None)).status is None


# ---- limits ----


def test_a_flood_is_refused_unread():
    assert reason("a" * (LONGEST + 1)) is Reason.TOO_LARGE
    assert reason("{" * (LONGEST + 1)) is Reason.TOO_LARGE


def _nested(depth):
    value = "bottom"
    for _ in range(depth):
        value = {"in": value}
    return value


def test_claims_may_be_nested_and_not_without_end():
    assert reason(shown(deep=_nested(20))) is None
    assert reason(shown(deep=_nested(40))) is Reason.TOO_DEEP
    assert reason(shown(deep=_nested(500))) is Reason.TOO_DEEP


def test_a_chain_of_disclosures_is_nesting_too():
    inner, chain = disclosure("salt", "n", 0), []
    for _ in range(40):
        chain.append(inner)
        inner = disclosure("salt", "n", {"_sd": [digest(inner)]})
    chain.append(inner)

    assert reason(shown(*chain, _sd=[digest(inner)])) is Reason.TOO_DEEP


# ---- memory ----


def test_a_remembered_signature_spares_nothing_but_itself():
    memory, first = Memory(), shown(GIVEN, _sd=[digest(GIVEN)])

    def again(presentation, **options):
        answer = verify(presentation, options.get("trust", TRUST), EXPECTED, options.get("now", NOON), memory)
        return answer.reason if isinstance(answer, Refused) else None

    assert again(first) is None
    assert again(first) is None
    assert again(first, now=NOON + timedelta(days=99)) is Reason.EXPIRED
    assert again(first, trust=KnownKeys([Key(STRANGER.public_key())])) is Reason.SIGNATURE
    assert again(first, trust=KnownKeys([])) is Reason.UNKNOWN_KEY
    assert again(first.replace("~W", "~X", 1)) is Reason.DISCLOSURE_UNREFERENCED
    header, payload, signature = issued(plain_claims()).rstrip("~").split(".")
    assert again(bind(f"{header}.{payload}.{b64(bytes(64))}~")) is Reason.SIGNATURE
    assert again(bind(f"{header}.{payload}.{signature}~")) is None


def test_a_memory_forgets_the_oldest_and_never_grows():
    memory = Memory(most=2)
    for number in range(5):
        assert isinstance(verify(shown(iat=number), TRUST, EXPECTED, NOON, memory), Accepted)

    assert len(memory._held) == 2


def test_a_signature_that_does_not_hold_is_not_remembered():
    memory, forged = Memory(), bind(issued(plain_claims(), key=STRANGER))

    assert verify(forged, TRUST, EXPECTED, NOON, memory) == Refused(Reason.SIGNATURE)
    assert verify(forged, TRUST, EXPECTED, NOON, memory) == Refused(Reason.SIGNATURE)
    assert memory._held == {}


# ---- tokens are not each other ----


def test_a_proof_or_a_status_list_is_never_a_credential():
    for typ in ("kb+jwt", "statuslist+jwt", "oauth-authz-req+jwt", "openid4vci-proof+jwt"):
        assert reason(bind(token({"alg": "ES256", "typ": typ}, plain_claims()) + "~")) is Reason.TYPE


def test_keys_of_other_curves_are_not_tried():
    p384 = ec.generate_private_key(ec.SECP384R1()).public_key()

    assert reason(shown(), trust=KnownKeys([Key(p384)])) is Reason.UNKNOWN_KEY


def test_json_serialization_is_judged_by_the_same_rules():
    first = issued(plain_claims(_sd=[digest(GIVEN)]))
    protected, payload, signature = first.rstrip("~").split(".")
    sd_jwt = "~".join([first.rstrip("~"), GIVEN, ""])
    header = {"disclosures": [GIVEN], "kb_jwt": bind(sd_jwt).removeprefix(sd_jwt)}
    whole = {"payload": payload, "protected": protected, "signature": signature, "header": header}

    assert reason(json.dumps(whole)) is None
    assert reason(json.dumps(whole | {"header": header | {"disclosures": []}})) is Reason.BINDING_HASH
    assert reason(json.dumps(whole | {"header": {"disclosures": [GIVEN]}})) is Reason.BINDING_MISSING
    for spoiled in (
        {"payload": None},
        {"payload": payload + "."},
        {"signatures": []},
        {"header": []},
        {"header": header | {"disclosures": GIVEN}},
        {"header": header | {"disclosures": [7]}},
        {"header": header | {"disclosures": [""]}},
        {"header": header | {"kb_jwt": None}},
        {"header": header | {"kb_jwt": 7}},
    ):
        assert reason(json.dumps(whole | spoiled)) is Reason.MALFORMED
    assert reason(json.dumps({"payload": payload, "signatures": []})) is Reason.MALFORMED
    assert reason(json.dumps({"payload": payload, "signatures": [7]})) is Reason.MALFORMED


def test_the_other_of_the_two_values_of_s_signs_the_same_and_is_accepted():
    # Others do not choose the lower one; what is presented twice is told by nonce and digest, not by signature.
    sd_jwt = issued(plain_claims()).rstrip("~")
    head, _, signature = sd_jwt.rpartition(".")
    raw = p256.raw_low_s(ISSUER.sign(head.encode(), ec.ECDSA(p256.hashes.SHA256())))
    high = raw[:32] + (p256.ORDER - int.from_bytes(raw[32:], "big")).to_bytes(32, "big")

    assert signature
    assert reason(bind(f"{head}.{b64(high)}~")) is None
