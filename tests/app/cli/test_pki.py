"""Certificates by hand: a development authority, a request for a real one, and what is wrong with a chain."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from app.cli.pki import MENDING, pki
from core.settings import Mode, Settings
from core.vault import FileVault, KeyUse, open_vault
from issuers.authorities.certificates import Purpose, check_files
from issuers.authorities.requests import certificate_request
from issuers.credentials.x5c import Rule
from tests.makers import make_signer

URL = "https://karte.example"
SECRET = "a secret for this test"


def run(*words: object) -> Result:
    return CliRunner().invoke(pki, [str(word) for word in words])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = run("init", "--folder", tmp_path / "pki", "--intermediate")
    assert made.exit_code == 0, made.output
    return tmp_path / "pki"


def issue(folder: Path, use: str = "credential") -> dict[str, Path]:
    told = run("issue", "--folder", folder, "--use", use, "--url", URL)
    assert told.exit_code == 0, told.output
    return {name: Path(path) for name, path in re.findall(r"CITYCARD_(\w+)=(\S+)", told.output)}


def test_an_authority_is_made_once_and_its_keys_are_for_its_owner(folder: Path) -> None:
    again = run("init", "--folder", folder)
    assert again.exit_code == 1
    assert "already" in again.output
    issue(folder)
    for key in folder.glob("*.key"):
        assert key.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("use", [*(purpose.value for purpose in Purpose), "all"])
def test_what_is_issued_is_what_the_settings_take(folder: Path, use: str) -> None:
    named = issue(folder, use)
    setting = "credential" if use == "all" else use
    assert set(named) == {f"{setting.upper()}_CHAIN", f"{setting.upper()}_KEY"}
    check_files(
        Settings(mode=Mode.TEST, _env_file=None, **{name.lower(): path for name, path in named.items()})
    )
    chain = named[f"{setting.upper()}_CHAIN"]
    held = run("check", chain, "--anchor", folder / "root.pem")
    assert (held.exit_code, held.output.splitlines()[-1]) == (0, "the chain holds")
    leaf, intermediate = x509.load_pem_x509_certificates(chain.read_bytes())
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["karte.example"]
    intermediate.verify_directly_issued_by(x509.load_pem_x509_certificate((folder / "root.pem").read_bytes()))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl here")
def test_openssl_follows_the_chain_to_the_root(folder: Path) -> None:
    chain = issue(folder)["CREDENTIAL_CHAIN"]
    asked = [
        "openssl",
        "verify",
        "-CAfile",
        folder / "root.pem",
        "-untrusted",
        folder / "intermediate.pem",
        chain,
    ]
    assert subprocess.run(asked, capture_output=True, check=False).returncode == 0


def test_each_broken_rule_is_named_with_its_place(folder: Path, tmp_path: Path) -> None:
    chain, root = issue(folder)["CREDENTIAL_CHAIN"], folder / "root.pem"
    leaf, below = chain.read_text().split("-----END CERTIFICATE-----\n", 1)
    leaf += "-----END CERTIFICATE-----\n"

    def told(text: str, *more: object, anchor: Path = root) -> list[str]:
        path = tmp_path / "chain.pem"
        path.write_text(text)
        said = run("check", path, "--anchor", anchor, *more)
        assert said.exit_code == 1, said.output
        return re.findall(r"broken: (\S+ at \S+ ?\S*):", said.output)

    assert told(leaf + below + root.read_text()) == ["anchor-included at certificate 2"]
    assert told(root.read_text())[0].startswith("anchor-included at certificate 0")
    assert "names at certificate 0" in told(below + leaf)
    assert told(leaf) == ["no-anchor at the anchor"]
    assert told(leaf + below, "--at", "2035-01-01") == [
        "expired at certificate 0",
        "expired at certificate 1",
    ]
    assert "not-yet-valid at certificate 0" in told(leaf + below, "--at", "2020-01-01")
    assert run("init", "--folder", tmp_path / "other", "--name", "other").exit_code == 0
    assert told(leaf + below, anchor=tmp_path / "other" / "root.pem") == ["no-anchor at the anchor"]


def test_where_only_the_order_is_wrong_the_right_one_is_told(folder: Path, tmp_path: Path) -> None:
    chain = issue(folder)["CREDENTIAL_CHAIN"]
    leaf, below = chain.read_text().split("-----END CERTIFICATE-----\n", 1)
    turned = tmp_path / "turned.pem"
    turned.write_text(below + leaf + "-----END CERTIFICATE-----\n")
    for anchors in ((), ("--anchor", folder / "root.pem")):
        said = run("check", turned, *anchors)
        assert (said.exit_code, said.output.splitlines()[-1]) == (1, "in the order 1 0 the chain holds")
    turned.write_text(leaf + "-----END CERTIFICATE-----\n")
    assert "in the order" not in run("check", turned, "--anchor", folder / "root.pem").output


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl here")
def test_of_a_weak_signature_nothing_else_is_said(folder: Path, tmp_path: Path) -> None:
    weak = tmp_path / "weak.pem"
    asked = ["openssl", "x509", "-in", folder / "root.pem", "-sha1", "-CA", folder / "intermediate.pem"]
    asked += ["-CAkey", folder / "intermediate.key", "-CAcreateserial", "-CAserial", tmp_path / "serial"]
    subprocess.run([*asked, "-out", weak], capture_output=True, check=True)
    weak.write_text(weak.read_text() + (folder / "intermediate.pem").read_text())
    said = run("check", weak, "--anchor", folder / "root.pem").output
    assert "broken: weak at certificate 0" in said
    assert "broken: signature" not in said


@pytest.mark.parametrize(
    "url", ["not a url", "karte.example", "https://", "ftp://karte.example", "https://[::1"]
)
def test_an_address_that_is_none_gets_no_certificate(folder: Path, url: str) -> None:
    said = run("issue", "--folder", folder, "--url", url)
    assert said.exit_code == 3
    assert "--url is the address of this house" in said.output
    assert not (folder / "all.pem").exists()


def test_a_file_that_is_no_chain_is_told_as_that(tmp_path: Path) -> None:
    path = tmp_path / "nothing.pem"
    path.write_text("nothing")
    said = run("check", path)
    assert said.exit_code == 3
    assert "no PEM file" in said.output


def test_every_rule_says_how_to_mend_it() -> None:
    assert set(MENDING) == set(Rule)


def test_a_request_is_signed_by_a_key_that_stays_in_the_vault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {
        "MODE": "test",
        "VAULT_FILE": str(tmp_path / "vault.json"),
        "VAULT_SECRET": SECRET,
        "PUBLIC_URL": URL,
    }
    for name, value in values.items():
        monkeypatch.setenv(f"CITYCARD_{name}", value)
    out = tmp_path / "request.pem"
    told = run("request", out, "--subject", "Stadt Dortmund", "--organisation", "Stadt Dortmund")
    assert told.exit_code == 0, told.output
    asked = x509.load_pem_x509_csr(out.read_bytes())
    assert asked.is_signature_valid
    assert asked.subject.rfc4514_string() == "CN=Stadt Dortmund,O=Stadt Dortmund,C=DE"
    (key,) = open_vault(Settings(_env_file=None)).keys(KeyUse.CREDENTIAL)
    assert asked.public_key() == key.public_key
    assert "PRIVATE" not in out.read_text()
    again = run("request", out, "--subject", "Stadt Dortmund", "--key", key.key_id)
    assert again.exit_code == 0, again.output
    assert len(FileVault(tmp_path / "vault.json", SECRET).keys()) == 1
    assert run("request", out, "--subject", "Stadt", "--key", "00000000").exit_code == 3
    for words, said in (
        ((out, "--subject", " "), "--subject names who asks"),
        ((out, "--subject", "Stadt", "--country", "Deutschland"), "two letters"),
        ((tmp_path / "nowhere/a.csr", "--subject", "Stadt"), "there is no folder"),
        ((out, "--subject", "S" * 65), "length"),
    ):
        refused = run("request", *words)
        assert refused.exit_code != 0
        assert said in refused.output
    # A key stays for good: none is made for a request that cannot be.
    assert len(FileVault(tmp_path / "vault.json", SECRET).keys()) == 1


def test_a_request_asks_for_what_a_signing_certificate_needs() -> None:
    signer = make_signer()
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "Stadt")])
    asked = certificate_request(signer, name, [x509.DNSName("karte.example")])
    assert asked.is_signature_valid
    assert isinstance(asked.public_key(), ec.EllipticCurvePublicKey)
    usage = asked.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.digital_signature, usage.key_cert_sign) == (True, False)
