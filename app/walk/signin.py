"""Signs in at the demo's OpenID provider as a native application does: authorization code with PKCE, no secret."""

import secrets
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from app.walk.wire import Refused, Wire
from core.access.oidc import challenge

CLIENT = "citycard-phone"
REDIRECT = "http://127.0.0.1:53535/signed-in"
"""Nobody listens there: the code is read from the redirect itself, because the browser is this program too."""
PROVIDER = "/demo/op"


class SignInFailed(Exception):
    """The provider did not let this account in."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """An access token, whose it is and until when it is good."""

    account: str
    access_token: str
    expires_at: datetime

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.access_token}"}

    def kept(self) -> dict[str, str]:
        return {**asdict(self), "expires_at": self.expires_at.isoformat()}

    @staticmethod
    def of(kept: dict[str, Any]) -> "SignedIn":
        return SignedIn(kept["account"], kept["access_token"], datetime.fromisoformat(kept["expires_at"]))


def sign_in(wire: Wire, account: str, password: str) -> SignedIn:
    """The sign-in from its beginning to its tokens; SignInFailed where account and password do not fit."""
    metadata = wire.get(f"{PROVIDER}/.well-known/openid-configuration")
    verifier, state = secrets.token_urlsafe(48), secrets.token_urlsafe(16)
    query = {
        "response_type": "code",
        "client_id": CLIENT,
        "redirect_uri": REDIRECT,
        "scope": "openid",
        "state": state,
        "code_challenge": challenge(verifier),
        "code_challenge_method": "S256",
        "resource": wire.url,
    }
    address = f"{metadata['authorization_endpoint']}?{urlencode(query)}"
    try:
        # What a person does on the login page: choose the account, type the password.
        answer = wire.ask("POST", address, form={"account": account, "password": password})
    except Refused as refused:
        raise SignInFailed(account) from refused
    came_back = {
        name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()
    }
    if (
        came_back.get("state") != state
        or came_back.get("iss") != metadata["issuer"]
        or "code" not in came_back
    ):
        raise SignInFailed(account)
    form = {
        "grant_type": "authorization_code",
        "client_id": CLIENT,
        "code": came_back["code"],
        "redirect_uri": REDIRECT,
        "code_verifier": verifier,
    }
    tokens = wire.ask("POST", metadata["token_endpoint"], form=form).json()
    until = wire.now() + timedelta(seconds=int(tokens["expires_in"]))
    return SignedIn(account, tokens["access_token"], until)
