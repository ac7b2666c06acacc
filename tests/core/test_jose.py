import base64
import json
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from core import jose, p256, texts
from core.jose import Algorithm, Key, KeyRefused, KeySet, Refusal, TokenRefused
from core.vault import SoftwareSigner

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
TYP = "citycard-test+jwt"
PRIVATE = ec.derive_private_key(20_260_105, ec.SECP256R1())
SIGNER = SoftwareSigner(PRIVATE)
KID = SIGNER.kid.hex()
OURS = KeySet((Key(SIGNER.public_key, KID),))
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EDWARDS_KEY = ed25519.Ed25519PrivateKey.generate()


def _b64(value):
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _token(header, claims, signer=SIGNER):
    """A token whose header and claims are exactly these bytes or values, with a signature that holds."""
    signing_input = f"{_b64(header)}.{_b64(claims)}"
    return f"{signing_input}.{_b64(signer.sign(signing_input.encode()))}"


def _header(**changes):
    return {"alg": "ES256", "typ": TYP, "kid": KID} | changes


def _refusal(token, **options):
    with pytest.raises(TokenRefused) as refused:
        jose.verify(token, options.pop("keys", OURS), **({"typ": TYP} | options))
    return refused.value.why


# ---- signing and verifying ----


@given(
    claims=st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"])),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
            lambda inner: (
                st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
            ),
            max_leaves=8,
        ),
    )
)
def test_what_was_signed_is_what_is_read(claims):
    verified = jose.verify(jose.sign(SIGNER, claims, typ=TYP), OURS, typ=TYP, low_s=True)
    assert verified.claims == claims
    assert verified.header == _header()


def test_other_software_reads_our_tokens():
    read = jwt.decode(jose.sign(SIGNER, {"sub": "ä"}, typ=TYP), PRIVATE.public_key(), algorithms=["ES256"])
    assert read == {"sub": "ä"}


def test_a_header_with_a_chain_needs_no_kid():
    header = jose.verify(
        jose.sign(SIGNER, {}, typ=TYP, protected={"x5c": ["MIIB"]}), Key(SIGNER.public_key), typ=TYP
    ).header
    assert header == {"alg": "ES256", "typ": TYP, "x5c": ["MIIB"]}


@pytest.mark.parametrize(
    "protected",
    [{"alg": "none"}, {"typ": "JWT"}, {"jku": "https://x"}, {"crit": ["b64"]}, {"jwk": {}}, {"b64": False}],
)
def test_a_header_that_we_would_refuse_is_not_signed(protected):
    with pytest.raises(ValueError, match="must not be signed"):
        jose.sign(SIGNER, {}, typ=TYP, protected=protected)


def test_claims_without_a_json_form_are_not_signed():
    with pytest.raises(ValueError):
        jose.sign(SIGNER, {"x": float("nan")}, typ=TYP)


def test_a_token_past_its_time_still_verifies_because_rules_judge_times():
    token = jose.sign(SIGNER, {"exp": 1}, typ=TYP)
    assert jose.verify(token, OURS, typ=TYP).claims == {"exp": 1}


# ---- the attack corpus ----


@pytest.mark.parametrize(
    "alg", ["none", "None", "nOnE", "", None, 0, [], {}, ["ES256"], "es256", "HS256", "ES256 "]
)
def test_an_algorithm_off_the_list_is_refused(alg):
    assert _refusal(_token(_header(alg=alg), {})) is Refusal.ALGORITHM


def test_a_token_without_algorithm_or_signature_is_refused():
    assert _refusal(_token({"typ": TYP, "kid": KID}, {})) is Refusal.ALGORITHM
    unsigned = f"{_b64(_header(alg='none'))}.{_b64({})}."
    assert _refusal(unsigned) is Refusal.ALGORITHM
    assert _refusal(f"{_b64(_header())}.{_b64({})}.") is Refusal.SIGNATURE


def test_a_public_key_never_serves_as_a_shared_secret():
    pem = PRIVATE.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    for secret in (pem, p256.point(PRIVATE.public_key()).ljust(32)):
        signing_input = f"{_b64(_header(alg='HS256'))}.{_b64({})}"
        forged = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(
            signing_input.encode(), secret
        )
        assert _refusal(f"{signing_input}.{_b64(forged)}", algorithms=jose.ANY) is Refusal.ALGORITHM


def test_no_algorithm_with_a_shared_secret_can_even_be_allowed():
    assert not {name for name in Algorithm if name.startswith("HS") or name.lower() == "none"}


def test_a_key_of_another_kind_than_the_algorithm_is_refused():
    assert _refusal(_token(_header(alg="RS256"), {}), algorithms=jose.ANY) is Refusal.KEY
    assert _refusal(_token(_header(alg="ES384"), {}), algorithms=jose.ANY) is Refusal.KEY


