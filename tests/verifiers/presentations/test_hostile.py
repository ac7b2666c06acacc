"""Line 6 of the verifier's checklist: answers that break one rule each, and what is said of them.

`test_vp_6_…`: the presentation is refused, the asker hears which rule it broke, and nothing else of it.
"""

import base64
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from joserfc import jwe
from joserfc.jwk import ECKey, OctKey
from jwcrypto import jwe as jwcrypto_jwe
from jwcrypto import jwk as jwcrypto_jwk

from issuers.status.rules import Status
from tests.verifiers.presentations.conftest import Counter, Holder
from tests.verifiers.presentations.wallet import (
    Authority,
    Request,
    Wallet,
    digest,
    json64,
    new_key,
    public_jwk,
)

DAY = 86_400

# What is judged here no database has a part in.
pytestmark = pytest.mark.parametrize("house_url", ["sqlite"], indirect=True)


@dataclass
class Scene:
    """A question that was opened, and the wallet that answers it."""

    counter: Counter
    holder: Holder
    asked: dict[str, Any]
    request: Request

    @property
    def wallet(self) -> Wallet:
        return self.holder.wallet

    @property
    def now(self) -> int:
        return int(self.counter.city.clock.now().timestamp())

    def good(self) -> str:
        return self.wallet.show(self.request)

    async def forged(self, *more: str, header: dict[str, Any] | None = None, **changes: Any) -> str:
        """A presentation of a credential that the city signed with something wrong in it."""
        self.wallet.credential = await self.holder.forge(*more, header=header, **changes)
        names = {json.loads(unb(one))[-2] for one in more} | {"reduced"}
        return self.wallet.show(self.request, names)

    def embedded(self, name: str) -> dict[str, Any]:
        """A claim as the city signed it."""
        found: dict[str, Any] = json.loads(json.dumps(self.holder.opened()[0][name]))
        return found


