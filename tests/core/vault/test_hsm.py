"""A vault whose keys are in a machine: what it promises, with a token of SoftHSM2 and with a machine that falls silent."""

import os
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from core import p256
from core.errors import Unavailable
from core.settings import Mode, Settings
from core.vault import (
    HsmVault,
    KeyUse,
    UnknownKey,
    Vault,
    VaultDamaged,
    VaultMissing,
    VaultSilent,
    WrongUse,
    apart,
    found_vault,
    open_sealed,
    open_vault,
    seal,
)
from tests.machines import PretendMachine, Token, make_token

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
ROOT = Path(__file__).parents[3]


@pytest.fixture
def token(tmp_path, monkeypatch):
    made = make_token(tmp_path / "hsm", monkeypatch)
    yield made
    import pkcs11

    pkcs11.unload(str(made.module))


def _reach(token: Token):
    from core.vault.pkcs11 import Pkcs11Machine

    return Pkcs11Machine.reaching(token.module, token.label, token.pin)


@pytest.fixture(params=["pretended", "softhsm"])
def vault(request, tmp_path):
    """The same promises for a machine in memory and for a real PKCS#11 library."""
    if request.param == "pretended":
        reach, limit = PretendMachine().reach, 1.0
    else:
        reach, limit = _reach(request.getfixturevalue("token")), 10.0
    vault = HsmVault.found(tmp_path / "vault.json", reach, limit=limit, pulse=None)
    yield vault
    vault.close()


def test_it_is_a_vault_like_the_others(vault):
    assert isinstance(vault, Vault)


def test_what_it_signs_holds_and_has_low_s(vault):
    key = vault.create(KeyUse.CARD, NOON)
    for number in range(8):
        data = b"data %d" % number
        signature = vault.signer(key.key_id, KeyUse.CARD).sign(data)
        assert p256.verify(key.public_key, data, signature)
        assert p256.is_low_s(signature)


def test_a_key_has_name_use_and_age(vault):
    first = vault.create(KeyUse.CARD, NOON)
    second = vault.create(KeyUse.CARD, NOON + timedelta(days=1))
    vault.create(KeyUse.STATUS_LIST, NOON)
    vault.look()
    assert [key.key_id for key in vault.keys(KeyUse.CARD)] == [first.key_id, second.key_id]
    assert first.kid == p256.kid_of(first.public_key)
    assert vault.keys(KeyUse.CARD)[1].created_at == NOON + timedelta(days=1)
    assert len(vault.keys()) == 3


def test_a_key_signs_nothing_but_what_it_is_for(vault):
    key = vault.create(KeyUse.CARD, NOON)
    with pytest.raises(WrongUse):
        vault.signer(key.key_id, KeyUse.PRINTED)


def test_a_use_gets_one_key_and_keeps_it(vault):
    first = vault.ensure(KeyUse.CARD, NOON)
    assert vault.ensure(KeyUse.CARD, NOON + timedelta(days=9)) == first


def test_a_key_from_elsewhere_is_taken_in_once(vault):
    private_key = ec.generate_private_key(ec.SECP256R1())
    key = vault.adopt(KeyUse.CREDENTIAL, private_key, NOON)
    assert vault.adopt(KeyUse.CREDENTIAL, private_key, NOON + timedelta(days=1)) == key
    assert p256.verify(private_key.public_key(), b"data", vault.signer(key.key_id).sign(b"data"))
    with pytest.raises(WrongUse):
        vault.adopt(KeyUse.CARD, private_key, NOON)


def test_a_key_that_is_destroyed_signs_no_more(vault):
    key = vault.create(KeyUse.CARD, NOON)
    signer = vault.signer(key.key_id)
    signer.sign(b"before")
    vault.destroy(key.key_id)
    with pytest.raises(UnknownKey):
        vault.signer(key.key_id)
    with pytest.raises(UnknownKey):
        signer.sign(b"after")
    with pytest.raises(UnknownKey):
        vault.destroy(key.key_id)
    with pytest.raises(UnknownKey):
        vault.destroy("no key")
    assert not vault.silent  # a question for a key that is not there is no failure of the machine


def test_secrets_are_the_same_after_the_next_start_and_differ_by_label(vault, tmp_path):
    secret = vault.secret("a")
    assert len(secret) == 32
    assert vault.secret("b") != secret
    sealed = seal(secret, b"a name", b"row 1")
    vault.close()
    again = HsmVault(tmp_path / "vault.json", vault._hands._reach, limit=10, pulse=None)
    assert open_sealed(again.secret("a"), sealed, b"row 1") == b"a name"
    again.close()


