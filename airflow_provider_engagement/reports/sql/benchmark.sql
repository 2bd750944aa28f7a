-- A row is an account: its public counts per Tweet, beside those of the other accounts.
-- Time base: by post. An account whose own tokens were used is compared by its own Tweets. The other
-- accounts are those that are pulled app-only, each by a connection with its own account. Counts are
-- the newest to date, and averages over the Tweets that have the count.
--
-- account STRING: The account of the connection.
-- access STRING: owner for an account with tokens of its own, public for one that is pulled app-only.
-- tweets INT64: How many of its Tweets have counts.
-- favorites_per_tweet FLOAT64: Likes per Tweet, to date.
-- retweets_per_tweet FLOAT64: Retweets per Tweet, to date.
-- replies_per_tweet FLOAT64: Replies per Tweet, to date.
-- quote_tweets_per_tweet FLOAT64: Quotes per Tweet, to date.
-- video_views_per_tweet FLOAT64: Video views per Tweet, to date. As /totals counts video views, over the Tweets that have them.
-- other_tweets INT64: How many Tweets of the other accounts have counts.
-- other_favorites_per_tweet FLOAT64: Likes per Tweet of the other accounts, all their Tweets together. Null if there is no other account.
-- other_retweets_per_tweet FLOAT64: Retweets per Tweet of the other accounts, all their Tweets together. Null if there is no other account.
-- other_replies_per_tweet FLOAT64: Replies per Tweet of the other accounts, all their Tweets together. Null if there is no other account.
-- other_quote_tweets_per_tweet FLOAT64: Quotes per Tweet of the other accounts, all their Tweets together. Null if there is no other account.
-- other_video_views_per_tweet FLOAT64: Video views per Tweet of the other accounts, all their Tweets together. Null if there is no other account.

WITH
accounts AS (
  SELECT account, MIN(access) AS access
  FROM {latest}
  GROUP BY account
),
sums AS (
  -- Leave out the Tweets of others that an owner's connection counted app-only.
  SELECT
    latest.account,
    latest.access,
    COUNT(*) AS tweets,
    SUM(latest.favorites) AS favorites,
    COUNT(latest.favorites) AS favorites_tweets,
    SUM(latest.retweets) AS retweets,
    COUNT(latest.retweets) AS retweets_tweets,
    SUM(latest.replies) AS replies,
    COUNT(latest.replies) AS replies_tweets,
    SUM(latest.quote_tweets) AS quote_tweets,
    COUNT(latest.quote_tweets) AS quote_tweets_tweets,
    SUM(latest.video_views) AS video_views,
    COUNT(latest.video_views) AS video_views_tweets
  FROM {latest} AS latest
  JOIN accounts ON accounts.account = latest.account AND accounts.access = latest.access
  GROUP BY latest.account, latest.access
),
others AS (
  SELECT
    sums.account,
    SUM(other.tweets) AS tweets,
    SAFE_DIVIDE(SUM(other.favorites), SUM(other.favorites_tweets)) AS favorites,
    SAFE_DIVIDE(SUM(other.retweets), SUM(other.retweets_tweets)) AS retweets,
    SAFE_DIVIDE(SUM(other.replies), SUM(other.replies_tweets)) AS replies,
    SAFE_DIVIDE(SUM(other.quote_tweets), SUM(other.quote_tweets_tweets)) AS quote_tweets,
    SAFE_DIVIDE(SUM(other.video_views), SUM(other.video_views_tweets)) AS video_views
  FROM sums
  JOIN sums AS other ON other.account <> sums.account AND other.access = 'public'
  GROUP BY sums.account
)
SELECT
  sums.account,
  sums.access,
  sums.tweets,
  SAFE_DIVIDE(sums.favorites, sums.favorites_tweets) AS favorites_per_tweet,
  SAFE_DIVIDE(sums.retweets, sums.retweets_tweets) AS retweets_per_tweet,
  SAFE_DIVIDE(sums.replies, sums.replies_tweets) AS replies_per_tweet,
  SAFE_DIVIDE(sums.quote_tweets, sums.quote_tweets_tweets) AS quote_tweets_per_tweet,
  SAFE_DIVIDE(sums.video_views, sums.video_views_tweets) AS video_views_per_tweet,
  others.tweets AS other_tweets,
  others.favorites AS other_favorites_per_tweet,
  others.retweets AS other_retweets_per_tweet,
  others.replies AS other_replies_per_tweet,
  others.quote_tweets AS other_quote_tweets_per_tweet,
  others.video_views AS other_video_views_per_tweet
FROM sums
LEFT JOIN others ON others.account = sums.account
