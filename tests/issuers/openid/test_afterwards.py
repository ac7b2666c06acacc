"""Lines 8, 17 and 18 of the issuer's checklist (HAIP 1.0, OpenID4VCI 1.0): what comes later, and what is heard back."""

from typing import Any

import pytest

from issuers.credentials.rules import Revocation
from tests.issuers.openid.conftest import City
from tests.issuers.openid.makers import waiting_person
from tests.issuers.openid.wallet import Wallet, error, new_key, public_jwk, read_sd_jwt

# ---- 8: deferred credentials, notifications ----


async def test_vci_8_a_deferred_credential_comes_when_it_is_decided(wallet: Wallet, city: City) -> None:
    person_id = await waiting_person(city)
    offered = await city.offer(person_id)
    await wallet.redeem(await wallet.read_offer(offered.link), offered.tx_code)
    key = new_key()
    transaction = (await wallet.fetch([key])).json()["transaction_id"]
    body = {"transaction_id": transaction}
    later = await wallet.behind_token("deferred_credential_endpoint", body)
    assert later.status_code == 202
    assert later.json()["transaction_id"] == transaction
    await city.give(person_id)
    answer = await wallet.behind_token("deferred_credential_endpoint", body)
    assert answer.status_code == 200, answer.text
    (credential,) = [one["credential"] for one in answer.json()["credentials"]]
    assert read_sd_jwt(credential)[1]["cnf"]["jwk"] == public_jwk(key)
    assert answer.json()["notification_id"]
    again = await wallet.behind_token("deferred_credential_endpoint", body)
    assert error(again) == "invalid_transaction_id"


async def test_vci_8_a_key_out_of_reach_defers_and_keeps_nothing(
    loaded: Wallet, city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core.vault import MemoryVault, VaultError

    signer = MemoryVault.signer

    def gone(self: MemoryVault, key_id: str, use: Any = None) -> Any:
        raise VaultError("the module does not answer")

    monkeypatch.setattr(MemoryVault, "signer", gone)
    answer = await loaded.fetch([new_key()])
    assert answer.status_code == 202
    assert answer.json()["interval"] <= 60
    assert await city.credentials() == []
    monkeypatch.setattr(MemoryVault, "signer", signer)
    got = await loaded.behind_token(
        "deferred_credential_endpoint", {"transaction_id": answer.json()["transaction_id"]}
    )
    assert got.status_code == 200


@pytest.mark.parametrize("event", ["credential_accepted", "credential_failure", "credential_deleted"])
async def test_vci_8_notifications_are_heard_and_idempotent(loaded: Wallet, city: City, event: str) -> None:
    notification = (await loaded.fetch([new_key()])).json()["notification_id"]
    for _ in range(2):
        answer = await loaded.behind_token(
            "notification_endpoint", {"notification_id": notification, "event": event}
        )
        assert answer.status_code == 204
        assert answer.content == b""
    (row,) = await city.credentials()
    deleted = event == "credential_deleted"
    assert row.revoked_for == (Revocation.DELETED if deleted else None)


# ---- 17: errors of the deferred endpoint ----


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"transaction_id": "made-up"}, "invalid_transaction_id"),
        ({}, "invalid_credential_request"),
        ({"transaction_id": 1}, "invalid_credential_request"),
        (
            {"transaction_id": "made-up", "credential_response_encryption": {}},
            "invalid_encryption_parameters",
        ),
    ],
)
async def test_vci_17_deferred_errors(loaded: Wallet, body: dict[str, Any], code: str) -> None:
    assert error(await loaded.behind_token("deferred_credential_endpoint", body)) == code


async def test_vci_17_another_wallets_transaction_is_not_known(wallet: Wallet, city: City) -> None:
    person_id = await waiting_person(city)
    offered = await city.offer(person_id)
    await wallet.redeem(await wallet.read_offer(offered.link), offered.tx_code)
    transaction = (await wallet.fetch([new_key()])).json()["transaction_id"]
    mine = await city.offer()
    await wallet.redeem(await wallet.read_offer(mine.link), mine.tx_code)
    answer = await wallet.behind_token("deferred_credential_endpoint", {"transaction_id": transaction})
    assert error(answer) == "invalid_transaction_id"


# ---- 18: errors of the notification endpoint ----


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"notification_id": "made-up", "event": "credential_accepted"}, "invalid_notification_id"),
        ({"notification_id": "made-up", "event": "credential_lost"}, "invalid_notification_request"),
        ({"notification_id": "made-up"}, "invalid_notification_request"),
        ({"event": "credential_accepted"}, "invalid_notification_request"),
        ({"notification_id": 1, "event": "credential_accepted"}, "invalid_notification_request"),
        ({"notification_id": "x", "event": ["credential_accepted"]}, "invalid_notification_request"),
        ({"notification_id": "x", "event": {}}, "invalid_notification_request"),
        (
            {"notification_id": "x", "event": "credential_failure", "event_description": "voll ä"},
            "invalid_notification_request",
        ),
    ],
)
async def test_vci_18_notification_errors(loaded: Wallet, body: dict[str, Any], code: str) -> None:
    assert error(await loaded.behind_token("notification_endpoint", body)) == code


async def test_vci_18_another_wallets_credentials_are_not_known(loaded: Wallet, city: City) -> None:
    notification = (await loaded.fetch([new_key()])).json()["notification_id"]
    other = await city.offer(await city.newcomer(tariffs=("reduced",)))
    await loaded.redeem(await loaded.read_offer(other.link), other.tx_code)
    answer = await loaded.behind_token(
        "notification_endpoint", {"notification_id": notification, "event": "credential_deleted"}
    )
    assert error(answer) == "invalid_notification_id"