def test_what_one_instance_makes_another_knows(vault, tmp_path):
    other = HsmVault(tmp_path / "vault.json", vault._hands._reach, limit=10, pulse=None)
    key = vault.create(KeyUse.CARD, NOON)
    assert p256.verify(key.public_key, b"data", other.signer(key.key_id, KeyUse.CARD).sign(b"data"))
    assert other.ensure(KeyUse.CARD, NOON) == key
    other.destroy(key.key_id)
    with pytest.raises(UnknownKey):
        vault.signer(key.key_id).sign(b"data")
    vault.look()
    assert vault.keys() == ()
    other.close()


# ---- what only a real token can show ----


def test_no_private_key_leaves_the_token(token, tmp_path):
    from pkcs11 import Attribute, ObjectClass
    from pkcs11.exceptions import AttributeSensitive

    vault = HsmVault.found(tmp_path / "vault.json", _reach(token), limit=10, pulse=None)
    vault.create(KeyUse.CARD, NOON)
    vault.adopt(KeyUse.CREDENTIAL, ec.generate_private_key(ec.SECP256R1()), NOON)

    def tried(machine):
        shown = []
        for kind in (ObjectClass.PRIVATE_KEY, ObjectClass.SECRET_KEY):
            for held in machine._session.get_objects({Attribute.CLASS: kind}):
                assert held[Attribute.EXTRACTABLE] is False
                assert held[Attribute.SENSITIVE] is True
                with pytest.raises(AttributeSensitive):
                    shown.append(held[Attribute.VALUE])
                shown.append(kind)
        return shown

    assert len(vault._hands.ask(tried)) == 3  # two keys that sign and the one that seals
    vault.close()


def test_the_root_of_another_token_is_not_opened(token, tmp_path):
    HsmVault.found(tmp_path / "vault.json", PretendMachine().reach, pulse=None).close()
    with pytest.raises((VaultDamaged, VaultSilent)):
        HsmVault(tmp_path / "vault.json", _reach(token), limit=10, pulse=None)


def test_a_wrong_pin_or_a_missing_token_opens_nothing(token, tmp_path):
    found = {"path": tmp_path / "vault.json", "limit": 10, "pulse": None}
    with pytest.raises(VaultSilent):
        HsmVault.found(reach=_reach(Token(token.module, pin="9999")), **found)
    with pytest.raises(VaultMissing):
        HsmVault.found(reach=_reach(Token(token.module, label="another")), **found)
    assert not (tmp_path / "vault.json").exists()


def test_the_settings_name_the_machine_and_production_makes_no_new_root(token, tmp_path):
    settings = Settings(
        mode=Mode.PRODUCTION,
        vault_file=tmp_path / "root.json",
        vault_secret="a secret of our own here",
        hsm_module=token.module,
        hsm_pin=token.pin,
        hsm_limit=10,
        _env_file=None,
    )
    with pytest.raises(VaultMissing):
        open_vault(settings)
    found_vault(settings)
    vault = open_vault(settings)
    assert isinstance(vault, HsmVault)
    key = vault.ensure(KeyUse.CARD, NOON)
    assert p256.verify(key.public_key, b"data", vault.signer(key.key_id).sign(b"data"))
    assert token.pin not in repr(settings)
    vault.close()


def test_a_process_that_used_a_token_ends_by_itself(token, tmp_path):
    script = (
        "import sys; from pathlib import Path; from datetime import datetime, UTC\n"
        "from core.vault import HsmVault, KeyUse\nfrom core.vault.pkcs11 import Pkcs11Machine\n"
        f"reach = Pkcs11Machine.reaching(Path({str(token.module)!r}), 'citycard', {token.pin!r})\n"
        f"vault = HsmVault.found(Path({str(tmp_path / 'other.json')!r}), reach, limit=10, pulse=0.01)\n"
        "key = vault.create(KeyUse.CARD, datetime(2026, 1, 5, tzinfo=UTC))\n"
        "vault.signer(key.key_id).sign(b'x')\nprint(key.key_id)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ},
        capture_output=True,
        check=False,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.strip()) == 8


# ---- silence ----


@pytest.fixture
def machine():
    machine = PretendMachine()
    yield machine
    machine.recover()


@pytest.fixture
def held(machine, tmp_path):
    vault = HsmVault.found(tmp_path / "vault.json", machine.reach, limit=0.15, pulse=None)
    yield vault
    machine.recover()
    vault.close()


