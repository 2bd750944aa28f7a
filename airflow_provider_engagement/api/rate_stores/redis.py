"""The shared rate in Redis or Valkey: one hash per app and endpoint, changed by Lua scripts."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_engagement.api.errors import AuthenticationError
from airflow_provider_engagement.api.rate_stores.base import (
    FIRST_DEFAULT_WAIT,
    LEASE,
    MAX_DEFAULT_WAIT,
    MAX_REFUSALS,
    MAX_WAIT,
    RECOVERY,
    Grant,
    RateReport,
    Status,
    no_answer,
    not_installed,
    spacing,
)

if TYPE_CHECKING:
    from airflow_provider_engagement.api.settings import RateStoreSettings

__all__ = ["RedisStore"]

# Seconds that the server has to accept a connection, and to answer.
_TIMEOUT: Final = 1.0

# Seconds after which a hash that is not used is deleted.
_EXPIRY: Final = 86_400

# Each script begins with this: it reads the state, and until when the store assigns no slots.
# A server that has just started may have lost the note that workers still use their shares.
_STATE: Final = f"""
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local state, members = {{}}, {{}}
local raw = redis.call('HGETALL', KEYS[1])
for i = 1, #raw, 2 do
  local member = raw[i]:match('^member:(.+)')
  if member then
    local ends, share = raw[i + 1]:match('^(%S+) (%S+)$')
    if tonumber(ends) > now then
      members[member] = tonumber(share)
    else
      redis.call('HDEL', KEYS[1], raw[i])
    end
  else
    state[raw[i]] = tonumber(raw[i + 1])
  end
end
local function get(name) return state[name] or 0 end
local function set(name, value)
  state[name] = value
  redis.call('HSET', KEYS[1], name, string.format('%.6f', value))
end
local function join(member, share, ends)
  redis.call('HSET', KEYS[1], 'member:' .. member, string.format('%.6f %.6f', ends, share))
end
local info = redis.pcall('INFO', 'server')
local uptime = type(info) == 'string' and info:match('uptime_in_seconds:(%d+)')
local recovers = math.max(get('recovers') - now, uptime and {RECOVERY} - uptime or 0, 0)
local blocked = math.max(get('blocked') - now, 0)
local function reply(...)
  redis.call('EXPIRE', KEYS[1], {_EXPIRY})
  local texts = {{}}
  for i, value in ipairs({{...}}) do texts[i] = string.format('%.6f', value) end
  return texts
end
"""

_TAKE: Final = f"""
local member, share, contract, minute = ARGV[1], ARGV[2] + 0, ARGV[3] + 0, ARGV[4] + 0
if recovers > 0 then
  join(member, share, now + {LEASE})
  return reply(-1, blocked, get('limit'), get('refusals'), share, recovers)
end
local count, others = 1, 0
for name, held in pairs(members) do
  if name ~= member then
    count = count + 1
    others = others + held
  end
end
share = math.max(0, math.min(1 / count, 1 - others))
if blocked > {MAX_WAIT} then
  join(member, share, now + {LEASE})
  return reply(-1, blocked, get('limit'), get('refusals'), share, 0)
end
local slot = math.max(now, get('slot'), get('blocked'))
local rate = contract > 0 and contract or get('limit')
set('slot', slot + (rate > 0 and minute / rate or 0))
join(member, share, slot + {LEASE})
return reply(slot - now, blocked, get('limit'), get('refusals'), share, 0)
"""

_REJOIN: Final = f"""
local member, share, period = ARGV[1], ARGV[2] + 0, ARGV[3] + 0
recovers = math.max(recovers, period, recovers == 0 and {RECOVERY} or 0)
set('recovers', now + recovers)
join(member, share, now + {LEASE})
return reply(recovers)
"""

_RECORD: Final = f"""
local refused, wait, limit = ARGV[1] == '1', tonumber(ARGV[2]), tonumber(ARGV[3])
if limit then set('limit', limit) end
local new = refused and blocked == 0
if new and not wait then
  wait = math.min({FIRST_DEFAULT_WAIT} * 2 ^ get('refusals'), {MAX_DEFAULT_WAIT})