def test_a_key_bound_to_one_algorithm_serves_no_other():
    keys = KeySet((Key(RSA_KEY.public_key(), "r", Algorithm.PS256),))
    token = jwt.encode({}, RSA_KEY, "RS256", {"typ": TYP, "kid": "r"})
    assert _refusal(token, keys=keys, algorithms=jose.ANY) is Refusal.KEY
    token = jwt.encode({}, RSA_KEY, "PS256", {"typ": TYP, "kid": "r"})
    assert jose.verify(token, keys, typ=TYP, algorithms=jose.ANY).claims == {}


@pytest.mark.parametrize("name", ["jku", "x5u", "jwk", "crit", "b64", "zip"])
def test_a_header_that_brings_its_own_trust_or_rules_is_refused(name):
    for value in ("https://evil.example/keys", jose.jwk(SIGNER.public_key), ["b64"], None, [], True):
        assert _refusal(_token(_header(**{name: value}), {})) is Refusal.HEADER


def test_an_embedded_key_is_refused_although_its_signature_holds():
    intruder = SoftwareSigner(ec.generate_private_key(ec.SECP256R1()))
    header = {"alg": "ES256", "typ": TYP, "jwk": jose.jwk(intruder.public_key)}
    assert _refusal(_token(header, {}, intruder)) is Refusal.HEADER


@pytest.mark.parametrize(
    "kid", ["", "00000000", "../../etc/passwd", "' OR 1=1 --", KID.upper(), KID + "\x00", f" {KID}"]
)
def test_a_kid_names_a_key_of_the_set_or_nothing(kid):
    assert _refusal(_token(_header(kid=kid), {})) is Refusal.KEY


@pytest.mark.parametrize("kid", [None, 1, [KID], {"kid": KID}, True])
def test_a_kid_that_is_no_text_is_refused(kid):
    assert _refusal(_token(_header(kid=kid), {})) is Refusal.HEADER


def test_without_a_kid_a_set_of_two_names_no_key():
    token = _token({"alg": "ES256", "typ": TYP}, {})
    assert jose.verify(token, OURS, typ=TYP).key.kid == KID
    two = KeySet((*OURS.keys, Key(ec.generate_private_key(ec.SECP256R1()).public_key(), "other")))
    assert _refusal(token, keys=two) is Refusal.KEY
    assert _refusal(token, keys=KeySet()) is Refusal.KEY


def test_a_key_chosen_by_the_caller_is_not_changed_by_the_kid():
    chosen = Key(SIGNER.public_key, "device")
    assert _refusal(_token(_header(), {}), keys=chosen) is Refusal.KEY
    assert jose.verify(_token(_header(kid="device"), {}), chosen, typ=TYP).key is chosen
    intruder = SoftwareSigner(ec.generate_private_key(ec.SECP256R1()))
    assert _refusal(_token(_header(), {}, intruder), keys=Key(SIGNER.public_key)) is Refusal.SIGNATURE


@pytest.mark.parametrize(
    "typ", ["JWT", "", "at+jwt", None, 1, [TYP], {}, TYP + " ", "text/" + TYP, "application/"]
)
def test_a_token_of_another_type_is_refused(typ):
    assert _refusal(_token(_header(typ=typ), {})) is Refusal.TYPE


def test_a_token_without_type_is_refused_unless_the_caller_allows_it():
    token = _token({"alg": "ES256", "kid": KID}, {})
    assert _refusal(token) is Refusal.TYPE
    assert jose.verify(token, OURS, typ=("jwt", None)).claims == {}
    assert _refusal(_token(_header(typ=None), {}), typ=("jwt", None)) is Refusal.TYPE


@pytest.mark.parametrize("typ", [TYP, TYP.upper(), "application/" + TYP])
def test_the_ways_to_write_a_media_type_are_one_type(typ):
    assert jose.verify(_token(_header(typ=typ), {}), OURS, typ=TYP).claims == {}


def test_a_changed_claim_breaks_the_signature():
    head, _, signature = jose.sign(SIGNER, {"tariff": "reduced"}, typ=TYP).split(".")
    assert _refusal(f"{head}.{_b64({'tariff': 'free'})}.{signature}") is Refusal.SIGNATURE


@pytest.mark.parametrize(
    "signature", [bytes(64), b"", bytes(63), bytes(65), b"\xff" * 64, bytes(63) + b"\x01"]
)
def test_what_is_no_signature_is_refused(signature):
    head, body, _ = jose.sign(SIGNER, {}, typ=TYP).split(".")
    assert _refusal(f"{head}.{body}.{_b64(signature)}") is Refusal.SIGNATURE


