"""Certificates behind our signatures: a development authority's, or those that the settings name."""

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from core.clock import FixedClock
from core.errors import Unavailable
from core.settings import Mode, Settings
from core.vault import KeyUse, Vault
from issuers.authorities.certificates import (
    Chain,
    NoCertificate,
    Purpose,
    UnusableCertificate,
    chain_for,
    check_files,
    development_anchor,
)
from issuers.authorities.models import Certificate
from issuers.authorities.service import ensure_authority, rotate, withdraw
from issuers.credentials.x5c import Anchors
from issuers.credentials.x5c import Path as TracedPath
from tests.issuers.credentials.chains import certificate


async def established(
    session: AsyncSession,
    vault: Vault,
    settings: Settings,
    clock: FixedClock,
    purpose: Purpose = Purpose.CREDENTIAL,
) -> Chain:
    await ensure_authority(session, vault, settings, clock.now())
    return await chain_for(session, vault, settings, purpose, clock.now())


class TestDevelopment:
    async def test_every_purpose_shares_one_leaf_that_the_anchor_certified(
        self, session: AsyncSession, vault: Vault, settings: Settings, clock: FixedClock
    ) -> None:
        chains = [await established(session, vault, settings, clock, purpose) for purpose in Purpose]
        assert len({chain.x5c for chain in chains}) == 1
        anchor = await development_anchor(session, vault, clock.now())
        assert anchor is not None
        path = Anchors([anchor]).trace(list(chains[0].x5c), clock.now())
        assert isinstance(path, TracedPath)
        assert path.key == chains[0].signer.public_key

    async def test_a_second_start_changes_nothing(
        self, session: AsyncSession, vault: Vault, settings: Settings, clock: FixedClock
    ) -> None:
        first = await established(session, vault, settings, clock)
        clock.forward(timedelta(days=100))
        assert (await established(session, vault, settings, clock)).x5c == first.x5c
        assert (await session.execute(select(func.count()).select_from(Certificate))).scalar_one() == 2

    async def test_a_leaf_is_renewed_before_it_ends_and_by_the_same_authority(
        self, session: AsyncSession, vault: Vault, settings: Settings, clock: FixedClock
    ) -> None:
        first = await established(session, vault, settings, clock)
        anchor = await development_anchor(session, vault, clock.now())
        clock.forward(timedelta(days=720))
        second = await established(session, vault, settings, clock)
        assert second.x5c != first.x5c
        assert second.key_id == first.key_id
        assert anchor is not None
        assert isinstance(Anchors([anchor]).trace(list(second.x5c), clock.now()), TracedPath)

    async def test_the_next_key_gets_its_certificate_in_time(
        self, session: AsyncSession, vault: Vault, settings: Settings, clock: FixedClock
    ) -> None:
        first = await established(session, vault, settings, clock)
        key = await rotate(session, vault, KeyUse.CREDENTIAL, clock.now())
        assert (await established(session, vault, settings, clock)).key_id == first.key_id
        clock.forward(timedelta(days=2))
        assert (await established(session, vault, settings, clock)).key_id == key.key_id

    async def test_a_withdrawn_key_signs_no_more_and_its_successor_waits_for_a_certificate(
        self, session: AsyncSession, vault: Vault, settings: Settings, clock: FixedClock
    ) -> None:
        first = await established(session, vault, settings, clock)
        await withdraw(session, vault, first.key_id, clock.now(), reason="lost")
        with pytest.raises(NoCertificate):
            await chain_for(session, vault, settings, Purpose.CREDENTIAL, clock.now())
        second = await established(session, vault, settings, clock)
        assert second.key_id != first.key_id

    async def test_production_has_no_development_authority(
        self, session: AsyncSession, vault: Vault, settings: Settings, clock: FixedClock
    ) -> None:
        production = settings.model_copy(update={"mode": Mode.PRODUCTION})
        with pytest.raises(NoCertificate):
            await established(session, vault, production, clock)
        assert vault.keys(KeyUse.DEVELOPMENT_CA) == ()


ROOT, MIDDLE, LEAF, OTHER = (ec.derive_private_key(at, ec.SECP256R1()) for at in (11, 12, 13, 14))


def written(folder: Path, name: str, *certificates: x509.Certificate) -> Path:
    path = folder / f"{name}.pem"
    path.write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in certificates))
    return path


