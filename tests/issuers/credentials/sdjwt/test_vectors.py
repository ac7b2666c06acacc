"""Every published vector: what is issued has the published digests, what is presented is judged as published."""

import json
from datetime import UTC, datetime

import pytest
import yaml

from core import p256
from core.jose import Key, read_jwk
from core.texts import unb64url
from issuers.credentials.sdjwt import vc
from issuers.credentials.sdjwt.disclosing import digest, hash_of
from issuers.credentials.sdjwt.issue import conceal, seal_header, sign_concealed
from issuers.credentials.sdjwt.keybinding import Binding
from issuers.credentials.sdjwt.reasons import Reason
from issuers.credentials.sdjwt.verify import Accepted, Expected, KnownKeys, Refused, verify
from tests.issuers.credentials.sdjwt.making import (
    DATA,
    bind,
    choose,
    json_of,
    parts_of,
    private_key,
    reason,
    specification,
    text_of,
    unb64,
)

SECTION_5 = json.loads((DATA / "sdjwt/rfc9901_section5.json").read_text())
NOW_5 = datetime.fromtimestamp(SECTION_5["now_for_tests"], UTC)
TRUST_5 = KnownKeys([read_jwk(SECTION_5["issuer_jwk"])])
EXPECTED_5 = Expected(Binding(SECTION_5["aud"], SECTION_5["nonce"]), typ="example+sd-jwt")

EXAMPLES = sorted(path.parent for path in (DATA / "sdjwt/rfc9901_examples").glob("*/specification.yml"))
COMPACT = [folder for folder in EXAMPLES if (folder / "sd_jwt_issuance.txt").exists()]
JSON_FORM = [folder for folder in EXAMPLES if folder not in COMPACT]
CASES = sorted(path.parent for path in (DATA / "sdjwt/tests/testcases").glob("*/specification.yml"))
CREDENTIALS = sorted(path.parent for path in (DATA / "sdjwtvc/examples").glob("*/specification.yml"))
VCLD = DATA / "vp/sd_jwt_vcld/01"

SETTINGS = yaml.safe_load((DATA / "sdjwt/rfc9901_examples/settings.yml").read_text())
ISSUER = private_key(SETTINGS["key_settings"]["issuer_key"])
HOLDER = private_key(SETTINGS["key_settings"]["holder_key"])
TRUST = KnownKeys([Key(ISSUER.public_key())])
# The published proofs were made on the day on which the examples were generated.
PROOFS_MADE = dict.fromkeys(EXAMPLES, 1795291050) | {VCLD: 1_744_743_394}
ASKED = Binding("https://verifier.example.org", "1234567890")


def _spaced(value):
    """JSON as the examples write it."""
    return json.dumps(value).encode()


def _published_salts(disclosures):
    return iter([unb64(one)[0] for one in disclosures])


# ---- RFC 9901 §5 and A.1 ----


def test_the_presentation_of_section_5_is_accepted_with_the_published_payload():
    answer = verify(SECTION_5["presentation"], TRUST_5, EXPECTED_5, NOW_5)

    assert isinstance(answer, Accepted)
    assert answer.claims == SECTION_5["expected_presentation_payload"]


def test_the_issuance_of_section_5_opens_without_a_proof_of_the_holder():
    answer = verify(SECTION_5["issuance"], TRUST_5, Expected(None, typ="example+sd-jwt"), NOW_5)

    assert isinstance(answer, Accepted)
    assert len(answer.claims["nationalities"]) == 2


@pytest.mark.parametrize(
    ("variant", "why"),
    {
        "kb_missing": Reason.BINDING_MISSING,
        "disclosure_added": Reason.BINDING_HASH,
        "disclosure_removed": Reason.BINDING_HASH,
        "disclosure_order_changed": Reason.BINDING_HASH,
        "unreferenced_disclosure": Reason.DISCLOSURE_UNREFERENCED,
        "duplicate_disclosure": Reason.DISCLOSURE_TWICE,
        "issuer_sig_tampered": Reason.SIGNATURE,
        "alg_none": Reason.ALGORITHM,
        "trailing_tilde_lost": Reason.BINDING_MALFORMED,
    }.items(),
)
def test_each_spoiled_presentation_of_section_5_is_refused_for_what_was_done_to_it(variant, why):
    assert verify(SECTION_5["must_reject"][variant], TRUST_5, EXPECTED_5, NOW_5) == Refused(why)


