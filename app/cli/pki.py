"""Certificates: a development authority, requests for real ones, and what is wrong with a chain."""

import asyncio
import base64
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

import click
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from app.cli.inside import DEMO, PORT, Misset, Running, beside, telling
from app.cli.outside import FAILED, REFUSED
from core.clock import SystemClock
from core.database import Database
from core.vault import KeyUse, open_vault
from issuers.authorities import development
from issuers.authorities.certificates import Purpose, development_anchor
from issuers.authorities.development import FolderRefused
from issuers.authorities.requests import certificate_request
from issuers.credentials.x5c import Anchors, Break, Rule

FOLDER = Path("var/pki")
ALL = "all"

MENDING = {
    Rule.SHAPE: "the file holds one to six certificates, the leaf first",
    Rule.CERTIFICATE: "this is not a certificate that can be read",
    Rule.LEAF_SELF_SIGNED: "the first certificate signed itself; have an authority issue one (HAIP 1.0 §6.1.1)",
    Rule.ANCHOR_INCLUDED: "the trust anchor must not stand in the chain; leave this certificate out (HAIP 1.0 §6.1.1)",
    Rule.LEAF_KEY: "the first certificate is not for a P-256 key",
    Rule.KEY_USAGE: "the key usage does not allow this: the leaf signs data, the others sign certificates",
    Rule.NOT_AN_AUTHORITY: "this certificate is not marked as an authority (basic constraints, CA true)",
    Rule.PATH_LENGTH: "an authority stands beneath this one that its path length does not allow",
    Rule.EXTENSION: "this certificate has a critical extension that wallets do not know",
    Rule.WEAK: "the signature or the key is weaker than today's rules allow",
    Rule.NAMES: "the next certificate is not the one that this one names as its issuer, by name or key identifier",
    Rule.SIGNATURE: "the signature is not by the key of the certificate that this one names",
    Rule.NO_ANCHOR: "no anchor of the given ones issued the last certificate; is one between them missing?",
    Rule.NOT_YET_VALID: "this certificate is not valid yet",
    Rule.EXPIRED: "this certificate has expired",
}


@click.group()
def pki() -> None:
    """Certificates that stand behind our signatures, for wallets and verifiers of others."""


_folder = click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=FOLDER,
    show_default=True,
    help="Where the development authority is kept.",
)


@pki.command()
@_folder
@click.option("--name", default="citycard", show_default=True, help="The name that its certificates carry.")
@click.option(
    "--intermediate", is_flag=True, help="Put an authority between root and leaves, as real ones do."
)
def init(folder: Path, name: str, *, intermediate: bool) -> None:
    """Make a development authority, once. Its root is what verifiers are given as anchor; never use it in earnest."""
    try:
        with telling():
            anchor = development.found(folder, name, SystemClock().now(), intermediate=intermediate)
    except FolderRefused as refused:
        _refuse(str(refused))
    click.echo(f"made {anchor}; give it to wallets and verifiers under test as their anchor")


@pki.command()
@_folder
@click.option(
    "--use",
    type=click.Choice([*(purpose.value for purpose in Purpose), ALL]),
    default=ALL,
    show_default=True,
    help="What the certificate stands behind; `all` is one certificate for all four.",
)
@click.option("--url", help="The address that stands in it; default: that of the settings.")
@DEMO
@PORT
def issue(folder: Path, use: str, url: str | None, demo: Path | None, port: int | None) -> None:
    """Make a key with a certificate of the development authority, and print the settings that name them."""
    if url is not None and not _is_address(url):
        _refuse("--url is the address of this house, for example https://karte.example.org", FAILED)
    try:
        public_url = url or Running.found(demo, port).settings.public_url
        chain, key = development.issue(folder, use, public_url, SystemClock().now())
    except Misset as missing:
        _refuse(f"{missing.message}\nso no settings name our address; say it with --url", FAILED)
    except FolderRefused as refused:
        _refuse(str(refused))
    setting = Purpose.CREDENTIAL.value if use == ALL else use
    click.echo(f"CITYCARD_{setting.upper()}_CHAIN={chain.resolve()}")
    click.echo(f"CITYCARD_{setting.upper()}_KEY={key.resolve()}")


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"https", "http"} and bool(parts.hostname) and url.isascii() and " " not in url


@pki.command()
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--subject", required=True, help="The common name, for example 'Stadt Dortmund, city card issuer'."
)
@click.option("--organisation", default="", help="The organisation, as the authority knows it.")
@click.option("--country", default="DE", show_default=True)
@click.option("--key", "key_id", help="A key that the vault holds already, by its id; default: a new one.")
@beside
def request(
    running: Running,
    *,
    out: Path,
    subject: str,
    organisation: str,
    country: str,
    key_id: str | None,
) -> None:
    """Write a certificate request (PEM) for a real authority; its key is made in the vault and stays there.

    When the certificate comes, name its file in CITYCARD_CREDENTIAL_CHAIN (or STATUS, REQUEST, METADATA) and no key
    file: the vault holds the key.
    """
    if not subject.strip():
        _refuse("--subject names who asks, for example 'Stadt Dortmund, Kartenstelle'", FAILED)
    if len(country) != 2:
        _refuse("--country is a code of two letters (ISO 3166-1), for example DE", FAILED)
    if not out.parent.is_dir():
        _refuse(f"there is no folder {out.parent}", FAILED)
    fields = [
        (NameOID.COUNTRY_NAME, country),
        (NameOID.ORGANIZATION_NAME, organisation),
        (NameOID.COMMON_NAME, subject),
    ]
    try:
        # Before a key is made, which stays in the vault for good.
        name = x509.Name([x509.NameAttribute(oid, value) for oid, value in fields if value])
        vault = open_vault(running.settings)
        made = key_id or vault.create(KeyUse.CREDENTIAL, running.clock.now()).key_id
        signer = vault.signer(made, KeyUse.CREDENTIAL)
        asked = certificate_request(signer, name, development.alternatives(running.settings.public_url))
    except ValueError as error:
        _refuse(str(error))
    try:
        out.write_bytes(asked.public_bytes(Encoding.PEM))
    except OSError as error:
        _refuse(f"{out} cannot be written ({error.strerror}); the key is made: --key {made}", FAILED)
    click.echo(f"wrote {out} for key {made}")


