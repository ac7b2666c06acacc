"""What is decided about callers without asking anybody."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from litestar.datastructures import State
from pydantic import SecretStr

from core.access.cookies import SESSION, given, name
from core.access.doorkeeper import DEMO_CLIENT_SECRET, Memory, UnsafeSettings, doorkeeper_of, refuse_unsafe
from core.access.policy import Policy
from core.access.rules import CEILINGS, Level, Role, claim, is_over, local_path, roles_in
from core.settings import Mode, Settings

NOON = datetime(2026, 9, 16, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("wanted", "goes"),
    [
        ("/card?x=1#y", "/card?x=1#y"),
        ("/", "/"),
        (None, "/"),
        ("", "/"),
        ("card", "/"),
        ("https://evil.example/", "/"),
        ("//evil.example", "/"),
        ("///evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("/\n/evil.example", "/"),
        (" /card", "/"),
        ("/é", "/"),
        ("/" + "x" * 500, "/"),
    ],
)
def test_one_only_returns_to_a_path_of_ours(wanted: str | None, goes: str) -> None:
    assert local_path(wanted) == goes


def test_roles_are_found_where_the_city_keeps_them() -> None:
    keycloak = {"realm_access": {"roles": ["Sachbearbeitung", "auditor"]}, "a.b": ["operator"]}
    assert roles_in(keycloak, "realm_access.roles") == {Role.AUDITOR}
    renamed = {"Sachbearbeitung": "case-worker"}
    assert roles_in(keycloak, "realm_access.roles", renamed) == {Role.AUDITOR, Role.CASE_WORKER}
    assert roles_in(keycloak, "a.b") == {Role.OPERATOR}
    assert roles_in(keycloak, "realm_access.roles.0") == frozenset()
    assert claim(keycloak, "nowhere.at.all") is None


def test_no_renaming_makes_a_person_a_machine() -> None:
    assert roles_in({"roles": ["x"]}, "roles", {"x": "scanner"}) == frozenset()


def test_the_surer_the_sign_in_the_sooner_it_ends() -> None:
    order = [CEILINGS[level] for level in (Level.HIGH, Level.SUBSTANTIAL, Level.BASIC)]
    assert order == sorted(order, key=lambda ceiling: ceiling.absolute)
    assert order == sorted(order, key=lambda ceiling: ceiling.idle)


def test_a_session_is_over_at_the_moment_it_ends() -> None:
    ceiling = CEILINGS[Level.HIGH]
    ends = NOON + ceiling.absolute
    assert not is_over(ceiling, seen_at=ends, expires_at=ends, now=ends - timedelta(microseconds=1))
    assert is_over(ceiling, seen_at=ends, expires_at=ends, now=ends)
    assert is_over(ceiling, seen_at=NOON, expires_at=ends, now=NOON + ceiling.idle)


def test_an_unknown_level_is_the_lowest() -> None:
    policy = Policy(_env_file=None)
    assert policy.level("STORK-QAA-Level-3") is Level.SUBSTANTIAL
    for stated in (None, "", "0", ["high"], 4):
        assert policy.level(stated) is Level.BASIC


def test_an_operator_sets_ceilings_and_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CITYCARD_ACCESS_ROLES", '{"Sachbearbeitung": "case-worker"}')
    monkeypatch.setenv("CITYCARD_ACCESS_CEILINGS", '{"basic": {"idle": 60, "absolute": 120}}')
    policy = Policy(_env_file=None)
    assert policy.roles == {"Sachbearbeitung": "case-worker"}
    assert policy.ceiling(Level.BASIC).absolute == timedelta(minutes=2)
    # What was not set stands as before.
    assert policy.ceiling(Level.HIGH) == CEILINGS[Level.HIGH]


def _production(**other: object) -> Settings:
    fine = {
        "mode": Mode.PRODUCTION,
        "vault_secret": SecretStr("a secret of this city's own"),
        "public_url": "https://karte.example",
        "oidc_issuer": "https://login.example",
        "vault_file": Path("vault.json"),
    }
    return Settings(_env_file=None, **(fine | other))


@pytest.mark.parametrize(
    "unsafe",
    [
        {"public_url": "http://karte.example"},
        {"oidc_issuer": "http://login.example"},
        {"oidc_issuer": "https://karte.example/demo/op"},
        {"oidc_client_secret": SecretStr(DEMO_CLIENT_SECRET)},
        {"oidc_audience": "citycard"},
    ],
)
def test_production_does_not_start_with_what_belongs_to_a_demo(unsafe: dict[str, object]) -> None:
    refuse_unsafe(_production())
    with pytest.raises(UnsafeSettings):
        refuse_unsafe(_production(**unsafe))


def test_only_a_demo_over_plain_http_has_a_plain_cookie() -> None:
    def cookie(mode: Mode, url: str) -> tuple[str, bool | None]:
        settings = _production().model_copy(update={"mode": mode, "public_url": url})
        return name(settings, SESSION), given(settings, SESSION, "x").secure

    assert cookie(Mode.DEMO, "http://localhost:8000") == ("citycard", False)
    assert cookie(Mode.DEMO, "https://demo.example") == ("__Host-citycard", True)
    assert cookie(Mode.PRODUCTION, "http://localhost:8000") == ("__Host-citycard", True)
    assert cookie(Mode.TEST, "http://localhost:8000") == ("__Host-citycard", True)


def test_nothing_is_remembered_for_longer_than_two_seconds() -> None:
    memory = Memory[str]()
    memory.keep("key", "found", NOON)
    assert memory.recall("key", NOON + timedelta(seconds=1.999)) == "found"
    assert memory.recall("key", NOON + timedelta(seconds=2)) is None
    assert memory.recall("key", NOON - timedelta(seconds=1)) is None
    assert memory.recall("another", NOON) is None


def test_an_application_has_one_doorkeeper() -> None:
    keeper = object()
    assert doorkeeper_of(State({"doorkeeper": keeper})) is keeper