def unb(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@pytest.fixture
async def scene(counter: Counter, holder: Holder) -> Scene:
    asked = await counter.ask()
    return Scene(counter, holder, asked, await holder.wallet.open(asked["authorization_request"]))


async def told(scene: Scene) -> tuple[str, str | None]:
    found = await scene.counter.status(scene.asked)
    assert found["status"] == "verified" or not (found["tariffs"] or found["offers"] or found["name"])
    return found["status"], found["reason"]


async def test_vp_6_the_scene_itself_is_sound(scene: Scene) -> None:
    assert (await scene.wallet.send(scene.request, await scene.forged())).status_code == 200
    assert await told(scene) == ("verified", None)


# ---- the shape of the token ----

SHAPES: list[tuple[str, Callable[[str], object]]] = [
    ("vp-token", lambda _: None),
    ("vp-token", lambda _: "text"),
    ("vp-token", lambda _: {}),
    ("vp-token", lambda good: good),
    ("vp-token", lambda good: [good]),
    ("vp-token", lambda good: {"card": good}),
    ("vp-token", lambda _: {"card": []}),
    ("vp-token", lambda good: {"card": [good, good]}),
    ("vp-token", lambda good: {"card": [{"jwt": good}]}),
    ("vp-token", lambda _: {"card": [7]}),
    ("vp-token", lambda _: {"card": ['{"payload": "e30"}']}),
    ("unasked", lambda good: {"passport": [good]}),
    ("unasked", lambda good: {"card": [good], "passport": [good]}),
    ("malformed", lambda _: {"card": [""]}),
    ("binding-missing", lambda _: {"card": ["~"]}),
    ("too-large", lambda _: {"card": ["a" * 131_073]}),
]


@pytest.mark.parametrize(("reason", "shape"), SHAPES, ids=range(len(SHAPES)))
async def test_vp_6_a_token_of_another_shape_is_refused(
    scene: Scene, reason: str, shape: Callable[[str], object]
) -> None:
    answer = scene.wallet.answer(scene.request, "") | {"vp_token": shape(scene.good())}
    posted = await scene.wallet.post(scene.request, response=scene.wallet.close(scene.request, answer))
    assert posted.status_code == 400
    if reason != "too-large":
        assert await told(scene) == ("refused", reason)


@pytest.mark.parametrize("state", [None, "", "other", 7, ["a"]])
async def test_vp_6_the_state_must_come_back(scene: Scene, state: object) -> None:
    answer = scene.wallet.answer(scene.request, scene.good())
    answer = {name: value for name, value in (answer | {"state": state}).items() if value is not None}
    posted = await scene.wallet.post(scene.request, response=scene.wallet.close(scene.request, answer))
    assert posted.status_code == 400
    assert await told(scene) == ("refused", "state")


# ---- what the city would have had to sign ----


def with_digest(scene: Scene, *entries: str) -> dict[str, Any]:
    return {"_sd": [*scene.embedded("_sd"), *map(digest, entries)]}


async def _unreferenced(scene: Scene) -> str:
    return await scene.forged(json64(["salt", "extra", 1]))


async def _digest_twice(scene: Scene) -> str:
    first = scene.embedded("_sd")[0]
    return await scene.forged(_sd=[*scene.embedded("_sd"), first])


async def _reserved_name(scene: Scene) -> str:
    hidden = json64(["salt", "_sd", ["x"]])
    return await scene.forged(hidden, **with_digest(scene, hidden))


async def _dots(scene: Scene) -> str:
    hidden = json64(["salt", "...", "x"])
    return await scene.forged(hidden, **with_digest(scene, hidden))


async def _name_taken(scene: Scene) -> str:
    hidden = json64(["salt", "iat", 1])
    return await scene.forged(hidden, **with_digest(scene, hidden))


async def _hidden_vct(scene: Scene) -> str:
    hidden = json64(["salt", "vct", scene.embedded("vct")])
    return await scene.forged(hidden, vct=None, **with_digest(scene, hidden))


async def _array_element_in_object(scene: Scene) -> str:
    hidden = json64(["salt", "value"])
    presentation = await scene.holder.forge(hidden, **with_digest(scene, hidden))
    scene.wallet.credential = presentation
    issued, *disclosures, _ = presentation.split("~")
    reduced = next(one for one in disclosures if json.loads(unb(one))[1] == "reduced")
    return scene.wallet.bind(scene.request, f"{issued}~{reduced}~{hidden}~")


async def _nested(scene: Scene) -> str:
    value: Any = 1
    for _ in range(40):
        value = [value]
    return await scene.forged(deep=value)


def _forged(header: dict[str, Any] | None = None, **changes: Any) -> Callable[[Scene], Awaitable[str]]:
    async def make(scene: Scene) -> str:
        said = {name: value(scene) if callable(value) else value for name, value in changes.items()}
        return await scene.forged(header=header, **said)

    return make


FORGED: list[tuple[str, Callable[[Scene], Awaitable[str]]]] = [
    ("disclosure-unreferenced", _unreferenced),
    ("digest-twice", _digest_twice),
    ("forbidden-name", _reserved_name),
    ("forbidden-name", _dots),
    ("name-taken", _name_taken),
    ("never-disclosable", _hidden_vct),
    ("disclosure-misplaced", _array_element_in_object),
    ("too-deep", _nested),
    ("type", _forged({"typ": "vc+sd-jwt"})),
    ("type", _forged({"typ": "JWT"})),
    ("type", _forged({"typ": None})),
    ("algorithm", _forged({"alg": "none"})),
    ("algorithm", _forged({"alg": "HS256"})),
    ("algorithm", _forged({"alg": "ES384"})),
    ("header", _forged({"jku": "https://evil.example"})),
    ("header", _forged({"crit": ["exp"]})),
    ("chain", _forged({"x5c": None})),
    ("chain", _forged({"x5c": []})),
    ("chain", _forged({"x5c": ["AAAA"]})),
    ("credential-type", _forged(vct="urn:citycard:dortmund:other:1")),
    ("credential-type", _forged(vct=None)),
    ("credential-type", _forged(vct=7)),
    ("issuer", _forged(iss="https://elsewhere.example")),
    ("issuer", _forged(iss=None)),
    ("expired", _forged(exp=lambda scene: scene.now - 1)),
    ("expired", _forged(exp=lambda scene: scene.now)),
    ("claims", _forged(exp="tomorrow")),
    ("claims", _forged(exp=True)),
    ("not-yet-valid", _forged(nbf=lambda scene: scene.now + DAY)),
    ("not-yet-valid", _forged(iat=lambda scene: scene.now + DAY)),
    ("hash-algorithm", _forged(_sd_alg="md5")),
    ("digests-malformed", _forged(_sd="text")),
    ("holder-key", _forged(cnf=None)),
    ("holder-key", _forged(cnf={"jwk": {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}})),
    ("holder-key", _forged(cnf={"kid": "1"})),
    ("binding-signature", _forged(cnf=lambda _: {"jwk": public_jwk(new_key())})),
    ("status", _forged(status={"status_list": {"idx": -1, "uri": "https://karte.example/status/1"}})),
    ("status", _forged(status={"status_list": {"idx": "7", "uri": "https://karte.example/status/1"}})),
    ("status", _forged(status={})),
    ("status-unknown", _forged(status=None)),
    ("status-unknown", _forged(status={"status_list": {"idx": 7, "uri": "https://evil.example/status/1"}})),
    (
        "status-unknown",
        _forged(status={"status_list": {"idx": 7, "uri": "https://karte.example/status/999"}}),
    ),
    (
        "status-unknown",
        _forged(status={"status_list": {"idx": 10**9, "uri": "https://karte.example/status/1"}}),
    ),
]


@pytest.mark.parametrize(("reason", "forge"), FORGED, ids=[f"{at}-{one[0]}" for at, one in enumerate(FORGED)])
async def test_vp_6_even_the_citys_own_signature_does_not_excuse(
    scene: Scene, reason: str, forge: Callable[[Scene], Awaitable[str]]
) -> None:
    posted = await scene.wallet.send(scene.request, await forge(scene))
    assert posted.status_code == 400
    assert posted.json()["error"] == "invalid_request"
    assert await told(scene) == ("refused", reason)


# ---- whose signature it is ----


async def test_vp_6_a_foreign_authoritys_credential_is_not_ours(scene: Scene, jobcenter: Authority) -> None:
    """Whoever may attest benefits may not issue the city's card."""
    claims, disclosures = scene.holder.opened()
    scene.wallet.credential = "~".join([jobcenter.sign("dc+sd-jwt", claims), *disclosures, ""])
    assert (await scene.wallet.send(scene.request, scene.good())).status_code == 400
    assert await told(scene) == ("refused", "unknown-key")


async def test_vp_6_a_leaf_that_signed_itself_is_refused(scene: Scene) -> None:
    forger = Authority(scene.counter.city.clock.now(), "Self")
    claims, disclosures = scene.holder.opened()
    own = [base64.b64encode(forger.root.public_bytes(_der())).decode()]
    token = forger.sign("dc+sd-jwt", claims, key=forger.root_key, x5c=own)
    scene.wallet.credential = "~".join([token, *disclosures, ""])
    await scene.wallet.send(scene.request, scene.good())
    assert await told(scene) == ("refused", "chain")


async def test_vp_6_the_anchor_does_not_belong_into_the_chain(scene: Scene) -> None:
    header = json.loads(unb(scene.wallet.credential.split(".")[0]))
    anchor = base64.b64encode(scene.counter.house.anchor.public_bytes(_der())).decode()
    await scene.wallet.send(scene.request, await scene.forged(header={"x5c": [*header["x5c"], anchor]}))
    assert await told(scene) == ("refused", "chain")


async def test_vp_6_a_signature_must_hold(scene: Scene) -> None:
    issued, *rest = scene.good().split("~")
    head, payload, signature = issued.split(".")
    broken = json.loads(unb(payload)) | {"iat": 1}
    changed = "~".join([f"{head}.{json64(broken)}.{signature}", *rest])
    sd_jwt = changed.rpartition("~")[0] + "~"
    await scene.wallet.send(scene.request, scene.wallet.bind(scene.request, sd_jwt))
    assert await told(scene) == ("refused", "signature")


def _der() -> Any:
    from cryptography.hazmat.primitives.serialization import Encoding

    return Encoding.DER


# ---- the holder's proof ----

BOUND: list[tuple[str, dict[str, Any]]] = [
    ("binding-audience", {"aud": "https://evil.example"}),
    ("binding-audience", {"aud": None}),
    ("binding-nonce", {"nonce": "another"}),
    ("binding-nonce", {"nonce": None}),
    ("binding-hash", {"sd_hash": "AAAA"}),
    ("binding-hash", {"sd_hash": None}),
    ("binding-time", {"iat": None}),
    ("binding-time", {"iat": 1}),
    ("binding-time", {"iat": "now"}),
    ("binding-type", {"header": {"typ": "JWT"}}),
    ("binding-type", {"header": {"typ": None}}),
    ("binding-malformed", {"header": {"jwk": {"kty": "EC"}}}),
]


@pytest.mark.parametrize(("reason", "changes"), BOUND, ids=[f"{at}-{one[0]}" for at, one in enumerate(BOUND)])
async def test_vp_6_the_proof_is_for_this_request_and_no_other(
    scene: Scene, reason: str, changes: dict[str, Any]
) -> None:
    await scene.wallet.send(scene.request, scene.wallet.show(scene.request, **changes))
    assert await told(scene) == ("refused", reason)


async def test_vp_6_the_audience_is_the_whole_client_id_with_its_prefix(scene: Scene) -> None:
    bare = scene.request.claims["client_id"].partition(":")[2]
    await scene.wallet.send(scene.request, scene.wallet.show(scene.request, aud=bare))
    assert await told(scene) == ("refused", "binding-audience")


@pytest.mark.parametrize("minutes", [-6, 2])
async def test_vp_6_a_proof_of_another_time_is_refused(scene: Scene, minutes: int) -> None:
    iat = scene.now + 60 * minutes
    await scene.wallet.send(scene.request, scene.wallet.show(scene.request, iat=iat))
    assert await told(scene) == ("refused", "binding-time")


async def test_vp_6_without_a_proof_nothing_is_accepted(scene: Scene) -> None:
    bare = scene.good().rpartition("~")[0] + "~"
    await scene.wallet.send(scene.request, bare)
    assert await told(scene) == ("refused", "binding-missing")


async def test_vp_6_a_proof_by_somebody_elses_key_is_refused(scene: Scene) -> None:
    await scene.wallet.send(scene.request, scene.wallet.show(scene.request, key=new_key()))
    assert await told(scene) == ("refused", "binding-signature")


async def test_vp_6_a_proof_without_a_signature_is_refused(scene: Scene) -> None:
    sd_jwt = scene.good().rpartition("~")[0] + "~"
    claims = {
        "iat": scene.now,
        "aud": scene.request.claims["client_id"],
        "nonce": scene.request.claims["nonce"],
        "sd_hash": digest(sd_jwt),
    }
    unsigned = f"{json64({'alg': 'none', 'typ': 'kb+jwt'})}.{json64(claims)}."
    await scene.wallet.send(scene.request, sd_jwt + unsigned)
    assert await told(scene) == ("refused", "binding-algorithm")


async def test_vp_6_a_proof_for_fewer_disclosures_is_refused(scene: Scene) -> None:
    """Adding a disclosure after the holder signed breaks what was signed."""
    less, more = scene.good(), scene.wallet.show(scene.request, ["reduced", "given_name"])
    proof = less.rpartition("~")[2]
    await scene.wallet.send(scene.request, more.rpartition("~")[0] + "~" + proof)
    assert await told(scene) == ("refused", "binding-hash")


async def test_vp_6_a_presentation_for_another_request_is_refused(scene: Scene) -> None:
    other = await scene.wallet.open((await scene.counter.ask())["authorization_request"])
    await scene.wallet.send(scene.request, scene.wallet.show(other))
    assert await told(scene) == ("refused", "binding-nonce")


# ---- is it what was asked for ----


@pytest.mark.parametrize("names", [[], ["social_ticket"], ["given_name", "family_name"]])
async def test_vp_6_the_query_must_be_met(scene: Scene, names: list[str]) -> None:
    await scene.wallet.send(scene.request, scene.wallet.show(scene.request, names))
    assert await told(scene) == ("refused", "query-claim")


async def test_vp_6_a_tariff_that_is_false_is_none(scene: Scene) -> None:
    hidden = json64(["salt", "reduced", False])
    claims, _ = scene.holder.opened()
    token = await scene.holder.sign_as_city(claims | {"tariff": {"_sd": [digest(hidden)]}})
    await scene.wallet.send(scene.request, scene.wallet.bind(scene.request, f"{token}~{hidden}~"))
    assert await told(scene) == ("refused", "query-claim")


# ---- the status, last of all ----


@pytest.mark.parametrize(("status", "reason"), [(Status.INVALID, "revoked"), (Status.SUSPENDED, "suspended")])
async def test_vp_6_what_was_revoked_after_the_question_is_refused(
    scene: Scene, new_holder: Holder, status: Status, reason: str
) -> None:
    scene.holder = new_holder
    await new_holder.mark(status)
    posted = await scene.wallet.send(scene.request, scene.good())
    assert posted.status_code == 400
    assert await told(scene) == ("refused", reason)


async def test_vp_6_of_a_revoked_credential_a_broken_proof_is_said_first(
    scene: Scene, new_holder: Holder
) -> None:
    scene.holder = new_holder
    await new_holder.mark(Status.INVALID)
    await scene.wallet.send(scene.request, scene.wallet.show(scene.request, nonce="another"))
    assert await told(scene) == ("refused", "binding-nonce")


async def test_vp_6_a_credential_that_we_never_made_is_refused_and_raises_an_alarm(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever has the city's key still has no place in its lists."""
    place = scene.embedded("status")["status_list"]
    free = {"status_list": {"idx": (place["idx"] + 1) % 4096, "uri": place["uri"]}}
    await scene.wallet.send(scene.request, await scene.forged(status=free))
    status, reason = await told(scene)
    assert status == "refused"
    # The next place may be a decoy, which looks revoked.
    if reason not in {"revoked", "suspended"}:
        assert reason == "not-on-record"
        assert "credential_not_on_record" in capsys.readouterr().out


# ---- the envelope ----


async def test_vp_6_an_unencrypted_answer_is_refused_and_uses_nothing_up(scene: Scene) -> None:
    answer = scene.wallet.answer(scene.request, scene.good())
    for form in (
        {"vp_token": json.dumps(answer["vp_token"]), "state": answer["state"]},
        {"response": json.dumps(answer)},
        {"response": f"{json64({'alg': 'none'})}.{json64(answer)}."},
        {"response": scene.good()},
        {},
        {"response": "x", "error": "access_denied"},
    ):
        posted = await scene.wallet.post(scene.request, **form)
        assert posted.status_code == 400
        assert posted.json()["error"] == "invalid_request"
    assert await told(scene) == ("waiting", None)
    assert (await scene.wallet.send(scene.request, scene.good())).status_code == 200


@pytest.mark.parametrize(
    ("alg", "enc"),
    [
        ("ECDH-ES", "A128CBC-HS256"),
        ("ECDH-ES", "A192GCM"),
        ("ECDH-ES+A128KW", "A128GCM"),
        ("ECDH-ES+A256KW", "A256GCM"),
    ],
)
async def test_vp_6_an_envelope_of_another_kind_is_refused(scene: Scene, alg: str, enc: str) -> None:
    answer = scene.wallet.answer(scene.request, scene.good())
    key = ECKey.import_key(
        {k: v for k, v in scene.request.encryption_key.items() if k in {"kty", "crv", "x", "y"}}
    )
    head = {"alg": alg, "enc": enc, "kid": scene.request.encryption_key["kid"]}
    sealed = jwe.encrypt_compact(head, json.dumps(answer).encode(), key, algorithms=[alg, enc])
    assert (await scene.wallet.post(scene.request, response=sealed)).status_code == 400
    assert await told(scene) == ("waiting", None)


async def test_vp_6_an_envelope_under_a_shared_secret_or_packed_or_for_another_key_is_refused(
    scene: Scene,
) -> None:
    answer = json.dumps(scene.wallet.answer(scene.request, scene.good())).encode()
    kid = scene.request.encryption_key["kid"]
    secret = OctKey.import_key(b"0" * 16)
    direct = jwe.encrypt_compact(
        {"alg": "dir", "enc": "A128GCM", "kid": kid}, answer, secret, algorithms=["dir", "A128GCM"]
    )
    packed = scene.wallet.close(scene.request, answer, zip="DEF")
    unnamed = scene.wallet.close(scene.request, answer, kid=None)
    renamed = scene.wallet.close(scene.request, answer, kid="other")
    other = await scene.wallet.open((await scene.counter.ask())["authorization_request"])
    foreign = scene.wallet.close(other, answer, kid=kid)
    cut = scene.wallet.close(scene.request, answer)[:-4]
    for sealed in (direct, packed, unnamed, renamed, foreign, cut):
        assert (await scene.wallet.post(scene.request, response=sealed)).status_code == 400
    assert await told(scene) == ("waiting", None)


async def test_vp_6_an_envelope_may_be_large_and_say_more_than_we_know(scene: Scene) -> None:
    """RFC 7516 section 4: header parameters that are not known are passed over, `crit` apart."""
    answer = scene.wallet.answer(scene.request, scene.good()) | {"filling": "a" * 100_000}
    key = {name: scene.request.encryption_key[name] for name in ("kty", "crv", "x", "y")}

    def sealed(**more: object) -> str:
        head = {"alg": "ECDH-ES", "enc": "A128GCM", "kid": scene.request.encryption_key["kid"], **more}
        closed = jwcrypto_jwe.JWE(json.dumps(answer).encode(), json.dumps(head))
        closed.add_recipient(jwcrypto_jwk.JWK(**key))
        text: str = closed.serialize(compact=True)
        return text

    critical = sealed(crit=["x-wallet"], **{"x-wallet": 1})
    assert (await scene.wallet.post(scene.request, response=critical)).status_code == 400
    assert await told(scene) == ("waiting", None)
    unknown = sealed(iat=1, x5t="abc", **{"x-wallet": {"a": [1]}})
    assert (await scene.wallet.post(scene.request, response=unknown)).status_code == 200


@pytest.mark.parametrize(
    "plain",
    [b"", b"[]", b"null", b"{", b'{"a": NaN}', b'{"state": 1, "state": 2}', b"[" * 100_000, b'{"a":' * 5_000],
)
async def test_vp_6_an_envelope_without_an_object_in_it_is_refused(scene: Scene, plain: bytes) -> None:
    sealed = scene.wallet.close(scene.request, plain)
    assert (await scene.wallet.post(scene.request, response=sealed)).status_code == 400
    assert await told(scene) == ("waiting", None)


async def test_vp_6_a_flood_is_refused_before_it_is_read(scene: Scene) -> None:
    posted = await scene.wallet.post(scene.request, response="A" * 300_000)
    assert posted.status_code == 413
    twice = b"response=a&response=b"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    posted = await scene.wallet.http.post(scene.request.claims["response_uri"], content=twice, headers=form)
    assert posted.status_code == 400
    posted = await scene.wallet.http.post(scene.request.claims["response_uri"], json={"response": "a"})
    assert posted.status_code == 400
    assert await told(scene) == ("waiting", None)


async def test_vp_6_nothing_that_was_shown_is_kept_or_told(scene: Scene) -> None:
    """The outcome only: sealed for the asker, without the claims; and gone after a quarter of an hour."""
    everything = ["reduced", "given_name", "family_name", "birthdate"]
    await scene.wallet.send(scene.request, scene.wallet.show(scene.request, everything))
    for row in await scene.counter.rows():
        kept = repr(row.model_dump()).encode() + b"".join(
            value for value in row.model_dump().values() if isinstance(value, bytes)
        )
        for word in (
            b"M\xc3\xbcller",
            b"1961-03-07",
            b"date(1961",
            b"reduced",
            scene.wallet.credential[:40].encode(),
        ):
            assert word not in kept
    scene.counter.city.clock.forward(timedelta(minutes=16))
    answer = await scene.counter.city.client.get(scene.asked["status_url"])
    assert answer.status_code == 404
    await scene.counter.city.run_jobs()
    assert await scene.counter.row(scene.asked) is None
