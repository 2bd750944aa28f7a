-- A row is a Tweet and age, whichever account has it: its counts until it was that old.
-- Time base: by post. The view of campaigns is built on it. Of several accounts that have the Tweet,
-- the owner's counts are here.
--
-- tweet_id STRING: The Tweet's id, as text.
-- account STRING: The account of the connection.
-- access STRING: owner, or public if all counts were fetched app-only.
-- snapshot_at TIMESTAMP: At age all the snapshot of the newest count, else until when the counts reach.
-- age STRING: all (counts to date), 24 hours, 7 days or 28 days.
-- age_hours INT64: The age in hours: 24, 168 or 672. Null at age all.
-- basis STRING: hour or day: what the counts are summed from. Empty at age all.
-- impressions INT64: How often it was seen at this age.
-- engagements INT64: All interactions at this age.
-- favorites INT64: Likes at this age.
-- retweets INT64: Retweets at this age.
-- replies INT64: Replies at this age.
-- quote_tweets INT64: Quotes at this age. Only at age all: the time series do not count them.
-- video_views INT64: Video views at this age. At age all as /totals counts them, at other ages as the time series do. The two count different things: never add or compare them.
-- media_views INT64: Views of media at this age. Null at age all: /totals does not count them.
-- media_engagements INT64: Clicks on media at this age. Null at age all: /totals does not count them.
-- url_clicks INT64: Clicks on links at this age. Null at age all: /totals does not count them.
-- hashtag_clicks INT64: Clicks on hashtags at this age. Null at age all: /totals does not count them.
-- detail_expands INT64: Expansions of details at this age. Null at age all: /totals does not count them.
-- permalink_clicks INT64: Clicks on permalinks at this age. Null at age all: /totals does not count them.
-- app_install_attempts INT64: Attempts to install an app at this age. Null at age all: /totals does not count them.
-- app_opens INT64: Apps opened at this age. Null at age all: /totals does not count them.
-- email_tweet INT64: Shares by email at this age. Null at age all: /totals does not count them.
-- user_follows INT64: Follows of the authors at this age. Null at age all: /totals does not count them.
-- user_profile_clicks INT64: Clicks on the authors' profiles at this age. Null at age all: /totals does not count them.
-- engagement_rate FLOAT64: engagements / impressions. Null if one of them is missing or impressions are 0.

WITH
counts AS (
  SELECT
    tweet_id,
    account,
    access,
    snapshot_at,
    'all' AS age,
    CAST(NULL AS INT64) AS age_hours,
    '' AS basis,
    impressions,
    engagements,
    favorites,
    retweets,
    replies,
    quote_tweets,
    video_views,
    CAST(NULL AS INT64) AS media_views,
    CAST(NULL AS INT64) AS media_engagements,
    CAST(NULL AS INT64) AS url_clicks,
    CAST(NULL AS INT64) AS hashtag_clicks,
    CAST(NULL AS INT64) AS detail_expands,
    CAST(NULL AS INT64) AS permalink_clicks,
    CAST(NULL AS INT64) AS app_install_attempts,
    CAST(NULL AS INT64) AS app_opens,
    CAST(NULL AS INT64) AS email_tweet,
    CAST(NULL AS INT64) AS user_follows,
    CAST(NULL AS INT64) AS user_profile_clicks,
    engagement_rate
  FROM {latest}
  UNION ALL
  SELECT
    tweet_id,
    account,
    'owner',
    window_end,
    age,
    age_hours,
    basis,
    impressions,
    engagements,
    favorites,
    retweets,
    replies,
    NULL,
    video_views,
    media_views,
    media_engagements,
    url_clicks,
    hashtag_clicks,
    detail_expands,
    permalink_clicks,
    app_install_attempts,
    app_opens,
    email_tweet,
    user_follows,
    user_profile_clicks,
    engagement_rate
  FROM {growth}
  WHERE age_hours IN (24, 168, 672)
)
-- Of a Tweet that several accounts have, the owner's counts.
SELECT *
FROM counts
QUALIFY ROW_NUMBER() OVER (
  PARTITION BY tweet_id, age ORDER BY access, snapshot_at DESC, basis DESC, account
) = 1
