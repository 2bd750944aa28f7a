-- A row is a Tweet and UTC day: what happened on that day. The views of days are built on it.
-- Time base: by day. Only complete answers count, and of several the newest.
-- A day's count is the row of the day, else the sum of its hours if every hour since the Tweet was
-- posted is there, else null. The two are never added.
--
-- account STRING: The account of the connection.
-- tweet_id STRING: The Tweet's id, as text.
-- date DATE: The UTC day.
-- created_at TIMESTAMP: When it was posted, by its id. Null before 2010-11-04.
-- impressions INT64: How often it was seen on that day.
-- engagements INT64: All interactions on that day.
-- favorites INT64: Likes on that day.
-- retweets INT64: Retweets on that day.
-- replies INT64: Replies on that day.
-- video_views INT64: Video views on that day. As the time series count video views. Never add it to or compare it with the video views of /totals, which count something else.
-- media_views INT64: Views of its media on that day.
-- media_engagements INT64: Clicks on its media on that day.
-- url_clicks INT64: Clicks on its links on that day.
-- hashtag_clicks INT64: Clicks on its hashtags on that day.
-- detail_expands INT64: Expansions of its details on that day.
-- permalink_clicks INT64: Clicks on its permalink on that day.
-- app_install_attempts INT64: Attempts to install an app from it on that day.
-- app_opens INT64: Apps opened from it on that day.
-- email_tweet INT64: Times it was shared by email on that day.
-- user_follows INT64: Follows of its author from it on that day.
-- user_profile_clicks INT64: Clicks on its author's profile on that day.

WITH
newest AS (
  SELECT
    account,
    tweet_id,
    engagement_type,
    granularity,
    date,
    period_start,
    MAX(tweet_created_at) AS tweet_created_at,
    MAX_BY(value, collected_at) AS value
  FROM {rows}
  WHERE granularity IN ('day', 'hour') AND complete
    AND tweet_id IS NOT NULL AND engagement_type IS NOT NULL
  GROUP BY account, tweet_id, engagement_type, granularity, date, period_start
),
by_type AS (
  SELECT
    account,
    tweet_id,
    engagement_type,
    date,
    MAX(tweet_created_at) AS created_at,
    MAX(IF(granularity = 'day', value, NULL)) AS of_day,
    SUM(IF(granularity = 'hour', value, NULL)) AS of_hours,
    COUNTIF(granularity = 'hour') AS hours
  FROM newest
  GROUP BY account, tweet_id, engagement_type, date
),
whole AS (
  SELECT account, tweet_id, engagement_type, date, created_at, IFNULL(of_day, of_hours) AS value
  FROM by_type
  WHERE of_day IS NOT NULL
    -- The hours before it was posted have no rows.
    OR hours = 24 - IF(DATE(created_at) = date, EXTRACT(HOUR FROM created_at), 0)
)
SELECT
  account,
  tweet_id,
  date,
  MAX(created_at) AS created_at,
  MAX(IF(engagement_type = 'impressions', value, NULL)) AS impressions,
  MAX(IF(engagement_type = 'engagements', value, NULL)) AS engagements,
  MAX(IF(engagement_type = 'favorites', value, NULL)) AS favorites,
  MAX(IF(engagement_type = 'retweets', value, NULL)) AS retweets,
  MAX(IF(engagement_type = 'replies', value, NULL)) AS replies,
  MAX(IF(engagement_type = 'video_views', value, NULL)) AS video_views,
  MAX(IF(engagement_type = 'media_views', value, NULL)) AS media_views,
  MAX(IF(engagement_type = 'media_engagements', value, NULL)) AS media_engagements,
  MAX(IF(engagement_type = 'url_clicks', value, NULL)) AS url_clicks,
  MAX(IF(engagement_type = 'hashtag_clicks', value, NULL)) AS hashtag_clicks,
  MAX(IF(engagement_type = 'detail_expands', value, NULL)) AS detail_expands,
  MAX(IF(engagement_type = 'permalink_clicks', value, NULL)) AS permalink_clicks,
  MAX(IF(engagement_type = 'app_install_attempts', value, NULL)) AS app_install_attempts,
  MAX(IF(engagement_type = 'app_opens', value, NULL)) AS app_opens,
  MAX(IF(engagement_type = 'email_tweet', value, NULL)) AS email_tweet,
  MAX(IF(engagement_type = 'user_follows', value, NULL)) AS user_follows,
  MAX(IF(engagement_type = 'user_profile_clicks', value, NULL)) AS user_profile_clicks
FROM whole
GROUP BY account, tweet_id, date
