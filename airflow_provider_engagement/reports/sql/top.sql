-- A row is a Tweet and type: its rank among the Tweets of its account by its newest count to date.
-- Time base: by post. The counts are those of the view of newest counts.
--
-- account STRING: The account of the connection.
-- access STRING: owner, or public if it was fetched app-only. Each is ranked by itself.
-- engagement_type STRING: The type.
-- rank INT64: 1 for the highest count of the account and type. Equal counts have the same rank.
-- tweet_id STRING: The Tweet's id, as text.
-- value INT64: The count to date. video_views: as /totals counts video views. Never add it to or compare it with the video views of days and hours, which count something else.
-- snapshot_at TIMESTAMP: The snapshot that the count is from.
-- created_at TIMESTAMP: When it was posted, by its id. Null before 2010-11-04.
-- author_username STRING: The author's handle, without @. Null if it is not known.
-- text STRING: The text. Null if it is not known.
-- url STRING: The post's URL.

WITH
counts AS (
  SELECT account, access, tweet_id, created_at, 'impressions' AS engagement_type, impressions AS value,
    impressions_at AS snapshot_at
  FROM {latest}
  UNION ALL
  SELECT account, access, tweet_id, created_at, 'engagements' AS engagement_type, engagements AS value,
    engagements_at AS snapshot_at
  FROM {latest}
  UNION ALL
  SELECT account, access, tweet_id, created_at, 'favorites' AS engagement_type, favorites AS value,
    favorites_at AS snapshot_at
  FROM {latest}
  UNION ALL
  SELECT account, access, tweet_id, created_at, 'retweets' AS engagement_type, retweets AS value,
    retweets_at AS snapshot_at
  FROM {latest}
  UNION ALL
  SELECT account, access, tweet_id, created_at, 'replies' AS engagement_type, replies AS value,
    replies_at AS snapshot_at
  FROM {latest}
  UNION ALL
  SELECT account, access, tweet_id, created_at, 'quote_tweets' AS engagement_type, quote_tweets AS value,
    quote_tweets_at AS snapshot_at
  FROM {latest}
  UNION ALL
  SELECT account, access, tweet_id, created_at, 'video_views' AS engagement_type, video_views AS value,
    video_views_at AS snapshot_at
  FROM {latest}
),
places AS (
  -- Rank the values, because there are far fewer values than Tweets.
  SELECT
    account,
    access,
    engagement_type,
    value,
    1 + IFNULL(
      SUM(COUNT(*)) OVER (
        PARTITION BY account, access, engagement_type
        ORDER BY value DESC
        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
      ),
      0
    ) AS place
  FROM counts
  WHERE value IS NOT NULL
  GROUP BY account, access, engagement_type, value
)
SELECT
  counts.account,
  counts.access,
  counts.engagement_type,
  places.place AS `rank`,
  counts.tweet_id,
  counts.value,
  counts.snapshot_at,
  counts.created_at,
  tweets.author_username,
  tweets.text,
  IFNULL(tweets.url, CONCAT('https://x.com/i/status/', counts.tweet_id)) AS url
FROM counts
JOIN places
  ON places.account = counts.account
  AND places.access = counts.access
  AND places.engagement_type = counts.engagement_type
  AND places.value = counts.value
LEFT JOIN {tweets} AS tweets ON tweets.tweet_id = counts.tweet_id