def test_no_spoiled_presentation_of_section_5_is_left_out():
    assert len(SECTION_5["must_reject"]) == 9


@pytest.mark.parametrize(
    "entry",
    SECTION_5["disclosures"] + json.loads((DATA / "sdjwt/rfc9901_a1_digests.json").read_text()),
    ids=lambda entry: entry["digest"][:8],
)
def test_a_disclosure_has_its_published_digest(entry):
    assert digest(hash_of({}), entry["disclosure"]) == entry["digest"]
    assert entry.get("content", unb64(entry["disclosure"])) == json.loads(unb64url(entry["disclosure"]))


# ---- the worked examples ----


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda folder: folder.name)
def test_an_example_is_issued_with_its_published_digests(folder):
    payload = json.loads((folder / "sd_jwt_payload.json").read_text(encoding="utf-8"))
    if (folder / "sd_jwt_issuance.txt").exists():
        disclosures = text_of(folder / "sd_jwt_issuance.txt").split("~")[1:-1]
    else:
        disclosures = json.loads(json_of(folder / "sd_jwt_issuance.json"))["disclosures"]

    made = conceal(specification(folder)["user_claims"], encode=_spaced, salts=_published_salts(disclosures))

    assert list(made.disclosures) == disclosures
    added = {"iss", "iat", "exp", "cnf", "_sd_alg"} - made.payload.keys()
    assert made.payload == _without_decoys(
        {name: value for name, value in payload.items() if name not in added}, folder
    )


def _without_decoys(value, folder):
    """Decoys are random: the published payload without them is what ours must be."""
    if not (folder / "decoy_digests.md").exists():
        return value
    decoys = (folder / "decoy_digests.md").read_text()
    if isinstance(value, dict):
        return {
            name: [one for one in inner if f"`{one}`" not in decoys]
            if name == "_sd"
            else _without_decoys(inner, folder)
            for name, inner in value.items()
        }
    return value


@pytest.mark.parametrize("folder", [*COMPACT, VCLD], ids=lambda folder: folder.name)
def test_an_example_is_accepted_with_its_published_contents(folder):
    presentation = text_of(folder / "sd_jwt_presentation.txt")
    bound = (folder / "kb_jwt_payload.json").exists()
    expected = Expected(ASKED if bound else None, typ=unb64(presentation.split(".")[0])["typ"])

    answer = verify(presentation, TRUST, expected, datetime.fromtimestamp(PROOFS_MADE[folder] + 20, UTC))

    assert isinstance(answer, Accepted), answer
    assert answer.claims == json.loads((folder / "verified_contents.json").read_text(encoding="utf-8"))
    assert (answer.bound_at is not None) == bound


@pytest.mark.parametrize("folder", [*COMPACT, VCLD], ids=lambda folder: folder.name)
def test_an_issued_example_opens_to_all_that_its_user_claims_say(folder):
    issuance = text_of(folder / "sd_jwt_issuance.txt")
    expected = Expected(None, typ=unb64(issuance.split(".")[0])["typ"])

    answer = verify(issuance, TRUST, expected, datetime.fromtimestamp(PROOFS_MADE[folder], UTC))

    assert isinstance(answer, Accepted), answer
    user_claims = json.loads((folder / "user_claims.json").read_text(encoding="utf-8"))
    assert {name: answer.claims[name] for name in user_claims} == user_claims


# ---- JSON serialization ----


PLAIN = Expected(None, typ="example+sd-jwt")
BOUND = Expected(ASKED, typ="example+sd-jwt")
PROVED_AT = datetime.fromtimestamp(1_795_291_060, UTC)