def test_a_machine_that_hangs_costs_one_caller_the_limit_and_the_others_nothing(held, machine):
    key = held.create(KeyUse.CARD, NOON)
    signer = held.signer(key.key_id)
    machine.hang()
    begun = time.monotonic()
    with pytest.raises(VaultSilent):
        signer.sign(b"data")
    assert time.monotonic() - begun < 1
    asked = machine.asked
    begun = time.monotonic()
    for _ in range(200):
        with pytest.raises(VaultSilent):
            signer.sign(b"data")
        with pytest.raises(VaultSilent):
            held.signer(key.key_id)
    assert time.monotonic() - begun < 0.15  # all of them together less than one limit
    assert machine.asked == asked


def test_what_needs_no_signature_goes_on_while_the_machine_is_gone(held, machine):
    key = held.create(KeyUse.ACCESS_TOKEN, NOON)
    secret = held.secret("sealing")
    machine.fail()
    with pytest.raises(VaultSilent):
        held.signer(key.key_id).sign(b"data")
    assert held.secret("sealing") == secret
    assert len(held.secret("another")) == 32
    assert held.keys(KeyUse.ACCESS_TOKEN) == (key,)
    assert held.ensure(KeyUse.ACCESS_TOKEN, NOON) == key


def test_silence_is_told_as_out_of_reach_and_not_why(held, machine):
    machine.fail()
    with pytest.raises(Unavailable) as caught:
        held.create(KeyUse.CARD, NOON)
    assert not caught.value.detail
    assert "DeviceRemoved" in str(caught.value)  # for the operator


def test_the_machine_that_answers_again_is_used_again(held, machine):
    key = held.create(KeyUse.CARD, NOON)
    machine.fail()
    with pytest.raises(VaultSilent):
        held.signer(key.key_id).sign(b"data")
    with pytest.raises(VaultSilent):
        held.look()
    machine.recover()
    with pytest.raises(VaultSilent):  # nobody asks on the way; the look does
        held.signer(key.key_id)
    reached = machine.reached
    held.look()
    assert machine.reached == reached + 1  # a session from before the fall is worth nothing
    assert p256.verify(key.public_key, b"data", held.signer(key.key_id).sign(b"data"))


def test_the_pulse_notices_silence_and_its_end_by_itself(machine, tmp_path):
    vault = HsmVault.found(tmp_path / "vault.json", machine.reach, limit=0.1, pulse=0.02)
    machine.hang()
    _wait(lambda: vault.silent)
    machine.recover()
    _wait(lambda: not vault.silent)
    vault.close()


def test_a_slow_machine_makes_nobody_wait_longer_than_the_limit(held, machine):
    key = held.create(KeyUse.CARD, NOON)
    signer = held.signer(key.key_id)
    machine.hang()
    longest: list[float] = []

    def ask():
        begun = time.monotonic()
        with pytest.raises(VaultSilent):
            signer.sign(b"data")
        longest.append(time.monotonic() - begun)

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(longest) < 1
    machine.recover()
    held.look()
    asked = machine.asked
    time.sleep(0.05)
    assert machine.asked == asked  # what was given up is not done afterwards


async def test_others_go_on_while_one_waits_for_the_machine(held, machine):
    import anyio

    key = held.create(KeyUse.CARD, NOON)
    signer = held.signer(key.key_id)
    machine.hang()
    turns = 0

    async def sign():
        with pytest.raises(VaultSilent):
            await apart(signer, lambda: signer.sign(b"data"))
        tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sign)
        while True:
            await anyio.sleep(0.001)
            turns += 1
    assert turns > 20


def test_a_start_without_the_machine_says_so(held, machine, tmp_path):
    machine.fail()
    with pytest.raises(VaultSilent):
        HsmVault(tmp_path / "vault.json", machine.reach, limit=0.1, pulse=None)


def test_a_damaged_or_missing_root_opens_nothing(machine, tmp_path):
    path = tmp_path / "vault.json"
    with pytest.raises(VaultMissing):
        HsmVault(path, machine.reach, pulse=None)
    for text in ("", "[]", '{"format": "citycard-vault/1"}', '{"format": "citycard-hsm/1", "sealed": 1}'):
        path.write_text(text)
        with pytest.raises(VaultDamaged):
            HsmVault(path, machine.reach, pulse=None)


def _wait(true) -> None:
    until = time.monotonic() + 5
    while not true():
        assert time.monotonic() < until
        time.sleep(0.005)
