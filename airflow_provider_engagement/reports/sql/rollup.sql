-- A row is a Tweet and UTC day, in the columns that social reporting models of dbt expect.
-- Time base: by day. The counts are what happened on that day.
--
-- created_timestamp TIMESTAMP: When the Tweet was posted, by its id. Null before 2010-11-04.
-- post_id STRING: The Tweet's id, as text.
-- post_message STRING: The text. Null if it is not known.
-- page_id STRING: The author's user id. Null if it is not known.
-- page_name STRING: The author's handle, or the account of the connection if it is not known.
-- post_url STRING: The post's URL.
-- source_relation STRING: The table or folder that the counts are from.
-- platform STRING: Always twitter, the name of the platform in those models.
-- clicks INT64: url_clicks: clicks on the links of the Tweet.
-- impressions INT64: How often the Tweet was seen on that day.
-- likes INT64: favorites.
-- shares INT64: retweets, without quotes, which the service does not count by day.
-- comments INT64: replies.
-- date_day DATE: The UTC day.

WITH
days AS ({days})
SELECT
  days.created_at AS created_timestamp,
  days.tweet_id AS post_id,
  tweets.text AS post_message,
  tweets.author_id AS page_id,
  IFNULL(tweets.author_username, days.account) AS page_name,
  IFNULL(tweets.url, CONCAT('https://x.com/i/status/', days.tweet_id)) AS post_url,
  {source} AS source_relation,
  'twitter' AS platform,
  days.url_clicks AS clicks,
  days.impressions,
  days.favorites AS likes,
  days.retweets AS shares,
  days.replies AS comments,
  days.date AS date_day
FROM days
LEFT JOIN {tweets} AS tweets ON tweets.tweet_id = days.tweet_id