def test_a_der_signature_is_refused():
    signing_input = f"{_b64(_header())}.{_b64({})}"
    der = PRIVATE.sign(signing_input.encode(), ec.ECDSA(hashes.SHA256()))
    assert _refusal(f"{signing_input}.{_b64(der)}") is Refusal.SIGNATURE


def test_the_twin_with_high_s_is_taken_from_others_and_refused_as_ours():
    head, body, signature = jose.sign(SIGNER, {}, typ=TYP).split(".")
    raw = texts.unb64url(signature)
    twin = raw[:32] + (p256.ORDER - int.from_bytes(raw[32:], "big")).to_bytes(32, "big")
    token = f"{head}.{body}.{_b64(twin)}"
    assert jose.verify(token, OURS, typ=TYP).claims == {}
    assert _refusal(token, low_s=True) is Refusal.SIGNATURE


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t + ".",
        lambda t: t + ".e30",
        lambda t: "." + t,
        lambda t: t.replace(".", "", 1),
        lambda t: t.replace(".", "..", 1),
        lambda t: t + "=",
        lambda t: t.replace(".", "=.", 1),
        lambda t: t + "\n",
        lambda t: " " + t,
        lambda t: t[:10] + "\r\n" + t[10:],
        lambda t: t[:-5] + " " + t[-5:],
        lambda t: t + "!",
        lambda t: t.replace(".", "。"),
        lambda t: t + "\ud800",
        lambda t: t + "\x00",
        lambda t: "",
        lambda t: ".",
        lambda t: "..",
        lambda t: json.dumps({"payload": t.split(".")[1], "signature": t.split(".")[2]}),
        lambda t: t + "A" * 20_000,
    ],
)
def test_a_token_has_one_way_to_be_written(change):
    token = jose.sign(SIGNER, {"sub": "a"}, typ=TYP)
    assert _refusal(change(token)) is Refusal.MALFORMED


def test_stray_bits_at_the_end_of_a_part_are_refused():
    token = jose.sign(SIGNER, {}, typ=TYP)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    # 64 bytes end in a letter of which two bits mean something and four mean nothing.
    twins = [
        token[:-1] + letter
        for letter in alphabet
        if alphabet.index(letter) // 16 == alphabet.index(token[-1]) // 16
    ]
    assert len(twins) == 16
    assert sum(1 for twin in twins if twin == token or _refusal(twin) is not Refusal.MALFORMED) == 1


def test_the_other_base64_alphabet_is_refused():
    raw = b"\xfb\xff\xfe"
    assert texts.unb64url("-__-") == raw
    for text in ("+//+", "+/_-", "-__-=", "-__-===="):
        with pytest.raises(ValueError):
            texts.unb64url(text)


@pytest.mark.parametrize(
    "header",
    [
        b'{"alg":"none","alg":"ES256","typ":"%s","kid":"%s"}',
        b'{"alg":"ES256","typ":"JWT","typ":"%s","kid":"%s"}',
        b'{"alg":"ES256","typ":"%s","kid":"other","kid":"%s"}',
        b'{"alg":"ES256","\\u0061lg":"ES256","typ":"%s","kid":"%s"}',
        b'{"alg":"ES256","typ":"%s","kid":"%s"}{}',
        b'{"alg":"ES256","typ":"%s","kid":"%s",}',
        b"{'alg':'ES256','typ':'%s','kid':'%s'}",
        b'[{"alg":"ES256","typ":"%s","kid":"%s"}]',
        b'\xef\xbb\xbf{"alg":"ES256","typ":"%s","kid":"%s"}',
        b'{"alg":"ES256","typ":"%s","kid":"%s","x":"\xff"}',
        b'{"alg":"ES256","typ":"%s","kid":"%s","x":"\\ud800"}',
        b'{"alg":"ES256","typ":"%s","kid":"%s","x":NaN}',
        b'{"alg":"ES256","typ":"%s","kid":"%s","x":1e400}',
        b'{"alg":"ES256","typ":"%s","kid":"%s","x":' + b"1" * 5000 + b"}",
        b'{"alg":"ES256","typ":"%s","kid":"%s","x":' + b"[" * 3000 + b"]" * 3000 + b"}",
    ],
)
def test_a_header_that_can_be_read_in_two_ways_or_in_none_is_refused(header):
    assert _refusal(_token(header % (TYP.encode(), KID.encode()), {})) is Refusal.MALFORMED


