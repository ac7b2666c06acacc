import json
import os
import stat
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from core import p256
from core.errors import Unavailable, problem
from core.settings import DEFAULT_SECRET, Mode, Settings
from core.vault import (
    Cost,
    FileVault,
    KeyUse,
    MemoryVault,
    UnknownKey,
    VaultDamaged,
    VaultExposed,
    VaultMissing,
    WrongPassphrase,
    WrongUse,
    open_vault,
)

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
PASSPHRASE = "correct horse battery"
ROOT = Path(__file__).parents[3]
CHEAP = Cost(n=2**4, p=1)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keys" / "vault.json"


@pytest.fixture
def vault(path):
    return FileVault.found(path, PASSPHRASE, CHEAP)


@pytest.fixture(params=["file", "memory"])
def any_vault(request, path):
    return MemoryVault() if request.param == "memory" else FileVault.found(path, PASSPHRASE, CHEAP)


def test_a_key_that_was_made_signs(any_vault):
    info = any_vault.create(KeyUse.CARD, NOON)
    signer = any_vault.signer(info.key_id, KeyUse.CARD)
    assert signer.kid == info.kid == bytes.fromhex(info.key_id)
    assert p256.verify(info.public_key, b"card", signer.sign(b"card"))


def test_a_key_signs_nothing_but_what_it_is_for(any_vault):
    info = any_vault.create(KeyUse.STATUS_LIST, NOON)
    with pytest.raises(WrongUse):
        any_vault.signer(info.key_id, KeyUse.CARD)


def test_a_destroyed_key_is_gone(any_vault):
    info, other = any_vault.create(KeyUse.CARD, NOON), any_vault.create(KeyUse.CARD, NOON)
    any_vault.destroy(info.key_id)
    with pytest.raises(UnknownKey):
        any_vault.signer(info.key_id)
    with pytest.raises(UnknownKey):
        any_vault.destroy(info.key_id)
    assert any_vault.keys() == (other,)


def test_keys_are_told_oldest_first_and_by_use(any_vault):
    new = any_vault.create(KeyUse.CARD, NOON + timedelta(days=1))
    old = any_vault.create(KeyUse.CARD, NOON)
    other = any_vault.create(KeyUse.CHECKPOINT, NOON - timedelta(days=1))
    assert any_vault.keys(KeyUse.CARD) == (old, new)
    assert any_vault.keys() == (other, old, new)


def test_a_key_made_elsewhere_can_be_taken_in_again_and_again(any_vault):
    private_key = ec.generate_private_key(ec.SECP256R1())
    info = any_vault.adopt(KeyUse.CARD, private_key, NOON)
    assert any_vault.adopt(KeyUse.CARD, private_key, NOON + timedelta(days=1)) == info
    assert p256.verify(private_key.public_key(), b"x", any_vault.signer(info.key_id).sign(b"x"))


def test_a_key_is_never_taken_in_for_a_second_use(any_vault):
    private_key = ec.generate_private_key(ec.SECP256R1())
    any_vault.adopt(KeyUse.CARD, private_key, NOON)
    with pytest.raises(WrongUse):
        any_vault.adopt(KeyUse.STATUS_LIST, private_key, NOON)


def test_a_key_of_another_curve_is_not_taken_in(any_vault):
    with pytest.raises(ValueError, match="P-256"):
        any_vault.adopt(KeyUse.CARD, ec.generate_private_key(ec.SECP384R1()), NOON)


def test_ensure_makes_the_first_key_and_then_finds_the_newest(any_vault):
    first = any_vault.ensure(KeyUse.CHECKPOINT, NOON)
    assert any_vault.ensure(KeyUse.CHECKPOINT, NOON + timedelta(days=1)) == first
    newer = any_vault.create(KeyUse.CHECKPOINT, NOON + timedelta(days=2))
    assert any_vault.ensure(KeyUse.CHECKPOINT, NOON) == newer


