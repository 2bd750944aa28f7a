-- A row is a Tweet: its newest count to date of each type.
-- Time base: by post. The counts are all that happened since the Tweet was posted.
-- They come from /totals, whichever snapshot has the newest of each type: the service stops counting
-- impressions, engagements and video views of old Tweets. Other types are not counted to date.
--
-- account STRING: The account of the connection.
-- tweet_id STRING: The Tweet's id, as text.
-- access STRING: owner, or public if all counts were fetched app-only.
-- created_at TIMESTAMP: When it was posted, by its id. Null before 2010-11-04.
-- snapshot_at TIMESTAMP: The snapshot of the newest of these counts.
-- collected_at TIMESTAMP: When the API last responded with one of these counts.
-- impressions INT64: How often it was seen to date.
-- engagements INT64: All interactions to date.
-- favorites INT64: Likes to date.
-- retweets INT64: Retweets to date.
-- replies INT64: Replies to date.
-- quote_tweets INT64: Quotes to date.
-- video_views INT64: Video views to date. As /totals counts video views. Never add it to or compare it with the video views of days and hours, which count something else.
-- impressions_at TIMESTAMP: The snapshot that impressions is from.
-- engagements_at TIMESTAMP: The snapshot that engagements is from.
-- favorites_at TIMESTAMP: The snapshot that favorites is from.
-- retweets_at TIMESTAMP: The snapshot that retweets is from.
-- replies_at TIMESTAMP: The snapshot that replies is from.
-- quote_tweets_at TIMESTAMP: The snapshot that quote_tweets is from.
-- video_views_at TIMESTAMP: The snapshot that video_views is from.
-- engagement_rate FLOAT64: engagements / impressions. Null if one of them is missing, if they are of different snapshots, or if impressions are 0.

WITH
newest AS (
  -- The newest snapshot of each count. The first answer of a snapshot stands.
  SELECT account, tweet_id, engagement_type, access, tweet_created_at, snapshot_at, collected_at, value
  FROM {rows}
  WHERE granularity = 'lifetime' AND tweet_id IS NOT NULL AND engagement_type IS NOT NULL
  QUALIFY ROW_NUMBER() OVER (
    PARTITION BY account, tweet_id, engagement_type
    ORDER BY snapshot_at DESC, collected_at, value
  ) = 1
),
counts AS (
  SELECT
    account,
    tweet_id,
    MIN(access) AS access,
    MAX(tweet_created_at) AS created_at,
    MAX(snapshot_at) AS snapshot_at,
    MAX(collected_at) AS collected_at,
    MAX(IF(engagement_type = 'impressions', value, NULL)) AS impressions,
    MAX(IF(engagement_type = 'engagements', value, NULL)) AS engagements,
    MAX(IF(engagement_type = 'favorites', value, NULL)) AS favorites,
    MAX(IF(engagement_type = 'retweets', value, NULL)) AS retweets,
    MAX(IF(engagement_type = 'replies', value, NULL)) AS replies,
    MAX(IF(engagement_type = 'quote_tweets', value, NULL)) AS quote_tweets,
    MAX(IF(engagement_type = 'video_views', value, NULL)) AS video_views,
    MAX(IF(engagement_type = 'impressions', snapshot_at, NULL)) AS impressions_at,
    MAX(IF(engagement_type = 'engagements', snapshot_at, NULL)) AS engagements_at,
    MAX(IF(engagement_type = 'favorites', snapshot_at, NULL)) AS favorites_at,
    MAX(IF(engagement_type = 'retweets', snapshot_at, NULL)) AS retweets_at,
    MAX(IF(engagement_type = 'replies', snapshot_at, NULL)) AS replies_at,
    MAX(IF(engagement_type = 'quote_tweets', snapshot_at, NULL)) AS quote_tweets_at,
    MAX(IF(engagement_type = 'video_views', snapshot_at, NULL)) AS video_views_at
  FROM newest
  GROUP BY account, tweet_id
)
SELECT
  *,
  IF(impressions_at = engagements_at, SAFE_DIVIDE(engagements, impressions), NULL) AS engagement_rate
FROM counts