@pytest.mark.parametrize(
    "claims",
    [
        b'{"sub":"a","sub":"b"}',
        b'{"a":{"exp":1,"exp":2}}',
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"1",
        b'{"exp":Infinity}',
        b'{"exp":-Infinity}',
        b'{"exp":1e999}',
        b'{"x":"\\udfff"}',
        b'{"x":"\\ud800\\ud800"}',
    ],
)
def test_claims_that_can_be_read_in_two_ways_or_are_no_object_are_refused(claims):
    assert _refusal(_token(_header(), claims)) is Refusal.MALFORMED


def test_a_sign_beyond_the_basic_plane_may_be_escaped():
    assert jose.verify(_token(_header(), b'{"x":"\\ud83d\\ude00"}'), OURS, typ=TYP).claims == {"x": "😀"}


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=[])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(_JSON, st.booleans(), st.sampled_from([None, (",", ":")]))
def test_json_means_the_same_however_it_is_written(value, ascii_only, separators):
    octets = json.dumps(value, ensure_ascii=ascii_only, separators=separators).encode(
        "utf-8", "surrogatepass"
    )
    sound = "NaN" not in repr(value) and "nan" not in repr(value) and "inf" not in repr(value)
    try:
        read = texts.read_json(octets)
    except ValueError:
        assert not sound or any(
            "\ud800" <= sign <= "\udfff" for sign in json.dumps(value, ensure_ascii=False)
        )
    else:
        assert json.dumps(read) == json.dumps(value)


@given(
    st.dictionaries(st.sampled_from(["a", "b"]), st.integers(), min_size=1), st.integers(), st.integers(0, 1)
)
def test_a_name_that_stands_twice_is_refused_wherever_it_stands(members, again, at):
    written = ",".join(
        f'"{name}":{value}' for name, value in [*members.items(), (next(iter(members)), again)]
    )
    for text in ("{" + written + "}", '[[{"x":{' + written + "}}]]")[at:]:
        with pytest.raises(ValueError, match="twice"):
            texts.read_json(text.encode())


@pytest.mark.parametrize("spaced", [False, True])
def test_json_goes_six_hundred_levels_deep_and_no_further(spaced):
    def nested(levels):
        space = " " if spaced else ""
        return f'{{"wide":{space}{[[]] * 200},"deep":{space}{"[" * (levels - 1)}{"]" * (levels - 1)}}}'

    assert texts.read_json(nested(texts.DEEPEST).encode())
    with pytest.raises(ValueError, match="deep"):
        texts.read_json(nested(texts.DEEPEST + 1).encode())
    with pytest.raises(ValueError, match="deep"):
        texts.read_json(nested(100_000).encode())


def test_a_refusal_repeats_nothing_of_the_token():
    token = _token(_header(kid="Anna Muster"), {"name": "Anna Muster"})
    with pytest.raises(TokenRefused) as refused:
        jose.verify(token, OURS, typ=TYP)
    assert "Anna" not in f"{refused.value} {refused.value.detail} {refused.value.extra}"


@given(
    token=st.text(max_size=200)
    | st.binary(max_size=100).map(lambda raw: f"{_b64(raw)}.{_b64(raw)}.{_b64(raw)}")
)
def test_no_text_whatever_breaks_the_verifier(token):
    with pytest.raises(TokenRefused):
        jose.verify(token, OURS, typ=TYP)


@given(
    value=st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    ),
    name=st.sampled_from(["alg", "typ", "kid", "crit", "x5c"]),
)
def test_no_header_value_whatever_breaks_the_verifier(name, value):
    token = _token(_header(**{name: value}), {})
    try:
        jose.verify(token, OURS, typ=TYP)
    except TokenRefused:
        return
    assert name == "x5c"  # the only one of them that is not looked at


@given(octets=st.binary(max_size=80))
def test_base64url_has_one_text_for_each_value(octets):
    assert texts.unb64url(texts.b64url(octets)) == octets


@given(text=st.text(max_size=20))
def test_a_base64url_text_is_canonical_or_refused(text):
    try:
        octets = texts.unb64url(text)
    except ValueError:
        return
    assert texts.b64url(octets) == text


# ---- keys ----


@pytest.mark.parametrize(
    "private_key", [PRIVATE, ec.generate_private_key(ec.SECP384R1()), RSA_KEY, EDWARDS_KEY]
)
def test_a_public_key_goes_into_a_jwk_and_back(private_key):
    public = private_key.public_key()
    assert jose.read_jwk(jose.jwk(public, kid="k")) == Key(public, "k")


