-- A row is an account and UTC day: what happened on that day, whenever the Tweets were posted.
-- Time base: by day. A day's counts are sums over the Tweets that have a count of the whole day.
-- The previous period of a day is the day before. Weekdays differ, so the same weekday of the week
-- before is there too. Both are null if that day has no counts.
--
-- account STRING: The account of the connection.
-- date DATE: The UTC day.
-- tweets INT64: How many Tweets have a count of this day.
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
-- engagement_rate FLOAT64: engagements / impressions, over the Tweets that have both. Null if no Tweet has both, or impressions are 0.
-- previous_tweets INT64: tweets of the day before.
-- previous_impressions INT64: impressions of the day before.
-- previous_engagements INT64: engagements of the day before.
-- previous_favorites INT64: favorites of the day before.
-- previous_retweets INT64: retweets of the day before.
-- previous_replies INT64: replies of the day before.
-- previous_video_views INT64: video_views of the day before.
-- previous_media_views INT64: media_views of the day before.
-- previous_media_engagements INT64: media_engagements of the day before.
-- previous_url_clicks INT64: url_clicks of the day before.
-- previous_hashtag_clicks INT64: hashtag_clicks of the day before.
-- previous_detail_expands INT64: detail_expands of the day before.
-- previous_permalink_clicks INT64: permalink_clicks of the day before.
-- previous_app_install_attempts INT64: app_install_attempts of the day before.
-- previous_app_opens INT64: app_opens of the day before.
-- previous_email_tweet INT64: email_tweet of the day before.
-- previous_user_follows INT64: user_follows of the day before.
-- previous_user_profile_clicks INT64: user_profile_clicks of the day before.
-- previous_engagement_rate FLOAT64: engagement_rate of the day before.
-- week_before_impressions INT64: impressions of the same weekday of the week before.
-- week_before_engagements INT64: engagements of the same weekday of the week before.
-- week_before_engagement_rate FLOAT64: engagement_rate of the same weekday of the week before.

WITH
days AS ({days}),
totals AS (
  SELECT
    account,
    date,
    COUNT(*) AS tweets,
    SUM(impressions) AS impressions,
    SUM(engagements) AS engagements,
    SUM(favorites) AS favorites,
    SUM(retweets) AS retweets,
    SUM(replies) AS replies,
    SUM(video_views) AS video_views,
    SUM(media_views) AS media_views,
    SUM(media_engagements) AS media_engagements,
    SUM(url_clicks) AS url_clicks,
    SUM(hashtag_clicks) AS hashtag_clicks,
    SUM(detail_expands) AS detail_expands,
    SUM(permalink_clicks) AS permalink_clicks,
    SUM(app_install_attempts) AS app_install_attempts,
    SUM(app_opens) AS app_opens,
    SUM(email_tweet) AS email_tweet,
    SUM(user_follows) AS user_follows,
    SUM(user_profile_clicks) AS user_profile_clicks,
    SAFE_DIVIDE(
      SUM(IF(impressions IS NULL, NULL, engagements)),
      SUM(IF(engagements IS NULL, NULL, impressions))
    ) AS engagement_rate
  FROM days
  GROUP BY account, date
)
SELECT
  totals.*,
  previous.tweets AS previous_tweets,
  previous.impressions AS previous_impressions,
  previous.engagements AS previous_engagements,
  previous.favorites AS previous_favorites,
  previous.retweets AS previous_retweets,
  previous.replies AS previous_replies,
  previous.video_views AS previous_video_views,
  previous.media_views AS previous_media_views,
  previous.media_engagements AS previous_media_engagements,
  previous.url_clicks AS previous_url_clicks,
  previous.hashtag_clicks AS previous_hashtag_clicks,
  previous.detail_expands AS previous_detail_expands,
  previous.permalink_clicks AS previous_permalink_clicks,
  previous.app_install_attempts AS previous_app_install_attempts,
  previous.app_opens AS previous_app_opens,
  previous.email_tweet AS previous_email_tweet,
  previous.user_follows AS previous_user_follows,
  previous.user_profile_clicks AS previous_user_profile_clicks,
  previous.engagement_rate AS previous_engagement_rate,
  week_before.impressions AS week_before_impressions,
  week_before.engagements AS week_before_engagements,
  week_before.engagement_rate AS week_before_engagement_rate
FROM totals
LEFT JOIN totals AS previous
  ON previous.account = totals.account AND previous.date = DATE_SUB(totals.date, INTERVAL 1 DAY)
LEFT JOIN totals AS week_before
  ON week_before.account = totals.account
  AND week_before.date = DATE_SUB(totals.date, INTERVAL 7 DAY)
