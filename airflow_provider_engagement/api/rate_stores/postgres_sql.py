"""The statements of the PostgreSQL store. Each is one atomic step, by the server's clock.

An upsert locks the row of its app and endpoint. Its ``SET`` computes the new state from the state
under that lock, and leaves its answer in the row, from where ``RETURNING`` reads it. The statement
that inserts the row answers nothing, and is repeated.
"""

# ruff: noqa: S608 - the f-strings insert constants of this package; values are sent as parameters

from __future__ import annotations

from typing import Final

from airflow_provider_engagement.api.rate_stores.base import (
    FIRST_DEFAULT_WAIT,
    LEASE,
    MAX_DEFAULT_WAIT,
    MAX_REFUSALS,
    MAX_WAIT,
    RECOVERY,
)

__all__ = ["CREATE", "RECORD", "REJOIN", "STATUS", "TABLE", "TAKE"]

TABLE: Final = "engagement_rate_limits"

CREATE: Final = (
    f"CREATE TABLE IF NOT EXISTS {TABLE} (key text PRIMARY KEY, "
    "next_slot float8 NOT NULL DEFAULT 0, blocked_until float8 NOT NULL DEFAULT 0, "
    "reported_limit float8 NOT NULL DEFAULT 0, refusals float8 NOT NULL DEFAULT 0, "
    "recovers_at float8 NOT NULL DEFAULT 0, members jsonb NOT NULL DEFAULT '{}', "
    "answer float8[] NOT NULL DEFAULT '{}')"
)

_UPSERT: Final = f"INSERT INTO {TABLE} AS held (key) VALUES (%(key)s) ON CONFLICT (key) DO UPDATE"

# After a start of the server, workers may still be using their shares of the contract.
_TIMES: Final = f"""
  (SELECT extract(epoch FROM clock_timestamp())::float8 AS now) AS clock
  CROSS JOIN LATERAL (SELECT
    greatest(held.blocked_until - now, 0) AS blocked,
    greatest(held.recovers_at - now,
             extract(epoch FROM pg_postmaster_start_time())::float8 + {RECOVERY} - now,
             0) AS recovering
  ) AS waits
"""

_OTHERS: Final = """
  CROSS JOIN LATERAL (SELECT
    coalesce(jsonb_object_agg(name, value), '{}') AS others,
    count(*) AS number,
    coalesce(sum((value->>1)::float8), 0) AS shares
    FROM jsonb_each(held.members) AS member (name, value)
    WHERE name <> %(member)s AND (value->>0)::float8 > now
  ) AS active
"""

TAKE: Final = f"""{_UPSERT} SET (next_slot, members, answer) = (SELECT
    coalesce(slot + 60 / nullif(rate, 0) * %(slack)s::float8, slot, held.next_slot),
    others || jsonb_build_object(
      %(member)s::text, jsonb_build_array(coalesce(slot, now) + {LEASE}, share)),
    ARRAY[coalesce(slot - now, -1), blocked, held.reported_limit, held.refusals, share, recovering]
  FROM {_TIMES} {_OTHERS}
  CROSS JOIN LATERAL (SELECT
    CASE WHEN recovering > 0 THEN %(share)s::float8
         ELSE greatest(0, least(1::float8 / (number + 1), 1 - shares)) END AS share,
    CASE WHEN recovering = 0 AND blocked <= {MAX_WAIT}
         THEN greatest(now, held.next_slot, held.blocked_until) END AS slot,
    CASE WHEN %(contract)s::float8 > 0 THEN %(contract)s::float8
         ELSE held.reported_limit END AS rate
  ) AS taken
) RETURNING answer"""

REJOIN: Final = f"""{_UPSERT} SET (recovers_at, members, answer) = (SELECT
    now + pause,
    others || jsonb_build_object(
      %(member)s::text, jsonb_build_array(now + {LEASE}, %(share)s::float8)),
    ARRAY[pause]
  FROM {_TIMES} {_OTHERS}
  CROSS JOIN LATERAL (SELECT greatest(
    recovering, %(period)s::float8, CASE WHEN recovering = 0 THEN {RECOVERY} END) AS pause
  ) AS rejoined
) RETURNING answer"""

RECORD: Final = f"""{_UPSERT} SET
  (blocked_until, reported_limit, refusals, answer) = (SELECT
    until,
    coalesce(%(limit)s::float8, held.reported_limit),
    CASE WHEN NOT %(refused)s::bool THEN 0
         WHEN blocked = 0 THEN least(held.refusals + 1, {MAX_REFUSALS})
         ELSE held.refusals END,
    ARRAY[greatest(until - now, 0)]
  FROM {_TIMES}
  CROSS JOIN LATERAL (SELECT coalesce(%(wait)s::float8, CASE WHEN %(refused)s::bool AND blocked = 0
    THEN least({FIRST_DEFAULT_WAIT} * 2 ^ held.refusals, {MAX_DEFAULT_WAIT}) END) AS wait
  ) AS found
  CROSS JOIN LATERAL (SELECT greatest(held.blocked_until, now + wait) AS until) AS block
) RETURNING answer"""

STATUS: Final = f"""SELECT ARRAY[blocked, held.reported_limit]
FROM {TABLE} AS held CROSS JOIN LATERAL (SELECT blocked FROM {_TIMES}) AS found
WHERE key = %(key)s"""