def test_the_thumbprint_is_that_of_the_rfc():
    # RFC 7638, section 3.1
    modulus = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiF"
        "V4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9"
        "c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1"
        "jF44-csFCur-kEgU8awapJzKnqDKgw"
    )
    key = jose.read_jwk({"kty": "RSA", "n": modulus, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"})
    assert jose.thumbprint(key.public) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    assert key.algorithm is Algorithm.RS256


def _jwk(**changes):
    return {
        name: value for name, value in (jose.jwk(SIGNER.public_key) | changes).items() if value is not ...
    }


@pytest.mark.parametrize(
    "members",
    [
        None,
        [],
        "jwk",
        {},
        {1: 2},
        {"kty": "oct", "k": "c2VjcmV0"},
        _jwk(d="AAAA"),
        _jwk(kty="ec"),
        _jwk(kty=["EC"]),
        _jwk(kty="RSA"),
        _jwk(x=...),
        _jwk(y=None),
        _jwk(y=1),
        _jwk(crv="P-384"),
        _jwk(crv="secp256k1"),
        _jwk(crv=...),
        _jwk(x=_b64(bytes(32))),
        _jwk(x=_b64(b"\0" + texts.unb64url(jose.jwk(SIGNER.public_key)["x"]))),
        _jwk(x=jose.jwk(SIGNER.public_key)["x"] + "="),
        _jwk(x="+" * 43),
        _jwk(use="enc"),
        _jwk(key_ops=["deriveKey"]),
        _jwk(key_ops="verify"),
        _jwk(alg="none"),
        _jwk(alg="HS256"),
        _jwk(alg="RS256"),
        _jwk(alg=[]),
        _jwk(kid=1),
        _jwk(kid=""),
        _jwk(kid="x" * 300),
        {"kty": "OKP", "crv": "X25519", "x": _b64(bytes(32))},
        {"kty": "OKP", "crv": "Ed25519", "x": _b64(bytes(31))},
        {"kty": "RSA", "n": _b64(b"\xc1" + bytes(126) + b"\x01"), "e": "AQAB"},
        {"kty": "RSA", "n": "", "e": ""},
    ],
)
def test_a_key_that_is_private_weak_misshapen_or_for_something_else_is_refused(members):
    with pytest.raises(KeyRefused):
        jose.read_jwk(members)


@given(
    members=st.dictionaries(
        st.sampled_from(["kty", "crv", "x", "y", "n", "e", "alg", "use", "kid", "key_ops"]),
        st.sampled_from(["EC", "RSA", "OKP", "P-256", "Ed25519", "AQAB", "sig", 1, None, [], {}])
        | st.text(max_size=44),
    )
)
def test_no_jwk_whatever_breaks_the_reader(members):
    try:
        jose.read_jwk(members)
    except KeyRefused:
        return


def test_a_key_set_is_published_without_anything_private_and_read_back():
    keys = KeySet(
        (Key(SIGNER.public_key, KID, Algorithm.ES256), Key(RSA_KEY.public_key(), "r", Algorithm.PS256))
    )
    document = json.loads(json.dumps(jose.key_set_document(keys)))
    assert jose.read_key_set(document) == keys
    assert not {"d", "p", "q"} & {name for members in document["keys"] for name in members}


def test_keys_of_a_set_that_are_for_something_else_are_passed_over():
    document = {
        "keys": [
            _jwk(kid="a"),
            _jwk(kid="b", use="enc"),
            {"kty": "oct", "k": "AA"},
            "odd",
            _jwk(kid="c", alg="ECDH-ES"),
        ]
    }
    assert [key.kid for key in jose.read_key_set(document).keys] == ["a"]


@pytest.mark.parametrize(
    "document", [None, [], {}, {"keys": {}}, {"keys": [{}] * 65}, {"keys": [_jwk(kid="a"), _jwk(kid="a")]}]
)
def test_a_document_that_is_no_key_set_is_refused(document):
    with pytest.raises(KeyRefused):
        jose.read_key_set(document)


# ---- certificate chains ----


def _certificate(name, public_key, issuer, issuer_key, *, until=NOON + timedelta(days=30)):
    def named(text):
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    return (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(issuer))
        .public_key(public_key)
        .serial_number(1)
        .not_valid_before(NOON - timedelta(days=30))
        .not_valid_after(until)
        .sign(issuer_key, hashes.SHA256())
    )


ROOT_KEY = ec.generate_private_key(ec.SECP256R1())
MIDDLE_KEY = ec.generate_private_key(ec.SECP256R1())
LEAF = _certificate("leaf", PRIVATE.public_key(), "middle", MIDDLE_KEY)
MIDDLE = _certificate("middle", MIDDLE_KEY.public_key(), "root", ROOT_KEY)
ROOT = _certificate("root", ROOT_KEY.public_key(), "root", ROOT_KEY)


def test_a_chain_without_its_anchor_stands_in_the_header():
    chain = jose.x5c([LEAF, MIDDLE], SIGNER, NOON)
    assert [x509.load_der_x509_certificate(base64.b64decode(entry)) for entry in chain] == [LEAF, MIDDLE]


@pytest.mark.parametrize(
    ("chain", "why"),
    [
        ([], "empty"),
        ([MIDDLE], "signing key"),
        ([MIDDLE, LEAF], "signing key"),
        ([LEAF, MIDDLE, ROOT], "anchor"),
        ([_certificate("self", PRIVATE.public_key(), "self", PRIVATE)], "signed itself"),
        ([LEAF, _certificate("other", ROOT_KEY.public_key(), "root", ROOT_KEY)], "next one"),
        ([LEAF, _certificate("middle", ROOT_KEY.public_key(), "root", ROOT_KEY)], "next one"),
        (
            [_certificate("leaf", PRIVATE.public_key(), "m", MIDDLE_KEY, until=NOON - timedelta(1))],
            "valid now",
        ),
    ],
)
def test_a_chain_that_a_verifier_would_refuse_is_not_sent(chain, why):
    with pytest.raises(jose.ChainRefused, match=why):
        jose.x5c(chain, SIGNER, NOON)


# ---- access tokens ----

ISSUER, AUDIENCE = "https://login.example", "citycard-api"
PROVIDER = KeySet((Key(RSA_KEY.public_key(), "p", Algorithm.RS256),))


def _claims(**changes):
    base = {"iss": ISSUER, "aud": AUDIENCE, "sub": "s", "iat": _at(0), "exp": _at(300)}
    return {name: value for name, value in (base | changes).items() if value is not ...}


def _at(seconds):
    return int(NOON.timestamp()) + seconds


def _access(now=NOON, typ="at+jwt", leeway=timedelta(0), **changes):
    body = json.dumps(_claims(**changes)).encode()
    token = jwt.PyJWS().encode(body, RSA_KEY, "RS256", {"typ": typ, "kid": "p"})
    return jose.verify_access_token(token, PROVIDER, issuer=ISSUER, audience=AUDIENCE, now=now, leeway=leeway)


def _access_refusal(**options):
    with pytest.raises(TokenRefused) as refused:
        _access(**options)
    return refused.value.why


def test_an_access_token_is_taken_while_it_holds():
    assert _access().claims["sub"] == "s"
    assert _access(aud=["other", AUDIENCE], nbf=_at(0)).claims["sub"] == "s"


@pytest.mark.parametrize("seconds", [-1, 0, 299, 300, 301])
def test_expiry_is_judged_by_the_given_moment_and_not_by_the_machine(seconds):
    now = NOON + timedelta(seconds=seconds)
    if seconds == -1:
        assert _access_refusal(now=now) is Refusal.NOT_YET_VALID
    elif seconds < 300:
        assert _access(now=now).claims["sub"] == "s"
    else:
        assert _access_refusal(now=now) is Refusal.EXPIRED


@pytest.mark.parametrize(("seconds", "taken"), [(329, True), (330, False)])
def test_the_leeway_is_exact(seconds, taken):
    options = {"now": NOON + timedelta(seconds=seconds), "leeway": timedelta(seconds=30)}
    if taken:
        assert _access(**options).claims["sub"] == "s"
    else:
        assert _access_refusal(**options) is Refusal.EXPIRED


@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_a_token_from_the_future_is_not_valid_yet(claim):
    assert _access_refusal(**{claim: _at(1)}) is Refusal.NOT_YET_VALID
    assert _access(**{claim: _at(1)}, leeway=timedelta(seconds=1)).claims["sub"] == "s"


@pytest.mark.parametrize("exp", [..., None, "300", True, [], -1, 2**40, 1e300])
def test_without_a_usable_expiry_nothing_is_taken(exp):
    assert _access_refusal(exp=exp) is Refusal.CLAIMS


def test_a_fraction_of_a_second_is_a_moment():
    assert _access(exp=_at(300) + 0.5, now=NOON + timedelta(seconds=300)).claims["sub"] == "s"


@pytest.mark.parametrize("iss", [..., None, "", "https://login.example/", "https://evil.example", [ISSUER]])
def test_a_token_of_another_issuer_is_refused(iss):
    assert _access_refusal(iss=iss) is Refusal.ISSUER


@pytest.mark.parametrize(
    "aud", [..., None, "", "other", ["other"], [], [[AUDIENCE]], {AUDIENCE: 1}, AUDIENCE + "x"]
)
def test_a_token_for_somebody_else_is_refused(aud):
    assert _access_refusal(aud=aud) is Refusal.AUDIENCE


def test_an_id_token_is_no_access_token():
    assert _access_refusal(typ="JWT") is Refusal.TYPE


# ---- client assertions ----

TOKEN_URL = "https://city.example/oauth/token"
CLIENT_KEYS = KeySet((Key(SIGNER.public_key, KID),))


def _assert(now=NOON, typ="JWT", **changes):
    base = {"iss": "jobcenter", "sub": "jobcenter", "aud": TOKEN_URL, "exp": _at(60), "jti": "0123456789"}
    claims = {name: value for name, value in (base | changes).items() if value is not ...}
    return jose.verify_client_assertion(
        _token(_header(typ=typ), claims),
        CLIENT_KEYS,
        client_id="jobcenter",
        audiences=["https://city.example", TOKEN_URL],
        now=now,
        leeway=timedelta(0),
    )


def test_a_client_proves_that_it_is_the_client():
    proof = _assert()
    assert (proof.client_id, proof.jti, proof.expires_at) == (
        "jobcenter",
        "0123456789",
        NOON + timedelta(seconds=60),
    )
    assert _assert(typ="client-authentication+jwt", aud=["https://city.example"]) == proof


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"iss": "other"}, Refusal.ISSUER),
        ({"sub": "other"}, Refusal.ISSUER),
        ({"iss": ...}, Refusal.ISSUER),
        ({"sub": ...}, Refusal.ISSUER),
        ({"aud": ...}, Refusal.AUDIENCE),
        ({"aud": "https://other.example"}, Refusal.AUDIENCE),
        ({"aud": [TOKEN_URL, "https://other.example"]}, Refusal.AUDIENCE),
        ({"aud": []}, Refusal.AUDIENCE),
        ({"aud": [[TOKEN_URL]]}, Refusal.AUDIENCE),
        ({"exp": ...}, Refusal.CLAIMS),
        ({"exp": _at(0)}, Refusal.EXPIRED),
        ({"exp": _at(301)}, Refusal.CLAIMS),
        ({"nbf": _at(1)}, Refusal.NOT_YET_VALID),
        ({"iat": _at(1)}, Refusal.NOT_YET_VALID),
        ({"jti": ...}, Refusal.CLAIMS),
        ({"jti": ""}, Refusal.CLAIMS),
        ({"jti": 12345678}, Refusal.CLAIMS),
        ({"jti": "x" * 129}, Refusal.CLAIMS),
        ({"jti": "01234567\x00"}, Refusal.CLAIMS),
        ({"typ": "at+jwt"}, Refusal.TYPE),
    ],
)
def test_an_assertion_that_is_not_quite_right_is_refused(changes, why):
    with pytest.raises(TokenRefused) as refused:
        _assert(**changes)
    assert refused.value.why is why


