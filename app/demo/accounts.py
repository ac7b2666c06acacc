"""Who can sign in to the demo: a few residents, and people who work for the city or its partners."""

import re
from dataclasses import dataclass

from app.demo.city import City, Resident
from app.demo.provider import Account
from core.access.rules import Role

HOLDER = (Role.CITIZEN.value, Role.GUARDIAN.value)
NEWCOMER = re.compile(r"neu-[a-z0-9]{1,40}")
"""Accounts that nobody has made yet: whoever signs in by such a name is a citizen without a person."""


@dataclass(frozen=True, slots=True)
class Login:
    """An account, and the resident that it is."""

    account: Account
    resident: Resident | None = None
    children: tuple[Resident, ...] = ()


def _staff(sub: str, name: str, about: str, *roles: Role) -> Login:
    return Login(Account(sub, name, tuple(role.value for role in roles), about))


def logins(city: City) -> tuple[Login, ...]:
    """Every account of this city; the names are the same in each, so that a script can rely on them."""
    parent, *children = city.family.members
    mother, father, *others = city.couple.members
    (pensioner,) = city.pensioner.members
    return (
        _holder("familie", parent, "Elternteil mit zwei Kindern, Geld vom Jobcenter", children),
        _holder("rente", pensioner, "allein lebend, Grundsicherung im Alter"),
        _holder("paar", mother, "Paar mit zwei Kindern, Wohngeld und Kinderzuschlag", others),
        _holder("paar-zwei", father, "die zweite Person aus diesem Haushalt", others),
        Login(
            Account("neu-1", "Neu angemeldet", HOLDER, "noch mit niemandem verknüpft; auch neu-2, neu-3 …")
        ),
        _staff("sachbearbeitung", "Sachbearbeitung", "am Schalter und am Telefon", Role.CASE_WORKER),
        _staff("partner", "Partner", "verwaltet die Bäder und den Park", Role.PARTNER_MANAGER),
        _staff("kasse", "Kasse", "arbeitet im Nordbad", Role.VENUE_STAFF),
        _staff("betrieb", "Betrieb", "lässt Partner und Fachverfahren zu", Role.OPERATOR),
        _staff("regeln", "Regeln", "schreibt Regeln", Role.RULE_AUTHOR),
        _staff("freigabe", "Freigabe", "gibt Regeln frei", Role.RULE_APPROVER),
        _staff("revision", "Revision", "liest und prüft das Protokoll", Role.AUDITOR),
        _staff("kaemmerei", "Kämmerei", "zahlt an die Partner", Role.TREASURER),
        _staff("datenschutz", "Datenschutz", "wacht über die Daten", Role.DATA_PROTECTION_OFFICER),
    )


def _holder(sub: str, resident: Resident, about: str, children: list[Resident] | None = None) -> Login:
    account = Account(
        sub, f"{resident.given} {resident.family}", HOLDER, about, person=resident.number_at("melderegister")
    )
    return Login(account, resident, tuple(children or ()))


def newcomer(sub: str) -> Account | None:
    """The account of somebody who registers by signing in, if the name is of that kind."""
    return Account(sub, "Neu angemeldet", HOLDER) if NEWCOMER.fullmatch(sub) else None
