"""Every door of the house: the routers that `create_app` opens, in the order of the road."""

from litestar import Router

import app.health.routes
import core.access.routes
import core.audit.routes
import entitlements.allowances.routes
import entitlements.clearing.routes
import entitlements.decisions.on_request
import entitlements.decisions.routes
import entitlements.decisions.runs
import entitlements.deliveries.routes
import entitlements.facts.routes
import entitlements.grants.routes
import entitlements.people.routes
import entitlements.registers.routes
import entitlements.releases.routes
import entitlements.rulebook.routes
import entitlements.rulebook.trying.routes
import issuers.authorities.routes
import issuers.credentials.routes
import issuers.openid.pages
import issuers.openid.routes
import issuers.status.routes
import issuers.trustlist.routes
import verifiers.bundles.routes
import verifiers.checks.routes
import verifiers.offers.routes
import verifiers.partners.routes
import verifiers.presentations.routes
import verifiers.redemptions.routes
import verifiers.scanners.routes
import verifiers.venues.routes
import wallet.activation.routes
import wallet.batches.routes
import wallet.cards.routes
import wallet.devices.routes
import wallet.inbox.routes
import wallet.pages
import wallet.passes.routes
import wallet.printing.routes

ROUTERS: list[Router] = [
    app.health.routes.router,
    *core.access.routes.ROUTERS,
    core.audit.routes.router,
    *entitlements.people.routes.ROUTERS,
    entitlements.registers.routes.router,
    entitlements.facts.routes.router,
    *entitlements.rulebook.routes.ROUTERS,
    entitlements.rulebook.trying.routes.router,
    entitlements.allowances.routes.router,
    entitlements.grants.routes.router,
    *entitlements.decisions.routes.ROUTERS,
    entitlements.decisions.runs.router,
    *entitlements.releases.routes.ROUTERS,
    entitlements.decisions.on_request.router,
    *entitlements.deliveries.routes.ROUTERS,
    entitlements.clearing.routes.router,
    issuers.authorities.routes.router,
    issuers.status.routes.router,
    issuers.credentials.routes.router,
    *issuers.openid.routes.ROUTERS,
    issuers.openid.pages.router,
    verifiers.partners.routes.router,
    verifiers.venues.routes.router,
    verifiers.offers.routes.router,
    verifiers.scanners.routes.router,
    verifiers.checks.routes.router,
    verifiers.redemptions.routes.router,
    verifiers.bundles.routes.router,
    *verifiers.presentations.routes.ROUTERS,
    issuers.trustlist.routes.router,
    wallet.activation.routes.router,
    wallet.devices.routes.router,
    wallet.cards.routes.own,
    wallet.cards.routes.served,
    wallet.cards.routes.desk,
    wallet.inbox.routes.router,
    wallet.pages.router,
    wallet.printing.routes.router,
    wallet.batches.routes.router,
    wallet.passes.routes.router,
]