def test_another_clients_key_does_not_sign_for_this_client():
    intruder = SoftwareSigner(ec.generate_private_key(ec.SECP256R1()))
    claims = {"iss": "jobcenter", "sub": "jobcenter", "aud": TOKEN_URL, "exp": _at(60), "jti": "0123456789"}
    with pytest.raises(TokenRefused) as refused:
        jose.verify_client_assertion(
            _token(_header(), claims, intruder),
            CLIENT_KEYS,
            client_id="jobcenter",
            audiences=[TOKEN_URL],
            now=NOON,
        )
    assert refused.value.why is Refusal.TYPE
    with pytest.raises(TokenRefused) as refused:
        jose.verify_client_assertion(
            _token(_header(typ="JWT"), claims, intruder),
            CLIENT_KEYS,
            client_id="jobcenter",
            audiences=[TOKEN_URL],
            now=NOON,
        )
    assert refused.value.why is Refusal.SIGNATURE


def test_who_an_assertion_claims_to_be_from_can_be_read_before_anything_is_settled():
    assert jose.claimed_client(_token(_header(), {"iss": "jobcenter"})) == "jobcenter"
    for token in ("", "a.b.c", _token(_header(), {}), _token(_header(), {"iss": 1})):
        with pytest.raises(TokenRefused):
            jose.claimed_client(token)