def test_secrets_differ_by_label_and_vault_and_stay_the_same(any_vault):
    secret = any_vault.secret("identity-keys/1")
    assert len(secret) == 32
    assert any_vault.secret("identity-keys/1") == secret
    assert any_vault.secret("identity-keys/2") != secret
    assert MemoryVault().secret("identity-keys/1") != secret


def test_a_key_without_a_zone_in_its_moment_is_not_made(any_vault):
    with pytest.raises(ValueError, match="time zone"):
        any_vault.create(KeyUse.CARD, NOON.replace(tzinfo=None))


def test_a_reopened_vault_holds_what_was_put_in(vault, path):
    info = vault.create(KeyUse.CARD, NOON)
    again = FileVault(path, PASSPHRASE)
    assert again.keys() == (info,)
    assert again.signer(info.key_id).sign(b"x") == vault.signer(info.key_id).sign(b"x")
    assert again.secret("a") == vault.secret("a")


def test_founding_a_vault_that_is_there_opens_it(vault, path):
    info = vault.create(KeyUse.CARD, NOON)
    assert FileVault.found(path, PASSPHRASE, CHEAP).keys() == (info,)


def test_a_wrong_passphrase_is_called_a_wrong_passphrase(vault, path):
    with pytest.raises(WrongPassphrase, match="does not open the vault") as refused:
        FileVault(path, "incorrect horse battery")
    assert "horse" not in str(refused.value)


def test_a_caller_never_reads_where_the_vault_is(tmp_path):
    with pytest.raises(VaultMissing, match="there is no vault at") as missing:
        FileVault(tmp_path / "nowhere", PASSPHRASE)
    error = missing.value
    answer = problem(error.status, error.slug, error.title, error.detail, error.headers, **error.extra)
    assert isinstance(error, Unavailable)
    assert "nowhere" not in json.dumps(answer.content)


def test_a_short_passphrase_makes_no_vault(path):
    with pytest.raises(ValueError, match="twelve"):
        FileVault.found(path, "elevenchars", CHEAP)
    assert not path.exists()


def test_the_file_is_its_owners_alone(vault, path):
    vault.create(KeyUse.CARD, NOON)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_vault_that_others_may_read_is_not_opened(vault, path, mode):
    path.chmod(mode)
    with pytest.raises(VaultExposed, match="0600"):
        FileVault(path, PASSPHRASE)


def test_nothing_secret_stands_in_the_file_or_in_a_representation(path):
    number = 0x1234567890ABCDEF1234567890ABCDEF1234567890ABCDEF1234567890ABCDEF
    vault = FileVault.found(path, PASSPHRASE, CHEAP)
    vault.adopt(KeyUse.CARD, ec.derive_private_key(number, ec.SECP256R1()), NOON)
    raw = path.read_bytes()
    assert PASSPHRASE.encode() not in raw
    assert set(json.loads(raw)) == {"format", "kdf", "n", "r", "p", "salt", "check", "sealed"}
    loaded = vars(vault)["_loaded"]
    shown = "".join(map(repr, (vault, loaded, loaded.lock, loaded.contents, vault.keys())))
    assert PASSPHRASE not in shown
    assert str(number) not in shown
    assert repr(loaded.contents.root) not in shown
    assert repr(loaded.lock.key) not in shown


def _meddle(path, **changes):
    head = json.loads(path.read_bytes())
    path.write_text(json.dumps(head | changes))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"format": "citycard-vault/2"}',
        b'{"format": "citycard-vault/1"}',
    ],
)
def test_a_file_that_is_no_vault_is_called_damaged(vault, path, raw):
    path.write_bytes(raw)
    with pytest.raises(VaultDamaged):
        FileVault(path, PASSPHRASE)


@pytest.mark.parametrize(
    "changes",
    [
        {"sealed": "AAAA"},
        {"sealed": ""},
        {"sealed": "*"},
        {"salt": None},
        {"n": 2**30},
        {"n": 15},
        {"n": "16"},
        {"r": 0},
        {"p": -1},
    ],
)
def test_a_changed_part_is_called_damaged_and_asks_for_no_memory(vault, path, changes):
    _meddle(path, **changes)
    with pytest.raises(VaultDamaged):
        FileVault(path, PASSPHRASE)


