"""An issuer and a holder of SD-JWTs that can also do what honest ones never do."""

import base64
import hashlib
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml
from cryptography.hazmat.primitives.asymmetric import ec

from core import p256
from core.jose import Key
from issuers.credentials.sdjwt import issue, vc
from issuers.credentials.sdjwt.issue import Disclosable
from issuers.credentials.sdjwt.keybinding import Binding
from issuers.credentials.sdjwt.verify import Expected, KnownKeys, Refused, verify
from issuers.status.rules import Reference
from tests.issuers.credentials import chains

DATA = Path(__file__).parents[3] / "data"
NOON = datetime(2026, 9, 16, 10, tzinfo=UTC)
ISSUER = ec.derive_private_key(20_260_916, ec.SECP256R1())
HOLDER = ec.derive_private_key(61_902_620, ec.SECP256R1())
STRANGER = ec.derive_private_key(11_111_111, ec.SECP256R1())
CHAIN = chains.x5c(chains.leaf(ISSUER), chains.middle())
TRUST = KnownKeys([Key(ISSUER.public_key())])
VCT = "urn:de.musterstadt:karte:1"
ISS = "https://karte.musterstadt.example"
ASKED = Binding("x509_hash:Uvo3HtuIxuhC92rShpgqcT3YXwrqRxWEviRiA0OZszk", "n-0S6_WzA2Mj-8yvgKnWzQ")
EXPECTED = Expected(ASKED, vcts=[VCT])
STATUS = {"status_list": {"idx": 4711, "uri": "https://karte.musterstadt.example/status/7"}}


def b64(value):
    raw = value if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64(text):
    return json.loads(base64.urlsafe_b64decode(text + "==="))


def token(header, claims, key=ISSUER):
    """A token whose header and claims are exactly these bytes or values, with a signature that holds."""
    signed = f"{b64(header)}.{b64(claims)}"
    return f"{signed}.{b64(p256.sign(key, signed.encode()))}"


def digest(disclosure, hashed=hashlib.sha256):
    return b64(hashed(disclosure.encode()).digest())


def disclosure(*contents):
    return b64(list(contents))


def plain_claims(**changes):
    """What stands in the open in a sound credential; None takes a claim away."""
    claims = {
        "iss": ISS,
        "vct": VCT,
        "iat": int(NOON.timestamp()) - 36_000,
        "exp": int(NOON.timestamp()) + 864_000,
        "cnf": {"jwk": vc.holder_jwk(HOLDER.public_key())},
        "status": STATUS,
        "_sd_alg": "sha-256",
    } | changes
    return {name: value for name, value in claims.items() if value is not None}


def issued(claims, disclosures=(), *, key=ISSUER, **header):
    """An SD-JWT with exactly these claims and disclosures, rules or no rules."""
    whole = {"alg": "ES256", "typ": "dc+sd-jwt"} | header
    whole = {name: value for name, value in whole.items() if value is not None}
    return "~".join([token(whole, claims, key), *disclosures, ""])


def bind(sd_jwt, *, key=HOLDER, header=None, hashed=hashlib.sha256, asked=ASKED, at=NOON, **changes):
    """The presentation with the holder's token; None takes a claim or a header parameter away."""
    whole = {"alg": "ES256", "typ": "kb+jwt"} | (header or {})
    claims = {
        "iat": int(at.timestamp()),
        "aud": asked.audience,
        "nonce": asked.nonce,
        "sd_hash": digest(sd_jwt, hashed),
    } | changes
    return sd_jwt + token(
        {name: value for name, value in whole.items() if value is not None},
        {name: value for name, value in claims.items() if value is not None},
        key,
    )


def a_credential(claims=None, **changes):
    """A credential as the house issues it, with the holder's key."""
    kind = vc.prepare(ISS, VCT, CHAIN, changes.pop("decoys", issue.NO_DECOYS))
    arguments = {
        "holder": HOLDER.public_key(),
        "status": Reference("https://karte.musterstadt.example/status/7", 4711),
        "now": NOON,
        "ends": NOON + timedelta(days=10),
        "sign": lambda data: p256.sign(ISSUER, data),
    } | changes
    if claims is None:
        claims = {"given_name": Disclosable("Zoë"), "tariff": Disclosable("reduced"), "city": "Musterstadt"}
    return vc.issue(kind, claims, **arguments)