class TestAProofBringsItsOwnKey:
    def proof(self, header: dict[str, object] | None = None, **claims: object) -> str:
        key = ec.generate_private_key(ec.SECP256R1())
        full = {"typ": "dpop+jwt", "jwk": jose.jwk(key.public_key())} | (header or {})
        return jwt.encode(
            claims, key, algorithm="ES256", headers={n: v for n, v in full.items() if v is not None}
        )

    def test_the_key_in_the_header_is_the_one_that_signed(self) -> None:
        proof = jose.verify_proof(self.proof(htm="POST"), typ="dpop+jwt")
        assert proof.claims == {"htm": "POST"}
        assert jose.jwk(proof.key.public) == proof.header["jwk"]

    def test_it_is_not_taken_where_no_proof_is_expected(self) -> None:
        token = self.proof()
        with pytest.raises(jose.TokenRefused) as refused:
            jose.verify(token, jose.read_jwk(jwt.get_unverified_header(token)["jwk"]), typ="dpop+jwt")
        assert refused.value.why is jose.Refusal.HEADER

    @pytest.mark.parametrize(
        ("header", "why"),
        [
            ({"typ": "jwt"}, jose.Refusal.TYPE),
            ({"typ": None}, jose.Refusal.TYPE),
            ({"jwk": None}, jose.Refusal.KEY),
            ({"kid": "another"}, jose.Refusal.KEY),
            ({"jwk": {"kty": "oct", "k": "c2VjcmV0"}}, jose.Refusal.KEY),
            ({"jku": "https://evil.example/jwks"}, jose.Refusal.HEADER),
            ({"x5c": ["MIIB"]}, jose.Refusal.KEY),
            ({"trust_chain": ["x"]}, jose.Refusal.KEY),
            ({"crit": ["exp"]}, jose.Refusal.HEADER),
            ({"zip": "DEF"}, jose.Refusal.HEADER),
        ],
    )
    def test_a_header_that_says_more_or_other_is_refused(
        self, header: dict[str, object], why: jose.Refusal
    ) -> None:
        with pytest.raises(jose.TokenRefused) as refused:
            jose.verify_proof(self.proof(header), typ="dpop+jwt", lone=True)
        assert refused.value.why is why

    @pytest.mark.parametrize("header", [{"kid": "wallet-1"}, {"x5c": ["MIIB"]}, {"ver": 3}])
    def test_what_nobody_asked_for_is_passed_over(self, header: dict[str, object]) -> None:
        # RFC 7515 section 4: what is not understood must be ignored; RFC 9449 asks for a jwk and forbids no name.
        assert jose.verify_proof(self.proof(header, jti="1"), typ="dpop+jwt").claims == {"jti": "1"}
        with pytest.raises(jose.TokenRefused):
            jose.verify_proof(self.proof({"jwk": None, **header}), typ="dpop+jwt")

    @pytest.mark.parametrize(("stated", "why"), [("exp", "expired"), ("nbf", "not-yet-valid")])
    def test_times_that_it_need_not_state_count_where_it_does(self, stated: str, why: str) -> None:
        now = datetime(2026, 11, 2, 12, tzinfo=UTC)
        past, ahead = int(now.timestamp()) - 60, int(now.timestamp()) + 60
        jose.check_stated({}, now=now)
        jose.check_stated({"exp": ahead, "nbf": past}, now=now)
        with pytest.raises(jose.TokenRefused) as refused:
            jose.check_stated({stated: past if stated == "exp" else ahead}, now=now)
        assert refused.value.why == why
        with pytest.raises(jose.TokenRefused):
            jose.check_stated({stated: "soon"}, now=now)

    def test_a_private_key_in_the_header_is_refused(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        private = jwt.algorithms.ECAlgorithm.to_jwk(key, as_dict=True)
        token = jwt.encode({}, key, algorithm="ES256", headers={"typ": "dpop+jwt", "jwk": private})
        with pytest.raises(jose.TokenRefused) as refused:
            jose.verify_proof(token, typ="dpop+jwt")
        assert refused.value.why is jose.Refusal.KEY

    def test_a_key_that_did_not_sign_is_refused(self) -> None:
        other = jose.jwk(ec.generate_private_key(ec.SECP256R1()).public_key())
        with pytest.raises(jose.TokenRefused) as refused:
            jose.verify_proof(self.proof({"jwk": other}), typ="dpop+jwt")
        assert refused.value.why is jose.Refusal.SIGNATURE

    @pytest.mark.parametrize("algorithm", ["none", "HS256", "ES384", "RS256"])
    def test_another_algorithm_is_refused(self, algorithm: str) -> None:
        _, claims, signature = self.proof().split(".")
        key = jose.jwk(ec.generate_private_key(ec.SECP256R1()).public_key())
        header = texts.b64url(json.dumps({"alg": algorithm, "typ": "dpop+jwt", "jwk": key}).encode())
        with pytest.raises(jose.TokenRefused) as refused:
            jose.verify_proof(f"{header}.{claims}.{signature}", typ="dpop+jwt")
        assert refused.value.why is jose.Refusal.ALGORITHM

    def test_a_key_that_is_known_elsewhere_is_found_by_its_name(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        token = jwt.encode({}, key, algorithm="ES256", headers={"typ": "dpop+jwt", "kid": "0"})
        known = {"0": jose.Key(key.public_key())}
        assert jose.verify_proof(token, typ="dpop+jwt", named=known.get).key is known["0"]
        with pytest.raises(jose.TokenRefused):
            jose.verify_proof(token, typ="dpop+jwt")
