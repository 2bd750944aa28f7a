"""The queries of a report, one for each of its sections. GoogleSQL over the views."""

from __future__ import annotations

from typing import Final

from airflow_provider_engagement.api.spec import ENGAGEMENT_TYPES
from airflow_provider_engagement.reports.views import view

__all__ = [
    "ACCOUNTS",
    "BENCHMARK",
    "CAMPAIGNS",
    "DAYS",
    "GROUPS",
    "GROWTH",
    "KINDS",
    "MISSING",
    "SAMPLES",
    "TOP_TWEETS",
]

# A campaign with more Tweets than this is divided into as many random groups: a bootstrap of groups
# has the same intervals. A prime, so that the groups do not depend on the time in the ids.
GROUPS: Final = 397


def _of(name: str) -> tuple[str, ...]:
    """Return the engagement types that a view has a column for."""
    found = {column.name for column in view(name).columns}
    return tuple(each for each in ENGAGEMENT_TYPES if each in found)


# Leave out the Tweets of others that an owner's connection counts.
_OWN: Final = "own AS (SELECT account, MIN(access) AS access FROM {latest} GROUP BY account)"

DAYS: Final = f"""
SELECT account, date, tweets, {", ".join(_of("daily"))}, engagement_rate
FROM {{daily}}
WHERE date >= IFNULL(
    SAFE_CAST(@first AS DATE),
    DATE_SUB((SELECT MAX(date) FROM {{daily}}), INTERVAL @days DAY)
  )
  AND date < IFNULL(SAFE_CAST(@end AS DATE), DATE '9999-12-31')
ORDER BY account, date
"""  # noqa: S608 - only names of columns are inserted
"""From ``@first`` to before ``@end``, as text; without them the last ``@days`` days with counts."""

ACCOUNTS: Final = f"""
WITH {_OWN}
SELECT
  latest.account,
  latest.access,
  COUNT(*) AS tweets,
  {", ".join(f"SUM(latest.{each}) AS {each}" for each in _of("latest"))},
  SAFE_DIVIDE(
    SUM(IF(latest.engagement_rate IS NULL, NULL, latest.engagements)),
    SUM(IF(latest.engagement_rate IS NULL, NULL, latest.impressions))
  ) AS engagement_rate,
  MAX(latest.snapshot_at) AS snapshot_at
FROM {{latest}} AS latest
JOIN own ON own.account = latest.account AND own.access = latest.access
GROUP BY latest.account, latest.access
ORDER BY latest.account
"""  # noqa: S608 - only names of columns are inserted

BENCHMARK: Final = "SELECT * FROM {benchmark} ORDER BY account"

TOP_TWEETS: Final = f"""
WITH {_OWN}
SELECT
  best.account, best.engagement_type, best.`rank`, best.tweet_id, best.value, best.text, best.url,
  best.created_at
FROM {{top}} AS best
JOIN own ON own.account = best.account AND own.access = best.access
WHERE best.`rank` <= @top
QUALIFY ROW_NUMBER() OVER (
  PARTITION BY best.account, best.engagement_type ORDER BY best.`rank`, best.tweet_id
) <= @top
ORDER BY best.account, best.engagement_type, best.`rank`, best.tweet_id
"""  # noqa: S608 - only names of columns are inserted

CAMPAIGNS: Final = """
SELECT *
FROM {campaigns}
WHERE label = @label
ORDER BY campaign, IFNULL(age_hours, 0)
"""

SAMPLES: Final = f"""
WITH
at_age AS ({{at_age}}),
labelled AS (
  SELECT
    label_rows.value AS campaign, at_age.age, at_age.tweet_id, at_age.impressions,
    at_age.engagements,
    COUNT(*) OVER (PARTITION BY label_rows.value, at_age.age) AS tweets
  FROM {{labels}} AS label_rows
  JOIN at_age ON at_age.tweet_id = label_rows.tweet_id
  WHERE label_rows.label = @label
    AND at_age.age IN ('all', @age)
    AND label_rows.value IN UNNEST(@campaigns)
    AND at_age.engagement_rate IS NOT NULL
),
numbered AS (
  SELECT
    *,
    IF(tweets <= {GROUPS}, tweet_id, CAST(MOD(CAST(tweet_id AS INT64), {GROUPS}) AS STRING)) AS part
  FROM labelled
)
SELECT
  campaign, age, MAX(tweets) AS tweets, SUM(impressions) AS impressions,
  SUM(engagements) AS engagements
FROM numbered
GROUP BY campaign, age, part
ORDER BY campaign, age, part
"""  # noqa: S608 - only a constant is inserted

KINDS: Final = "SELECT * FROM {types} ORDER BY account, dimension, kind"

GROWTH: Final = """
WITH
counted AS (
  SELECT
    tweet_id, age, age_hours, impressions, engagements,
    MAX(age_hours) OVER (PARTITION BY account, tweet_id) AS last_age,
    COUNT(*) OVER (PARTITION BY account, tweet_id) AS ages
  FROM {growth}
  WHERE impressions IS NOT NULL AND engagements IS NOT NULL
)
SELECT
  last_age, ages, age, age_hours, COUNT(*) AS tweets,
  AVG(impressions) AS impressions, AVG(engagements) AS engagements,
  SAFE_DIVIDE(SUM(engagements), SUM(impressions)) AS engagement_rate
FROM counted
GROUP BY last_age, ages, age, age_hours
ORDER BY last_age DESC, ages DESC, age_hours
"""
"""Tweets that are known at the same ages are averaged together: a curve is of the same Tweets."""

MISSING: Final = """
WITH newest AS (
  SELECT account, endpoint, status, reason, missing_types
  FROM {coverage}
  QUALIFY ROW_NUMBER() OVER (
    PARTITION BY account, endpoint, tweet_id ORDER BY date DESC, collected_at DESC
  ) = 1
)
SELECT account, endpoint, status, reason, missing_types, COUNT(*) AS tweets
FROM newest
GROUP BY account, endpoint, status, reason, missing_types
ORDER BY account, endpoint, tweets DESC, status, reason, missing_types
"""