end
if wait then
  set('blocked', math.max(get('blocked'), now + wait))
end
if not refused then
  set('refusals', 0)
elseif new then
  set('refusals', math.min(get('refusals') + 1, {MAX_REFUSALS}))
end
return reply(math.max(get('blocked') - now, 0))
"""

_STATUS: Final = """
return reply(blocked, get('limit'))
"""


class RedisStore:
    """The shared rate of one app at one endpoint, in Redis 5 or later, or in Valkey.

    :param settings: where the server is.
    :param digest: a hash of whose rate it is.
    :raises InvalidArgumentError: if the client is not installed.
    """

    def __init__(self, settings: RateStoreSettings, digest: str) -> None:
        self.name = str(settings)
        self._key = f"airflow-engagement:{digest}"
        self._member = secrets.token_hex(8)
        self._has_answered = False
        self._client = _client(settings)
        self._scripts = {
            text: self._client.register_script(_STATE + text)
            for text in (_TAKE, _REJOIN, _RECORD, _STATUS)
        }

    def take(self, contract: float, share: float) -> Grant:
        """Take the next slot."""
        return Grant.from_numbers(self._run(_TAKE, self._member, share, contract, spacing(1)))

    def rejoin(self, share: float, period: float) -> float:
        """Report that this worker was without the store, and is back."""
        return self._run(_REJOIN, self._member, share, period)[0]

    def record(self, report: RateReport) -> float:
        """Record what a response says."""
        refused = int(report.is_refused)
        return self._run(_RECORD, refused, _given(report.wait), _given(report.limit))[0]

    def status(self) -> Status:
        """Return what the store holds."""
        blocked, limit = self._run(_STATUS)
        return Status(blocked, limit or None)

    def close(self) -> None:
        """Close the connections to the server."""
        self._client.close()

    def _run(self, text: str, *arguments: str | float) -> list[float]:
        import redis

        try:
            found = self._scripts[text](keys=[self._key], args=arguments)
        except redis.RedisError as error:
            failure = self._explain(error)
        else:
            self._has_answered = True
            return [float(number) for number in found]
        raise failure

    def _explain(self, error: Exception) -> Exception:
        """Return the error to raise. The client's own text is left out: it may hold a login."""
        from redis import exceptions

        refusals = exceptions.AuthenticationError, exceptions.NoPermissionError
        if isinstance(error, refusals) and not self._has_answered:
            return AuthenticationError(
                f"{self.name} refuses the user or the password ({type(error).__name__}).",
                advice="Correct the connection's login and password. The user needs EVALSHA, EVAL, "
                "SCRIPT, TIME, EXPIRE and the commands of hashes, on keys airflow-engagement:*.",
            )
        return no_answer(self.name, error)


def _given(value: float | None) -> str | float:
    return "" if value is None else value


def _client(settings: RateStoreSettings) -> Any:
    try:
        import redis
    except ImportError:
        raise not_installed(settings, "redis", "redis") from None
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    options: dict[str, Any] = {name: _option(value.reveal()) for name, value in settings.options}
    # A connection that the server has closed while it was not used is opened again.
    make_retry: Any = Retry
    retry = make_retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,))
    return redis.Redis(
        host=settings.host,
        port=settings.port,
        db=int(settings.database or 0),
        username=settings.login.reveal() if settings.login else None,
        password=settings.password.reveal() if settings.password else None,
        socket_timeout=_TIMEOUT,
        socket_connect_timeout=_TIMEOUT,
        retry=retry,
        **options,
    )


def _option(text: str) -> str | bool:
    return {"true": True, "false": False}.get(text.lower(), text)
