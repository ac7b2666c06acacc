"""Every kind of job and who does it."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial

import core.access.service
import core.audit.service
import core.idempotency
import core.limits.service
import entitlements.clearing.service
import entitlements.decisions.everybody
import entitlements.deliveries.service
import entitlements.grants.service
import entitlements.grants.warnings
import entitlements.releases.checking
import entitlements.releases.service
import entitlements.releases.simulating
import entitlements.requests.service
import issuers.authorities.service
import issuers.credentials.service
import issuers.openid.forgetting
import issuers.trustlist.files
import issuers.trustlist.service
import verifiers.checks.flags
import verifiers.checks.service
import verifiers.presentations.service
import verifiers.redemptions.counters
import verifiers.scanners.service
import wallet.batches.service
import wallet.cards.service
import wallet.devices.service
import wallet.inbox.service
import wallet.passes.service
import wallet.printing.service
from core.jobs.service import Handler, Minded, Recurring, every, nightly
from core.settings import Settings
from core.vault import Vault
from issuers.status.service import StatusMemory


def handlers(settings: Settings, vault: Vault) -> Mapping[str, Handler]:
    """What the worker can do; a job of another kind stays until somebody can."""
    return {
        "answers.forget": core.idempotency.forget_expired,
        "audit.seal": partial(core.audit.service.seal, vault=vault),
        "limits.forget": core.limits.service.forget_ended,
        "sessions.forget": core.access.service.forget_sessions,
        "delivery.apply": partial(entitlements.deliveries.service.apply_job, settings=settings, vault=vault),
        "reviews.look_again": partial(
            entitlements.clearing.service.look_again, settings=settings, vault=vault
        ),
        "deliveries.sweep": entitlements.deliveries.service.sweep,
        "facts.turn": partial(entitlements.deliveries.service.turn, settings=settings),
        "decisions.turn": partial(
            entitlements.decisions.everybody.turn,
            settings=settings,
            meant=entitlements.releases.service.meant_endings,
        ),
        "decisions.run": partial(
            entitlements.decisions.everybody.step,
            settings=settings,
            meant=entitlements.releases.service.meant_endings,
        ),
        "decisions.asked": partial(entitlements.decisions.everybody.begin_asked, settings=settings),
        "grants.turn": partial(entitlements.grants.service.turn, settings=settings),
        "warnings.turn": partial(entitlements.grants.warnings.turn, settings=settings),
        "allowances.turn": partial(entitlements.grants.service.turn_allowances, settings=settings),
        "requests.offer": partial(entitlements.requests.service.offer, vault=vault),
        "requests.expire": partial(entitlements.requests.service.expire, settings=settings, vault=vault),
        "release.check": Minded(
            partial(entitlements.releases.checking.run_check, settings=settings, vault=vault),
            entitlements.releases.checking.check_given_up,
        ),
        "simulation.step": Minded(
            partial(entitlements.releases.simulating.run_simulation, settings=settings, vault=vault),
            entitlements.releases.simulating.simulation_given_up,
        ),
        "key.destroy": partial(issuers.authorities.service.destroy_key, vault=vault),
        "key.withdrawn": issuers.credentials.service.on_key_withdrawn,
        "holdings.changed": partial(issuers.credentials.service.on_holdings_changed, settings=settings),
        "credentials.forget": issuers.credentials.service.forget_ended,
        "openid.forget": issuers.openid.forgetting.forget_ended,
        "trustlist.publish": partial(issuers.trustlist.service.publish_job, vault=vault, settings=settings),
        issuers.trustlist.files.JOB: partial(
            issuers.trustlist.files.publish_job,
            memory=StatusMemory(settings.status_bits),
            vault=vault,
            settings=settings,
        ),
        "scanner-codes.forget": verifiers.scanners.service.forget_codes,
        "marks.forget": verifiers.checks.service.forget_marks,
        "flags.tell": partial(verifiers.checks.flags.tell, settings=settings),
        "counts.forget": verifiers.checks.service.forget_counts,
        "presentations.forget": verifiers.presentations.service.forget_ended,
        "uses.forget": verifiers.redemptions.counters.forget_periods,
        "notice.deliver": partial(wallet.inbox.service.deliver, settings=settings),
        "notice.withdraw": wallet.inbox.service.withdraw,
        "guardianship.ended": partial(wallet.cards.service.on_guardianship_ended, settings=settings),
        "printed-cards.again": partial(wallet.printing.service.print_again, vault=vault, settings=settings),
        "person.merged": wallet.passes.service.on_person_merged,
        "person.parted": partial(wallet.cards.service.on_person_parted, settings=settings),
        "print-batches.step": partial(wallet.batches.service.step_job, settings=settings, vault=vault),
        "print-batches.turn": partial(wallet.batches.service.turn, settings=settings),
        "wards.look_after": partial(wallet.cards.service.look_after_wards, settings=settings),
        "challenges.forget": wallet.devices.service.forget_challenges,
    }


def recurring(settings: Settings) -> Sequence[Recurring]:
    """What is owed again and again; within a day, in this order."""
    published = (
        [every(issuers.trustlist.files.JOB, issuers.trustlist.files.EVERY)] if settings.publish_folder else []
    )
    return [
        *published,
        nightly("answers.forget", settings.zone),
        every("audit.seal", timedelta(minutes=1)),
        every("limits.forget", timedelta(minutes=10)),
        every("sessions.forget", timedelta(hours=1)),
        nightly("facts.turn", settings.zone),
        nightly("deliveries.sweep", settings.zone),
        nightly("reviews.look_again", settings.zone),
        nightly("decisions.turn", settings.zone),
        nightly("grants.turn", settings.zone),
        nightly("warnings.turn", settings.zone),
        nightly("allowances.turn", settings.zone),
        nightly("requests.expire", settings.zone),
        nightly("credentials.forget", settings.zone),
        every("openid.forget", timedelta(hours=1)),
        nightly("trustlist.publish", settings.zone),
        every("marks.forget", timedelta(minutes=1)),
        every("presentations.forget", timedelta(minutes=5)),
        nightly("uses.forget", settings.zone),
        nightly("scanner-codes.forget", settings.zone),
        nightly("counts.forget", settings.zone),
        nightly("flags.tell", settings.zone),
        nightly("wards.look_after", settings.zone),
        nightly("print-batches.turn", settings.zone),
        nightly("challenges.forget", settings.zone),
    ]
