-- A row is a campaign and age: what its Tweets had until they were that old.
-- Time base: by post. A campaign is a label of the Tweets and a value of it. Each Tweet counts once,
-- also where several accounts have it. At an age, only the Tweets count whose counts are known at that
-- age, so that a young campaign is compared with an old one at the same age of the Tweets.
--
-- label STRING: The name of the label.
-- campaign STRING: The label's value.
-- age STRING: all (counts to date), 24 hours, 7 days or 28 days.
-- age_hours INT64: The age in hours: 24, 168 or 672. Null at age all.
-- labelled_tweets INT64: How many Tweets have this label and value, with or without counts.
-- tweets INT64: How many of them have counts at this age.
-- rated_tweets INT64: How many of them have an engagement rate at this age.
-- impressions INT64: How often the Tweets were seen at this age, summed over the Tweets that have the count.
-- engagements INT64: All interactions at this age, summed over the Tweets that have the count.
-- favorites INT64: Likes at this age, summed over the Tweets that have the count.
-- retweets INT64: Retweets at this age, summed over the Tweets that have the count.
-- replies INT64: Replies at this age, summed over the Tweets that have the count.
-- quote_tweets INT64: Quotes at this age, summed over the Tweets that have the count. Only at age all: the time series do not count them.
-- video_views INT64: Video views at this age, summed over the Tweets that have the count. At age all as /totals counts them, at other ages as the time series do. The two count different things: never add or compare them.
-- media_views INT64: Views of media at this age, summed over the Tweets that have the count. Null at age all: /totals does not count them.
-- media_engagements INT64: Clicks on media at this age, summed over the Tweets that have the count. Null at age all: /totals does not count them.
-- url_clicks INT64: Clicks on links at this age, summed over the Tweets that have the count. Null at age all: /totals does not count them.
-- hashtag_clicks INT64: Clicks on hashtags at this age, summed over the Tweets that have the count. Null at age all: /totals does not count them.
-- detail_expands INT64: Expansions of details at this age, summed over the Tweets that have the count. Null at age all: /totals does not count them.
-- permalink_clicks INT64: Clicks on permalinks at this age, summed over the Tweets that have the count. Null at age all: /totals does not count them.
-- app_install_attempts INT64: Attempts to install an app at this age, summed over the Tweets that have the count. Null at age all: /totals does not count them.
-- app_opens INT64: Apps opened at this age, summed over the Tweets that have the count. Null at age all: /totals does not count them.
-- email_tweet INT64: Shares by email at this age, summed over the Tweets that have the count. Null at age all: /totals does not count them.
-- user_follows INT64: Follows of the authors at this age, summed over the Tweets that have the count. Null at age all: /totals does not count them.
-- user_profile_clicks INT64: Clicks on the authors' profiles at this age, summed over the Tweets that have the count. Null at age all: /totals does not count them.
-- engagement_rate FLOAT64: engagements / impressions, over the Tweets that have both. Null if no Tweet has both, or impressions are 0.

WITH
once AS ({at_age}),
labelled AS (
  SELECT label, value AS campaign, COUNT(*) AS labelled_tweets
  FROM {labels}
  GROUP BY label, campaign
)
SELECT
  labels.label,
  labels.value AS campaign,
  once.age,
  once.age_hours,
  labelled.labelled_tweets,
  COUNT(*) AS tweets,
  COUNTIF(once.engagement_rate IS NOT NULL) AS rated_tweets,
  SUM(once.impressions) AS impressions,
  SUM(once.engagements) AS engagements,
  SUM(once.favorites) AS favorites,
  SUM(once.retweets) AS retweets,
  SUM(once.replies) AS replies,
  SUM(once.quote_tweets) AS quote_tweets,
  SUM(once.video_views) AS video_views,
  SUM(once.media_views) AS media_views,
  SUM(once.media_engagements) AS media_engagements,
  SUM(once.url_clicks) AS url_clicks,
  SUM(once.hashtag_clicks) AS hashtag_clicks,
  SUM(once.detail_expands) AS detail_expands,
  SUM(once.permalink_clicks) AS permalink_clicks,
  SUM(once.app_install_attempts) AS app_install_attempts,
  SUM(once.app_opens) AS app_opens,
  SUM(once.email_tweet) AS email_tweet,
  SUM(once.user_follows) AS user_follows,
  SUM(once.user_profile_clicks) AS user_profile_clicks,
  SAFE_DIVIDE(
    SUM(IF(once.engagement_rate IS NULL, NULL, once.engagements)),
    SUM(IF(once.engagement_rate IS NULL, NULL, once.impressions))
  ) AS engagement_rate
FROM {labels} AS labels
JOIN once ON once.tweet_id = labels.tweet_id
JOIN labelled ON labelled.label = labels.label AND labelled.campaign = labels.value
GROUP BY labels.label, labels.value, once.age, once.age_hours, labelled.labelled_tweets
