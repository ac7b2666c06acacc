"""The command that judges presentations line by line."""

import io
import json

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from app.cli.verifying import COMMANDS, INPUT, judge, verify_sd_jwt
from core import jose
from tests.issuers.credentials.sdjwt.making import (
    ASKED,
    DATA,
    HOLDER,
    ISSUER,
    NOON,
    VCT,
    a_credential,
    bind,
    issued,
    plain_claims,
)

KEY = jose.jwk(ISSUER.public_key())
EXPECT = {"aud": ASKED.audience, "nonce": ASKED.nonce, "vct": VCT}
SOUND = bind(issued(plain_claims()))


def a_line(presentation=SOUND, **changes):
    whole = {
        "presentation": presentation,
        "now": int(NOON.timestamp()),
        "expect": EXPECT,
        "issuer_keys": [KEY],
    } | changes
    return {name: value for name, value in whole.items() if value is not ...}


def run(*lines):
    text = "".join(one if isinstance(one, str) else json.dumps(one) + "\n" for one in lines)
    result = CliRunner().invoke(verify_sd_jwt, input=text)
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.output.splitlines()]


def test_each_line_gets_its_answer_in_order():
    assert run(a_line(), a_line(now=0), "\n", a_line(SOUND + "=")) == [
        {"accepted": True, "reason": None},
        {"accepted": False, "reason": "not-yet-valid"},
        {"accepted": False, "reason": "binding-malformed"},
    ]


def test_a_credential_of_this_house_is_accepted():
    assert judge(json.dumps(a_line(bind(a_credential()))).encode()) is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"now": NOON.isoformat()}, None),
        ({"now": "2026-09-16T12:00:00+02:00"}, None),
        ({"now": NOON.timestamp() + 0.5}, None),
        ({"expect": EXPECT | {"vct": [VCT, "urn:another"]}}, None),
        ({"expect": EXPECT | {"vct": "urn:another"}}, "credential-type"),
        ({"expect": EXPECT | {"aud": "urn:another"}}, "binding-audience"),
        ({"expect": EXPECT | {"nonce": "another"}}, "binding-nonce"),
        ({"expect": {"vct": VCT}}, None),
        ({"expect": {}}, None),
        ({"expect": ...}, None),
        ({"presentation": issued(plain_claims())}, "binding-missing"),
        ({"presentation": issued(plain_claims()), "expect": {"vct": VCT}}, None),
        ({"presentation": ""}, "malformed"),
        ({"issuer_keys": []}, "unknown-key"),
        ({"issuer_keys": [jose.jwk(HOLDER.public_key())]}, "signature"),
        ({"issuer_keys": [jose.jwk(HOLDER.public_key()), KEY]}, None),
        ({"issuer_keys": [{"kty": "oct", "k": "AAAA"}, 7, KEY]}, None),
        ({"issuer_keys": [KEY | {"kid": "one"}, jose.jwk(HOLDER.public_key()) | {"kid": "one"}]}, None),
    ],
)
def test_a_line_is_judged_by_what_it_expects(changes, reason):
    assert judge(json.dumps(a_line(**changes)).encode()) == reason


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"presentation":"a~","presentation":"b~"}',
        *(
            json.dumps(a_line(**changes)).encode()
            for changes in (
                {"presentation": ...},
                {"presentation": 7},
                {"issuer_keys": ...},
                {"issuer_keys": KEY},
                {"now": True},
                {"now": "noon"},
                {"now": "2026-09-16T10:00:00"},
                {"now": 1e300},
                {"now": None},
                {"expect": []},
                {"expect": EXPECT | {"vct": 7}},
                {"expect": {"aud": ASKED.audience, "vct": VCT}},
                {"expect": {"nonce": ASKED.nonce, "vct": VCT}},
                {"expect": EXPECT | {"aud": [ASKED.audience]}},
                {"expect": EXPECT | {"typ": 7}},
            )
        ),
    ],
)
def test_a_line_that_asks_nothing_is_no_yes(line):
    assert judge(line) == INPUT


def test_a_plain_sd_jwt_is_judged_where_no_type_of_credential_is_expected():
    section = json.loads((DATA / "sdjwt/rfc9901_section5.json").read_text())
    asked = {"aud": section["aud"], "nonce": section["nonce"]}
    line = {
        "presentation": section["presentation"],
        "now": section["now_for_tests"],
        "expect": asked,
        "issuer_keys": [section["issuer_jwk"]],
    }

    assert judge(json.dumps(line).encode()) is None
    assert judge(json.dumps(line | {"expect": asked | {"vct": VCT}}).encode()) == "type"
    assert judge(json.dumps(line | {"expect": asked | {"typ": "example+sd-jwt"}}).encode()) is None
    assert judge(json.dumps(line | {"expect": asked | {"typ": "other+sd-jwt"}}).encode()) == "type"
    for presentation in section["must_reject"].values():
        assert judge(json.dumps(line | {"presentation": presentation}).encode()) not in {None, INPUT}


@pytest.mark.parametrize("typ", ["dc+sd-jwt", "application/dc+sd-jwt", "DC+SD-JWT"])
def test_a_credential_stays_one_also_where_no_type_is_expected(typ):
    typeless = bind(issued(plain_claims(vct=None), typ=typ))

    assert judge(json.dumps(a_line(typeless, expect={})).encode()) == "credential-type"


@pytest.mark.parametrize("typ", ["vc+sd-jwt", "VC+sd-jwt", "JWT", "kb+jwt", "", None, 7])
def test_other_types_are_never_taken(typ):
    other = bind(issued(plain_claims(), typ=typ))

    assert judge(json.dumps(a_line(other, expect={})).encode()) == "type"


def test_no_skew_is_granted_to_a_time_that_is_stated():
    line = a_line(bind(issued(plain_claims(exp=int(NOON.timestamp())))))

    assert judge(json.dumps(line).encode()) == "expired"


@settings(max_examples=60)
@given(line=st.binary(max_size=200), name=st.sampled_from(list(a_line())), value=st.text(max_size=20))
def test_no_line_stops_the_command(line, name, value):
    assert judge(line) == INPUT
    assert judge(json.dumps(a_line(**{name: value})).encode()) is not None


def test_an_answer_comes_before_the_next_line_is_read(capsysbinary):
    from app.cli.verifying import judge_lines

    class Waiting(io.BytesIO):
        def __iter__(self):
            yield json.dumps(a_line()).encode()
            assert json.loads(capsysbinary.readouterr().out) == {"accepted": True, "reason": None}

    judge_lines(Waiting())


def test_the_command_has_the_name_that_is_promised():
    assert [command.name for command in COMMANDS] == ["verify-sd-jwt"]
