import pytest

from wallet.devices.rules import Fault, proof_fault

EXPECTED = {"aud": "https://karte.example", "nonce": "n", "device": "d"}


@pytest.mark.parametrize(
    ("claims", "fault"),
    [
        (EXPECTED, None),
        (EXPECTED | {"iat": 1}, None),
        (EXPECTED | {"aud": "https://other.example"}, Fault.AUDIENCE),
        (EXPECTED | {"nonce": "m"}, Fault.NONCE),
        (EXPECTED | {"device": "e"}, Fault.CONTENT),
        (EXPECTED | {"more": 1}, Fault.CONTENT),
        ({"aud": "https://karte.example", "nonce": "n"}, Fault.CONTENT),
        ({}, Fault.AUDIENCE),
    ],
)
def test_a_proof_says_exactly_what_it_should(claims: dict[str, object], fault: Fault | None) -> None:
    assert proof_fault(claims, EXPECTED) is fault
