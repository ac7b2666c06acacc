"""The examples that OpenID4VCI 1.0 publishes: what we say has their shape, and what they show is judged as HAIP asks."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jwt

from issuers.credentials.x5c import Anchors, Break, Rule, read_chain
from issuers.openid.metadata import TYPE
from tests.issuers.openid.conftest import City
from tests.issuers.openid.wallet import PRE_AUTHORIZED, Wallet

EXAMPLES = Path(__file__).parents[2] / "data" / "vci"


def example(name: str) -> Any:
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    return json.loads(text) if name.endswith(".json") else "".join(text.split())


def names(value: Any, path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """Every path of names in a document; elements of lists share theirs."""
    match value:
        case dict():
            return {
                deeper
                for name, inner in value.items()
                for deeper in {(*path, name)} | names(inner, (*path, name))
            }
        case list():
            return {deeper for inner in value for deeper in names(inner, path)}
        case _:
            return set()


async def test_our_metadata_says_nothing_that_the_published_example_does_not_know(wallet: Wallet) -> None:
    published = example("credential_issuer_metadata_sd_jwt_long.json")
    (theirs,) = published.pop("credential_configurations_supported").values()
    ours = dict(wallet.issuer_metadata)
    (own,) = ours.pop("credential_configurations_supported").values()
    assert names(ours) <= names(published)
    known = names(theirs) | {
        ("proof_types_supported", "attestation"),
        ("proof_types_supported", "attestation", "proof_signing_alg_values_supported"),
        ("credential_metadata", "display", "description"),
        ("credential_metadata", "claims", "mandatory"),
    }
    assert names(own) <= known


def test_signed_metadata_has_the_published_type() -> None:
    assert jwt.get_unverified_header(example("credential_issuer_metadata_sd_jwt_jwt.txt"))["typ"] == TYPE


async def test_our_offer_has_the_shape_of_the_published_one(wallet: Wallet, city: City) -> None:
    offer = await wallet.read_offer((await city.offer()).link)
    del offer["grants"]["authorization_code"]
    assert names(offer) == names(example("credential_offer_multiple_credentials.json"))
    assert PRE_AUTHORIZED in offer["grants"]


def test_the_published_attestation_carries_its_anchor_and_haip_refuses_that() -> None:
    header = jwt.get_unverified_header(example("wallet_attestation.jwt.txt"))
    chain = read_chain(header["x5c"])
    assert not isinstance(chain, Break)
    found = Anchors(chain).trace(header["x5c"], datetime(2025, 8, 13, tzinfo=UTC))
    assert isinstance(found, Break)
    assert found.rule is Rule.LEAF_SELF_SIGNED
