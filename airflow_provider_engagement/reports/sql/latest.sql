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
-- collected_at TIMESTAMP: When the API responded with a count of that snapshot.
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
snapshots AS (
  SELECT
    *,
    -- The newest snapshot comes first. The first answer of a snapshot stands.
    UNIX_SECONDS(snapshot_at) * 2147483648 - UNIX_SECONDS(collected_at) AS priority
  FROM {rows}
  WHERE granularity = 'lifetime' AND tweet_id IS NOT NULL AND engagement_type IS NOT NULL
),
counts AS (
  SELECT
    account,
    tweet_id,
    MIN(access) AS access,
    MAX(tweet_created_at) AS created_at,
    MAX(snapshot_at) AS snapshot_at,
    MAX_BY(collected_at, priority) AS collected_at,
    MAX_BY(IF(engagement_type = 'impressions', value, NULL), IF(engagement_type = 'impressions', priority, NULL)) AS impressions,
    MAX_BY(IF(engagement_type = 'engagements', value, NULL), IF(engagement_type = 'engagements', priority, NULL)) AS engagements,
    MAX_BY(IF(engagement_type = 'favorites', value, NULL), IF(engagement_type = 'favorites', priority, NULL)) AS favorites,
    MAX_BY(IF(engagement_type = 'retweets', value, NULL), IF(engagement_type = 'retweets', priority, NULL)) AS retweets,
    MAX_BY(IF(engagement_type = 'replies', value, NULL), IF(engagement_type = 'replies', priority, NULL)) AS replies,
    MAX_BY(IF(engagement_type = 'quote_tweets', value, NULL), IF(engagement_type = 'quote_tweets', priority, NULL)) AS quote_tweets,
    MAX_BY(IF(engagement_type = 'video_views', value, NULL), IF(engagement_type = 'video_views', priority, NULL)) AS video_views,
    MAX(IF(engagement_type = 'impressions', snapshot_at, NULL)) AS impressions_at,
    MAX(IF(engagement_type = 'engagements', snapshot_at, NULL)) AS engagements_at,
    MAX(IF(engagement_type = 'favorites', snapshot_at, NULL)) AS favorites_at,
    MAX(IF(engagement_type = 'retweets', snapshot_at, NULL)) AS retweets_at,
    MAX(IF(engagement_type = 'replies', snapshot_at, NULL)) AS replies_at,
    MAX(IF(engagement_type = 'quote_tweets', snapshot_at, NULL)) AS quote_tweets_at,
    MAX(IF(engagement_type = 'video_views', snapshot_at, NULL)) AS video_views_at
  FROM snapshots
  GROUP BY account, tweet_id
)
SELECT
  *,
  IF(impressions_at = engagements_at, SAFE_DIVIDE(engagements, impressions), NULL) AS engagement_rate
FROM counts
