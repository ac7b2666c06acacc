"""Every module that keeps tables, so that migrations and tests see the whole."""

import core.access.models
import core.audit.models
import core.idempotency
import core.jobs.models
import core.limits.models
import entitlements.allowances.models
import entitlements.decisions.models
import entitlements.deliveries.models
import entitlements.facts.models
import entitlements.grants.models
import entitlements.ledger.models
import entitlements.notices.models
import entitlements.people.models
import entitlements.registers.models
import entitlements.releases.models
import entitlements.requests.models
import entitlements.rulebook.models
import entitlements.simulations.models
import issuers.authorities.models
import issuers.credentials.models
import issuers.openid.models
import issuers.status.models
import issuers.trustlist.models
import verifiers.checks.models
import verifiers.offers.models
import verifiers.partners.models
import verifiers.presentations.models
import verifiers.redemptions.models
import verifiers.scanners.models
import verifiers.venues.models
import wallet.batches.models
import wallet.devices.models
import wallet.inbox.models
import wallet.passes.models
import wallet.printing.models

__all__ = ["core", "entitlements", "issuers", "verifiers", "wallet"]