@pytest.mark.parametrize("folder", JSON_FORM, ids=lambda folder: folder.name)
def test_an_example_in_json_serialization_is_accepted_with_its_published_contents(folder):
    issuance = json_of(folder / "sd_jwt_issuance.json")
    presentation = json.loads(json_of(folder / "sd_jwt_presentation.json"))
    del presentation["kb_jwt"]

    answer = verify(json.dumps(presentation), TRUST, PLAIN, PROVED_AT)

    assert reason(issuance, PLAIN, TRUST) is None
    assert isinstance(answer, Accepted), answer
    assert answer.claims == json.loads((folder / "verified_contents.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("folder", JSON_FORM, ids=lambda folder: folder.name)
def test_a_proof_over_the_json_text_instead_of_the_compact_form_is_refused(folder):
    # The tool that made these two examples took the digest of the issuance's JSON text;
    # RFC 9901 §8.1 has it over the compact form, so that each serialization proves the same.
    issuance = json.loads(json_of(folder / "sd_jwt_issuance.json"))
    presentation = json.loads(json_of(folder / "sd_jwt_presentation.json"))
    over_json = "~".join([json.dumps(issuance), *presentation["disclosures"], ""])

    assert unb64(presentation["kb_jwt"].split(".")[1])["sd_hash"] == digest(hash_of({}), over_json)
    assert reason(json.dumps(presentation), BOUND, TRUST, PROVED_AT) is Reason.BINDING_HASH


@pytest.mark.parametrize("folder", JSON_FORM, ids=lambda folder: folder.name)
def test_what_is_disclosed_in_json_serialization_stands_in_the_first_unprotected_header(folder):
    before = json.loads(json_of(folder / "sd_jwt_presentation.json"))
    signature = {"protected": before["protected"], "signature": before["signature"]}
    compact = "~".join(
        [".".join([before["protected"], before["payload"], before["signature"]]), *before["disclosures"], ""]
    )
    proof = bind(compact, key=HOLDER, asked=ASKED, at=PROVED_AT).removeprefix(compact)
    header = {"disclosures": before["disclosures"], "kb_jwt": proof}
    flattened = {"payload": before["payload"], **signature, "header": header}
    general = {
        "payload": before["payload"],
        "signatures": [signature | {"header": header}, signature | {"header": {"kid": "issuer-key-2"}}],
    }

    assert reason(json.dumps(flattened), BOUND, TRUST, PROVED_AT) is None
    assert reason(json.dumps(general), BOUND, TRUST, PROVED_AT) is None
    # Disclosures beside a later signature would not be those that the holder signed (RFC 9901 §8.1).
    general["signatures"][1]["header"]["disclosures"] = []
    assert reason(json.dumps(general), BOUND, TRUST, PROVED_AT) is Reason.MALFORMED


# ---- the test cases of the reference implementation, and the credentials of the SD-JWT VC draft ----


@pytest.mark.parametrize("folder", [*CASES, *CREDENTIALS], ids=lambda folder: folder.name)
def test_a_case_comes_out_of_issuing_choosing_and_verifying_as_published(folder):
    case = specification(folder)
    extra = case.get("extra_header_parameters", {})
    # The published kid is a number, which RFC 7515 §4.1.4 does not allow: here it is a text.
    extra = extra | ({"kid": str(extra["kid"])} if "kid" in extra else {})
    header = {"alg": "ES256", "typ": "example+sd-jwt"} | extra
    claims = {"iss": "https://example.com/issuer"} | case["user_claims"] | {"iat": 1_683_000_000}
    if case.get("key_binding"):
        claims["cnf"] = {"jwk": vc.holder_jwk(HOLDER.public_key())}
    sd_jwt = sign_concealed(conceal(claims), seal_header(header), lambda data: p256.sign(ISSUER, data))

    presentation = choose(sd_jwt, case["holder_disclosed_claims"])
    if case.get("key_binding"):
        presentation = bind(presentation, key=HOLDER, asked=ASKED)
    answer = verify(
        presentation,
        TRUST,
        Expected(ASKED if case.get("key_binding") else None, typ=header["typ"]),
        datetime(2026, 9, 16, 10, tzinfo=UTC),
    )

    assert isinstance(answer, Accepted), answer
    assert parts_of(sd_jwt)[0] == header
    shown = {name: value for name, value in answer.claims.items() if name not in {"iss", "iat", "cnf"}}
    if "expect_verified_user_claims" in case:
        assert shown == case["expect_verified_user_claims"]
    else:
        assert shown == _shown(case)


def _shown(case):
    """What a case without a published result must show: the open claims, and the chosen ones."""
    return {
        name: value if not hasattr(value, "value") else value.value
        for name, value in case["user_claims"].items()
        if name != "iss" and not hasattr(value, "value")
    } | {
        "01": {"address": _plain(case, "address"), "is_over_65": True},
        "02": {"address": _plain(case, "address"), "is_over_65": True},
        "03-pid": {"nationalities": ["Ændgard"], "age_equal_or_over": {"18": True}},
    }[_folder_of(case)]


def _plain(case, name):
    return case["user_claims"][name].value


def _folder_of(case):
    if "iss" in case["user_claims"]:
        return "03-pid"
    return "01" if case["key_binding"] else "02"
