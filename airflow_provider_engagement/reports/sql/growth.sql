-- A row is a Tweet and age: its counts from posting until it had that age.
-- Time base: by post. The service counts by the hour, so a count reaches to window_end, the first full
-- hour at or after the age. Without hours, the counts of 7 and 28 days come from days, and reach to
-- the first midnight (UTC) at or after the age. A count is null, and a row without counts absent,
-- unless every hour or day from posting to window_end is there and complete: if the window is not
-- over, or was not wholly pulled. No count is ever of a part of its window.
--
-- account STRING: The account of the connection.
-- tweet_id STRING: The Tweet's id, as text.
-- age STRING: 1 hour, 6 hours, 24 hours, 7 days or 28 days.
-- age_hours INT64: The age in hours: 1, 6, 24, 168 or 672.
-- created_at TIMESTAMP: When it was posted, by its id. Null before 2010-11-04.
-- window_end TIMESTAMP: Until when the counts reach, exclusive.
-- basis STRING: hour or day: what the counts are summed from.
-- impressions INT64: How often it was seen from posting to window_end.
-- engagements INT64: All interactions from posting to window_end.
-- favorites INT64: Likes from posting to window_end.
-- retweets INT64: Retweets from posting to window_end.
-- replies INT64: Replies from posting to window_end.
-- video_views INT64: Video views from posting to window_end. As the time series count video views. Never add it to or compare it with the video views of /totals, which count something else.
-- media_views INT64: Views of its media from posting to window_end.
-- media_engagements INT64: Clicks on its media from posting to window_end.
-- url_clicks INT64: Clicks on its links from posting to window_end.
-- hashtag_clicks INT64: Clicks on its hashtags from posting to window_end.
-- detail_expands INT64: Expansions of its details from posting to window_end.
-- permalink_clicks INT64: Clicks on its permalink from posting to window_end.
-- app_install_attempts INT64: Attempts to install an app from it from posting to window_end.
-- app_opens INT64: Apps opened from it from posting to window_end.
-- email_tweet INT64: Times it was shared by email from posting to window_end.
-- user_follows INT64: Follows of its author from it from posting to window_end.
-- user_profile_clicks INT64: Clicks on its author's profile from posting to window_end.
-- engagement_rate FLOAT64: engagements / impressions. Null if one of them is missing or impressions are 0.

