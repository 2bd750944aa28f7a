-- A row is an account and a kind of Tweet: what Tweets of this kind usually have to date.
-- Time base: by post. The counts are the newest counts to date of the account's own Tweets. Older
-- Tweets have had more time. A Tweet whose kind is not known is left out.
--
-- account STRING: The account of the connection.
-- dimension STRING: media, link, type or hour: what the Tweets are divided by.
-- kind STRING: media: none, photo, video, animated_gif or mixed. link: link or no link. type: post, reply, quote or repost. hour: the hour of posting (UTC), 00 to 23.
-- tweets INT64: How many Tweets of this kind have counts.
-- rated_tweets INT64: How many of them have an engagement rate.
-- median_impressions FLOAT64: The median of the impressions of these Tweets.
-- median_engagements FLOAT64: The median of the engagements of these Tweets.
-- median_engagement_rate FLOAT64: The median of the engagement rates of these Tweets.
-- engagement_rate FLOAT64: engagements / impressions of all these Tweets together. Null if no Tweet has both, or impressions are 0.

WITH
own AS (
  SELECT account, tweet_id, created_at, impressions, engagements, engagement_rate
  FROM {latest}
  WHERE access = 'owner'
),
described AS (
  SELECT own.*, tweets.media_type, tweets.has_link, tweets.tweet_type
  FROM own
  LEFT JOIN {tweets} AS tweets ON tweets.tweet_id = own.tweet_id
),
kinds AS (
  SELECT 'media' AS dimension, media_type AS kind, described.* FROM described
  UNION ALL
  SELECT 'link', IF(has_link, 'link', IF(NOT has_link, 'no link', NULL)), described.*
  FROM described
  UNION ALL
  SELECT 'type', tweet_type, described.* FROM described
  UNION ALL
  SELECT 'hour', FORMAT_TIMESTAMP('%H', created_at), described.* FROM described
),
medians AS (
  SELECT
    account,
    dimension,
    kind,
    impressions,
    engagements,
    engagement_rate,
    PERCENTILE_CONT(impressions, 0.5) OVER (PARTITION BY account, dimension, kind) AS median_impressions,
    PERCENTILE_CONT(engagements, 0.5) OVER (PARTITION BY account, dimension, kind) AS median_engagements,
    PERCENTILE_CONT(engagement_rate, 0.5) OVER (PARTITION BY account, dimension, kind) AS median_engagement_rate
  FROM kinds
  WHERE kind IS NOT NULL
)
SELECT
  account,
  dimension,
  kind,
  COUNT(*) AS tweets,
  COUNT(engagement_rate) AS rated_tweets,
  MAX(median_impressions) AS median_impressions,
  MAX(median_engagements) AS median_engagements,
  MAX(median_engagement_rate) AS median_engagement_rate,
  SAFE_DIVIDE(
    SUM(IF(engagement_rate IS NULL, NULL, engagements)),
    SUM(IF(engagement_rate IS NULL, NULL, impressions))
  ) AS engagement_rate
FROM medians
GROUP BY account, dimension, kind