def parts_of(sd_jwt):
    """Header, payload and disclosures of an SD-JWT, read without any of the house's code."""
    first, *disclosures = sd_jwt.split("~")
    header, payload, _signature = first.split(".")
    return unb64(header), unb64(payload), list(disclosures[:-1])


def choose(sd_jwt, wish):
    """The SD-JWT with only those disclosures that the wish names (True, or an object or list of wishes)."""
    first, *disclosures = sd_jwt.split("~")
    closed = {digest(one): one for one in disclosures if one}
    chosen = []

    def look(value, wish):
        if isinstance(value, dict):
            for one in value.get("_sd", []):
                if one in closed:
                    _salt, name, inner = unb64(closed[one])
                    if isinstance(wish, dict) and wish.get(name):
                        chosen.append(closed[one])
                        look(inner, wish[name])
            for name, inner in value.items():
                if name != "_sd":
                    look(inner, wish.get(name) if isinstance(wish, dict) else None)
        elif isinstance(value, list):
            for at, inner in enumerate(value):
                wanted = wish[at] if isinstance(wish, list) and at < len(wish) else None
                if isinstance(inner, dict) and "..." in inner:
                    if inner["..."] in closed and wanted:
                        chosen.append(closed[inner["..."]])
                        look(unb64(closed[inner["..."]])[1], wanted)
                else:
                    look(inner, wanted)

    look(unb64(first.split(".")[1]), wish)
    return "~".join([first, *chosen, ""])


def reason(presentation, expected=EXPECTED, trust=TRUST, now=NOON):
    """Why it is refused; None where it is accepted."""
    answer = verify(presentation, trust, expected, now)
    return answer.reason if isinstance(answer, Refused) else None


# ---- published examples ----


class _Marked(yaml.SafeLoader):
    pass


class _Name(str):
    """A key that is marked as disclosable."""

    __slots__ = ()


def _mark(loader, node):
    match node:
        case yaml.ScalarNode():
            tag = loader.resolve(yaml.ScalarNode, node.value, (node.style is None, node.style is not None))
            plain = yaml.ScalarNode(tag, node.value, node.start_mark, node.end_mark, node.style)
            return Disclosable(loader.construct_object(plain))
        case yaml.SequenceNode():
            return Disclosable(loader.construct_sequence(node, deep=True))
        case _:
            return Disclosable(loader.construct_mapping(node, deep=True))


_Marked.add_constructor("!sd", _mark)


def _settle(value):
    """A marked key means that its value is disclosable; a marked element is so itself."""
    if isinstance(value, Disclosable):
        return Disclosable(_settle(value.value))
    if isinstance(value, dict):
        return {
            (name.value if isinstance(name, Disclosable) else name): (
                Disclosable(_settle(inner)) if isinstance(name, Disclosable) else _settle(inner)
            )
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [_settle(inner) for inner in value]
    return value


def specification(folder):
    """A published specification; `!sd` becomes Disclosable in the claims, and is dropped elsewhere."""
    text = (folder / "specification.yml").read_text(encoding="utf-8")
    read = yaml.load(text, _Marked)
    return read | {"user_claims": _settle(read["user_claims"])}


def text_of(path):
    """A published token, which is wrapped for print."""
    return re.sub(r"\s+", "", path.read_text(encoding="utf-8"))


def json_of(path):
    """A published document in JSON serialization, whose texts are wrapped for print."""
    return re.sub(r"\n\s*", "", path.read_text(encoding="utf-8"))


def private_key(members):
    """A published private key."""
    return ec.derive_private_key(
        int.from_bytes(base64.urlsafe_b64decode(members["d"] + "=="), "big"), ec.SECP256R1()
    )