WITH
ages AS (
  SELECT '1 hour' AS age, 1 AS age_hours
  UNION ALL SELECT '6 hours', 6
  UNION ALL SELECT '24 hours', 24
  UNION ALL SELECT '7 days', 168
  UNION ALL SELECT '28 days', 672
),
hours AS (
  -- The hours from posting on. Of several answers for an hour, the newest complete one counts.
  SELECT
    account,
    tweet_id,
    engagement_type,
    period_start,
    MAX(tweet_created_at) AS created_at,
    MAX_BY(value, collected_at) AS value
  FROM {rows}
  WHERE granularity = 'hour' AND complete
    AND tweet_id IS NOT NULL AND engagement_type IS NOT NULL
    AND period_start >= TIMESTAMP_TRUNC(tweet_created_at, HOUR)
    AND period_start < TIMESTAMP_ADD(tweet_created_at, INTERVAL 672 HOUR)
  GROUP BY account, tweet_id, engagement_type, period_start
),
hour_sums AS (
  SELECT account, tweet_id, engagement_type, age, age_hours, created_at, SUM(value) AS value
  FROM hours
  JOIN ages ON period_start < TIMESTAMP_ADD(created_at, INTERVAL age_hours HOUR)
  GROUP BY account, tweet_id, engagement_type, age, age_hours, created_at
  -- An hour more than the age, because the hour of posting is a part of one.
  HAVING COUNT(*) = age_hours + IF(created_at = TIMESTAMP_TRUNC(created_at, HOUR), 0, 1)
),
by_hour AS (
  SELECT
    account,
    tweet_id,
    age,
    age_hours,
    created_at,
    'hour' AS basis,
    -- The age's end, rounded up to the hour.
    TIMESTAMP_TRUNC(
      TIMESTAMP_ADD(created_at, INTERVAL (age_hours * 3600000000 + 3599999999) MICROSECOND), HOUR
    ) AS window_end,
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
  FROM hour_sums
  GROUP BY account, tweet_id, age, age_hours, created_at
),
days AS ({days}),
whole_days AS (
  -- A day more than the age, because the day of posting is a part of one.
  SELECT
    days.*,
    age,
    age_hours,
    DIV(age_hours, 24) + IF(created_at = TIMESTAMP_TRUNC(created_at, DAY), 0, 1) AS needed
  FROM days
  JOIN ages
    ON age_hours >= 168
    AND date >= DATE(created_at)
    AND TIMESTAMP(date) < TIMESTAMP_ADD(created_at, INTERVAL age_hours HOUR)
),
by_day AS (
  SELECT
    account,
    tweet_id,
    age,
    age_hours,
    created_at,
    'day' AS basis,
    -- The age's end, rounded up to the day.
    TIMESTAMP_TRUNC(
      TIMESTAMP_ADD(created_at, INTERVAL (age_hours * 3600000000 + 86399999999) MICROSECOND), DAY
    ) AS window_end,
    IF(COUNT(impressions) = needed, SUM(impressions), NULL) AS impressions,
    IF(COUNT(engagements) = needed, SUM(engagements), NULL) AS engagements,
    IF(COUNT(favorites) = needed, SUM(favorites), NULL) AS favorites,
    IF(COUNT(retweets) = needed, SUM(retweets), NULL) AS retweets,
    IF(COUNT(replies) = needed, SUM(replies), NULL) AS replies,
    IF(COUNT(video_views) = needed, SUM(video_views), NULL) AS video_views,
    IF(COUNT(media_views) = needed, SUM(media_views), NULL) AS media_views,
    IF(COUNT(media_engagements) = needed, SUM(media_engagements), NULL) AS media_engagements,
    IF(COUNT(url_clicks) = needed, SUM(url_clicks), NULL) AS url_clicks,
    IF(COUNT(hashtag_clicks) = needed, SUM(hashtag_clicks), NULL) AS hashtag_clicks,
    IF(COUNT(detail_expands) = needed, SUM(detail_expands), NULL) AS detail_expands,
    IF(COUNT(permalink_clicks) = needed, SUM(permalink_clicks), NULL) AS permalink_clicks,
    IF(COUNT(app_install_attempts) = needed, SUM(app_install_attempts), NULL) AS app_install_attempts,
    IF(COUNT(app_opens) = needed, SUM(app_opens), NULL) AS app_opens,
    IF(COUNT(email_tweet) = needed, SUM(email_tweet), NULL) AS email_tweet,
    IF(COUNT(user_follows) = needed, SUM(user_follows), NULL) AS user_follows,
    IF(COUNT(user_profile_clicks) = needed, SUM(user_profile_clicks), NULL) AS user_profile_clicks
  FROM whole_days
  GROUP BY account, tweet_id, age, age_hours, created_at, needed
),
counts AS (
  SELECT * FROM by_hour
  UNION ALL
  SELECT * FROM by_day
  WHERE COALESCE(
    impressions, engagements, favorites, retweets, replies,
    video_views, media_views, media_engagements, url_clicks, hashtag_clicks,
    detail_expands, permalink_clicks, app_install_attempts, app_opens, email_tweet,
    user_follows, user_profile_clicks
  ) IS NOT NULL
)
SELECT
  account,
  tweet_id,
  age,
  age_hours,
  created_at,
  window_end,
  basis,
  impressions,
  engagements,
  favorites,
  retweets,
  replies,
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
  SAFE_DIVIDE(engagements, impressions) AS engagement_rate
FROM counts
QUALIFY ROW_NUMBER() OVER (PARTITION BY account, tweet_id, age_hours ORDER BY basis DESC) = 1
