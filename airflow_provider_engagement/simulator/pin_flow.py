"""The flow by which an owner authorizes the app: a request token, a page with a PIN, tokens."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, urlencode

from airflow_provider_engagement.simulator import error_responses
from airflow_provider_engagement.simulator.credentials import request_token
from airflow_provider_engagement.simulator.deterministic import number

if TYPE_CHECKING:
    from airflow_provider_engagement.simulator.auth import Authenticator
    from airflow_provider_engagement.simulator.credentials import UserToken
    from airflow_provider_engagement.simulator.world import World

__all__ = ["PIN_FLOW_PATHS", "PinFlow"]

PIN_FLOW_PATHS: Final = {
    "/oauth/request_token": "POST",
    "/oauth/authorize": "GET",
    "/oauth/access_token": "POST",
}
"""The paths of the flow, and their methods."""

_PIN_DIGITS: Final = 10**7


@dataclass(slots=True)
class PinFlow:
    """Grants the tokens of the world's accounts, each after a PIN.

    :param world: the accounts.
    :param authenticator: checks the signatures.
    """

    world: World
    authenticator: Authenticator
    _pending: dict[str, UserToken] = field(default_factory=dict)
    _granted: dict[str, tuple[str, str]] = field(default_factory=dict)
    _made: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, path: str, uri: str, authorization: str | None) -> str:
        """Answer one request.

        :param path: one of :data:`PIN_FLOW_PATHS`.
        :param uri: the whole URI, as the client signed it.
        :param authorization: the header.
        :returns: the text of the response.
        :raises ErrorResponse: if the request is refused.
        """
        with self._lock:
            if path == "/oauth/authorize":
                return self._page(uri)
            given = self.authenticator.check("POST", uri, authorization, self._secret_of)
            if path == "/oauth/request_token":
                return self._new_request_token(given)
            return self._access_token(given)

    def _secret_of(self, token: str) -> str | None:
        pending = self._pending.get(token)
        return pending.secret if pending else None

    def _new_request_token(self, given: dict[str, str]) -> str:
        if given.get("oauth_callback") != "oob":
            raise error_responses.NO_CALLBACK.error()
        self._made += 1
        made = request_token(self.world.seed, self._made)
        self._pending[made.token] = made
        return urlencode(
            {
                "oauth_token": made.token,
                "oauth_token_secret": made.secret,
                "oauth_callback_confirmed": "true",
            }
        )

    def _page(self, uri: str) -> str:
        """Return the page that the owner sees, who is the first account unless the URI names one.

        On X, the owner signs in and presses a button first.
        """
        query = parse_qs(uri.partition("?")[2])
        token = query.get("oauth_token", [""])[0]
        account = query.get("account", [self.world.accounts[0]])[0]
        if token not in self._pending or account not in self.world.accounts:
            raise error_responses.NO_SUCH_PAGE.error()
        pin = f"{number(self.world.seed, 'pin', token, account) % _PIN_DIGITS:07}"
        self._granted[token] = account, pin
        return f"You are signed in as @{account}. Enter this PIN to authorize the app: {pin}\n"

    def _access_token(self, given: dict[str, str]) -> str:
        token = given.get("oauth_token", "")
        account, pin = self._granted.get(token, ("", ""))
        if not pin or given.get("oauth_verifier") != pin:
            raise error_responses.WRONG_PIN.error()
        del self._pending[token], self._granted[token]
        granted = self.world.user_token(account)
        return urlencode(
            {
                "oauth_token": granted.token,
                "oauth_token_secret": granted.secret,
                "user_id": self.world.author_id(account),
                "screen_name": account,
            }
        )