@pki.command()
@beside
def anchor(running: Running) -> None:
    """Print the certificate (PEM) that verifiers and wallets of others trust us by, where nothing is set.

    Then a development authority of our own stands behind credentials, status lists, requests and metadata, as in the
    demo. Where CITYCARD_CREDENTIAL_CHAIN is set, whoever issued that chain has its anchor.
    """
    if running.settings.credential_chain is not None:
        _refuse("CITYCARD_CREDENTIAL_CHAIN is set: whoever issued that chain has its anchor", FAILED)
    found = asyncio.run(_anchor(running))
    if found is None:
        _refuse("there is no development authority yet; it is made when the server starts for the first time")
    click.echo(found.public_bytes(Encoding.PEM).decode("ascii"), nl=False)


async def _anchor(running: Running) -> x509.Certificate | None:
    vault, database = open_vault(running.settings), Database(running.settings.database_url)
    try:
        async with database.reading() as session:
            return await development_anchor(session, vault, running.clock.now())
    finally:
        await database.dispose()


@pki.command()
@click.argument("chain", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--anchor",
    "anchors",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="PEM file with what verifiers trust; several may be given.",
)
@click.option(
    "--at", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]), help="Judge as of this time (UTC)."
)
def check(chain: Path, anchors: tuple[Path, ...], at: datetime | None) -> None:
    """Say which rule of x5c a chain breaks, and where; exit 0 where it would be accepted."""
    now = SystemClock().now() if at is None else at.replace(tzinfo=UTC)
    try:
        trusted = [one for path in anchors for one in x509.load_pem_x509_certificates(path.read_bytes())]
        certificates = x509.load_pem_x509_certificates(chain.read_bytes())
    except ValueError:
        _refuse("this is no PEM file of certificates", FAILED)
    entries = [base64.b64encode(one.public_bytes(Encoding.DER)).decode() for one in certificates]
    for place, certificate in enumerate(certificates):
        click.echo(
            f"{place}  {certificate.subject.rfc4514_string()}  "
            f"issued by {certificate.issuer.rfc4514_string()}, until {certificate.not_valid_after_utc:%Y-%m-%d}"
        )
    if not trusted:
        click.echo("no --anchor was given: who vouches for the last certificate was not looked at")
    broken = _broken(entries, trusted, now)
    for one in broken:
        where = f"certificate {one.at}" if one.at < len(certificates) else "the anchor"
        click.echo(f"broken: {one.rule.value} at {where}: {MENDING[one.rule]}")
    if broken:
        better = _in_order(certificates)
        if better != list(range(len(certificates))) and not _broken(
            [entries[at] for at in better], trusted, now
        ):
            click.echo(f"in the order {' '.join(str(at) for at in better)} the chain holds")
        sys.exit(REFUSED)
    click.echo("the chain holds")


def _in_order(certificates: list[x509.Certificate]) -> list[int]:
    """The places of the certificates from the leaf upwards, as they name each other."""
    issuers = {one.issuer for one in certificates}
    order = [at for at, one in enumerate(certificates) if one.subject not in issuers][:1]
    while order:
        above = [
            at
            for at, one in enumerate(certificates)
            if at not in order and one.subject == certificates[order[-1]].issuer
        ]
        if not above:
            break
        order.append(above[0])
    return [*order, *(at for at in range(len(certificates)) if at not in order)]


def _broken(entries: list[str], trusted: list[x509.Certificate], now: datetime) -> list[Break]:
    anchors = Anchors(trusted)

    def diagnosed(entries: list[str]) -> list[Break]:
        return [one for one in anchors.diagnose(entries, now) if trusted or one.rule is not Rule.NO_ANCHOR]

    broken = diagnosed(entries)
    included = [one for one in broken if one.rule is Rule.ANCHOR_INCLUDED]
    kept = [at for at in range(len(entries)) if at not in {one.at for one in included}]
    if not included or not kept:
        return broken
    # What else is wrong is told of the chain without it, or one mistake would show as several.
    rest = diagnosed([entries[at] for at in kept])
    places = [*kept, len(entries)]
    return included + [Break(one.rule, places[one.at]) for one in rest]


def _refuse(why: str, code: int = REFUSED) -> NoReturn:
    click.echo(why, err=True)
    sys.exit(code)


COMMANDS = (pki,)