def key_file(folder: Path, name: str, key: ec.EllipticCurvePrivateKey) -> Path:
    path = folder / f"{name}.key"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


@pytest.fixture
def configured(settings: Settings, tmp_path: Path) -> Settings:
    """A real authority's chain, its anchor at the end as such files often have it."""
    root = certificate("root", ROOT, "root", ROOT, ca=True)
    middle = certificate("middle", MIDDLE, "root", ROOT, ca=True)
    leaf = certificate("leaf", LEAF, "middle", MIDDLE)
    return settings.model_copy(
        update={
            "mode": Mode.PRODUCTION,
            "credential_chain": written(tmp_path, "chain", leaf, middle, root),
            "credential_key": key_file(tmp_path, "leaf", LEAF),
        }
    )


class TestSettings:
    async def test_a_configured_chain_goes_out_without_its_anchor(
        self, session: AsyncSession, vault: Vault, configured: Settings, clock: FixedClock
    ) -> None:
        for purpose in Purpose:
            chain = await established(session, vault, configured, clock, purpose)
            assert len(chain.x5c) == 2
            assert chain.signer.public_key == LEAF.public_key()

    async def test_a_purpose_may_have_a_certificate_of_its_own(
        self, session: AsyncSession, vault: Vault, configured: Settings, clock: FixedClock, tmp_path: Path
    ) -> None:
        root = certificate("root", ROOT, "root", ROOT, ca=True)
        own = certificate("status", OTHER, "root", ROOT)
        split = configured.model_copy(
            update={
                "status_chain": written(tmp_path, "status", own, root),
                "status_key": key_file(tmp_path, "status", OTHER),
            }
        )
        status = await established(session, vault, split, clock, Purpose.STATUS_LIST)
        assert status.signer.public_key == OTHER.public_key()
        assert (await established(session, vault, split, clock)).signer.public_key == LEAF.public_key()

    async def test_a_key_that_the_vault_holds_needs_no_file(
        self, session: AsyncSession, vault: Vault, configured: Settings, clock: FixedClock
    ) -> None:
        without = configured.model_copy(update={"credential_key": None})
        check_files(without)
        with pytest.raises(Unavailable):
            await established(session, vault, without, clock)
        vault.adopt(KeyUse.CREDENTIAL, LEAF, clock.now())
        assert (await established(session, vault, without, clock)).signer.public_key == LEAF.public_key()

    @pytest.mark.parametrize("wrong", ["other key", "no key", "no chain", "missing"])
    async def test_files_that_do_not_fit_are_told_to_the_operator(  # noqa: PLR0917
        self,
        session: AsyncSession,
        vault: Vault,
        configured: Settings,
        clock: FixedClock,
        tmp_path: Path,
        wrong: str,
    ) -> None:
        text = tmp_path / "text.pem"
        text.write_text("nothing of that kind")
        changed: dict[str, Path] = {
            "other key": {"credential_key": key_file(tmp_path, "other", OTHER)},
            "no key": {"credential_key": text},
            "no chain": {"credential_chain": text},
            "missing": {"credential_chain": tmp_path / "nowhere.pem"},
        }[wrong]
        broken = configured.model_copy(update=changed)
        with pytest.raises(UnusableCertificate):
            check_files(broken)
        # Nothing is signed with them, and everything else goes on.
        await ensure_authority(session, vault, broken, clock.now())
        with pytest.raises(Unavailable):
            await chain_for(session, vault, broken, Purpose.CREDENTIAL, clock.now())

    async def test_an_expired_certificate_signs_nothing(
        self, session: AsyncSession, vault: Vault, configured: Settings, clock: FixedClock
    ) -> None:
        await established(session, vault, configured, clock)
        clock.forward(timedelta(days=301))
        with pytest.raises(NoCertificate):
            await chain_for(session, vault, configured, Purpose.CREDENTIAL, clock.now())

    async def test_a_configured_key_that_was_withdrawn_signs_nothing_until_another_is_configured(
        self, session: AsyncSession, vault: Vault, configured: Settings, clock: FixedClock
    ) -> None:
        chain = await established(session, vault, configured, clock)
        await withdraw(session, vault, chain.key_id, clock.now(), reason="lost")
        with pytest.raises(NoCertificate):
            await established(session, vault, configured, clock)