def test_a_single_changed_byte_of_the_contents_is_found(vault, path):
    sealed = json.loads(path.read_bytes())["sealed"]
    _meddle(path, sealed=sealed[:40] + ("A" if sealed[40] != "A" else "B") + sealed[41:])
    with pytest.raises(VaultDamaged, match="another hand"):
        FileVault(path, PASSPHRASE)


def test_a_change_by_another_process_is_seen_at_the_next_look(vault, path):
    other = FileVault(path, PASSPHRASE)
    info = other.create(KeyUse.CARD, NOON)
    assert vault.keys() == (info,)
    other.destroy(info.key_id)
    with pytest.raises(UnknownKey):
        vault.signer(info.key_id)


def test_signing_ends_when_the_file_has_gone_or_is_damaged(vault, path):
    info = vault.create(KeyUse.CARD, NOON)
    whole = path.read_bytes()
    path.write_bytes(b"damaged")
    with pytest.raises(VaultDamaged):
        vault.signer(info.key_id)
    path.unlink()
    with pytest.raises(VaultMissing):
        vault.signer(info.key_id)
    path.write_bytes(whole)
    path.chmod(0o600)
    assert vault.signer(info.key_id).kid == info.kid


def test_a_half_written_successor_is_never_taken(vault, path):
    info = vault.create(KeyUse.CARD, NOON)
    path.with_name(path.name + ".new").write_bytes(b"power cut here")
    assert FileVault(path, PASSPHRASE).keys() == (info,)
    vault.create(KeyUse.CARD, NOON)
    assert len(FileVault(path, PASSPHRASE).keys()) == 2
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["vault.json", "vault.json.lock"]


def test_the_passphrase_can_be_changed(vault, path):
    info, secret = vault.create(KeyUse.CARD, NOON), vault.secret("a")
    vault.change_passphrase("another long passphrase", CHEAP)
    assert vault.keys() == (info,)
    assert FileVault(path, "another long passphrase").secret("a") == secret
    with pytest.raises(WrongPassphrase):
        FileVault(path, PASSPHRASE)


def test_a_process_with_the_old_passphrase_stops_at_its_next_look(vault, path):
    other = FileVault(path, PASSPHRASE)
    vault.change_passphrase("another long passphrase", CHEAP)
    with pytest.raises(WrongPassphrase):
        other.keys()


def test_keys_made_by_many_threads_are_all_kept(vault, path):
    def make():
        mine = FileVault(path, PASSPHRASE)
        for _ in range(5):
            mine.create(KeyUse.CARD, NOON)

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(vault.keys()) == 20


ENSURING = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from core.vault import Cost, FileVault, KeyUse
vault = FileVault.found(Path(sys.argv[1]), sys.argv[2], Cost(n=2**4, p=1))
print(vault.ensure(KeyUse.CHECKPOINT, datetime(2026, 1, 5, tzinfo=UTC)).key_id)
"""


def test_processes_that_start_together_found_one_vault_and_make_one_key(path):
    started = [
        subprocess.Popen(
            [sys.executable, "-c", ENSURING, str(path), PASSPHRASE],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for _ in range(3)
    ]
    told = {process.communicate(timeout=60)[0] for process in started}
    assert [process.returncode for process in started] == [0, 0, 0]
    assert told == {FileVault(path, PASSPHRASE).keys()[0].key_id + "\n"}


def _settings(path, mode, secret="a secret of some length"):
    return Settings(mode=mode, vault_file=path, vault_secret=secret, _env_file=None)


def test_a_production_start_never_makes_a_vault_by_itself(path):
    with pytest.raises(VaultMissing):
        open_vault(_settings(path, Mode.PRODUCTION))
    assert not path.exists()


def test_the_demo_makes_its_vault_and_finds_it_again(path):
    info = open_vault(_settings(path, Mode.DEMO, DEFAULT_SECRET)).create(KeyUse.CARD, NOON)
    assert open_vault(_settings(path, Mode.DEMO, DEFAULT_SECRET)).keys() == (info,)
    assert os.access(path, os.R_OK)
