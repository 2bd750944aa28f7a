INSERT INTO `p.d.counts_lock` (`table_name`, `locked_at`)
SELECT 'counts', CURRENT_TIMESTAMP() FROM (SELECT 1)
WHERE NOT EXISTS (SELECT 1 FROM `p.d.counts_lock` WHERE `table_name` = 'counts');
BEGIN TRANSACTION;
UPDATE `p.d.counts_lock` SET `locked_at` = CURRENT_TIMESTAMP()
WHERE `table_name` = 'counts';
MERGE `p.d.counts` T
USING (
  SELECT
    `account`,
    MIN(`access`) AS `access`,
    `endpoint`,
    `grouping`,
    `tweet_id`,
    `granularity`,
    `date`,
    `period_start`,
    `period_end`,
    `hour_of_day`,
    `snapshot_at`,
    MAX(IF(`engagement_type` = 'impressions', `value`, NULL)) AS `impressions`,
    MAX(IF(`engagement_type` = 'engagements', `value`, NULL)) AS `engagements`,
    MAX(IF(`engagement_type` = 'favorites', `value`, NULL)) AS `favorites`,
    MAX(IF(`engagement_type` = 'retweets', `value`, NULL)) AS `retweets`,
    MAX(IF(`engagement_type` = 'replies', `value`, NULL)) AS `replies`,
    MAX(IF(`engagement_type` = 'quote_tweets', `value`, NULL)) AS `quote_tweets`,
    MAX(IF(`engagement_type` = 'video_views', `value`, NULL)) AS `video_views`,
    MAX(IF(`engagement_type` = 'media_views', `value`, NULL)) AS `media_views`,
    MAX(IF(`engagement_type` = 'media_engagements', `value`, NULL)) AS `media_engagements`,
    MAX(IF(`engagement_type` = 'url_clicks', `value`, NULL)) AS `url_clicks`,
    MAX(IF(`engagement_type` = 'hashtag_clicks', `value`, NULL)) AS `hashtag_clicks`,
    MAX(IF(`engagement_type` = 'detail_expands', `value`, NULL)) AS `detail_expands`,
    MAX(IF(`engagement_type` = 'permalink_clicks', `value`, NULL)) AS `permalink_clicks`,
    MAX(IF(`engagement_type` = 'app_install_attempts', `value`, NULL)) AS `app_install_attempts`,
    MAX(IF(`engagement_type` = 'app_opens', `value`, NULL)) AS `app_opens`,
    MAX(IF(`engagement_type` = 'email_tweet', `value`, NULL)) AS `email_tweet`,
    MAX(IF(`engagement_type` = 'user_follows', `value`, NULL)) AS `user_follows`,
    MAX(IF(`engagement_type` = 'user_profile_clicks', `value`, NULL)) AS `user_profile_clicks`,
    LOGICAL_AND(`complete`) AS `complete`,
    MAX(`tweet_created_at`) AS `tweet_created_at`,
    MAX(`collected_at`) AS `collected_at`
  FROM (
  SELECT `account`, `access`, `endpoint`, `grouping`, `tweet_id`, `engagement_type`, `granularity`, `date`, `period_start`, `period_end`, `hour_of_day`, `snapshot_at`, `value`, `complete`, `tweet_created_at`, `collected_at`
  FROM `p.d.staging`
  WHERE `status` IS NULL
  QUALIFY ROW_NUMBER() OVER (
    PARTITION BY `account`, IF(`granularity` IN ('lifetime', 'window'), `endpoint`, NULL), `grouping`, `tweet_id`, `engagement_type`, `granularity`, `date`, IF(`snapshot_at` IS NOT NULL, NULL, `period_start`), IF(`snapshot_at` IS NOT NULL, NULL, `period_end`), `hour_of_day`, `snapshot_at`
    ORDER BY `complete` DESC, `collected_at` DESC, `value`
  ) = 1
  )
  GROUP BY `account`, `endpoint`, `grouping`, `tweet_id`, `granularity`, `date`, `period_start`, `period_end`, `hour_of_day`, `snapshot_at`
) S
ON T.`date` BETWEEN DATE '2026-10-30' AND DATE '2026-11-21'
  AND T.`account` = 'acme'
  AND T.`account` = S.`account`
  AND IF(T.`granularity` IN ('lifetime', 'window'), T.`endpoint`, '') = IF(S.`granularity` IN ('lifetime', 'window'), S.`endpoint`, '')
  AND T.`grouping` = S.`grouping`
  AND IFNULL(T.`tweet_id`, '') = IFNULL(S.`tweet_id`, '')
  AND T.`granularity` = S.`granularity`
  AND T.`date` = S.`date`
  AND IF(T.`snapshot_at` IS NOT NULL, TIMESTAMP '0001-01-01 00:00:00+00:00', IFNULL(T.`period_start`, TIMESTAMP '0001-01-01 00:00:00+00:00')) = IF(S.`snapshot_at` IS NOT NULL, TIMESTAMP '0001-01-01 00:00:00+00:00', IFNULL(S.`period_start`, TIMESTAMP '0001-01-01 00:00:00+00:00'))
  AND IF(T.`snapshot_at` IS NOT NULL, TIMESTAMP '0001-01-01 00:00:00+00:00', IFNULL(T.`period_end`, TIMESTAMP '0001-01-01 00:00:00+00:00')) = IF(S.`snapshot_at` IS NOT NULL, TIMESTAMP '0001-01-01 00:00:00+00:00', IFNULL(S.`period_end`, TIMESTAMP '0001-01-01 00:00:00+00:00'))
  AND IFNULL(T.`hour_of_day`, -1) = IFNULL(S.`hour_of_day`, -1)
  AND IFNULL(T.`snapshot_at`, TIMESTAMP '0001-01-01 00:00:00+00:00') = IFNULL(S.`snapshot_at`, TIMESTAMP '0001-01-01 00:00:00+00:00')
WHEN MATCHED
  AND (S.`complete` OR NOT T.`complete`)
  AND (T.`complete` IS DISTINCT FROM S.`complete`
    OR T.`impressions` IS DISTINCT FROM CASE WHEN S.`snapshot_at` IS NOT NULL THEN IFNULL(T.`impressions`, S.`impressions`) WHEN S.`complete` AND NOT T.`complete` THEN S.`impressions` WHEN S.`collected_at` > T.`collected_at` THEN IFNULL(S.`impressions`, T.`impressions`) ELSE IFNULL(T.`impressions`, S.`impressions`) END
    OR T.`engagements` IS DISTINCT FROM CASE WHEN S.`snapshot_at` IS NOT NULL THEN IFNULL(T.`engagements`, S.`engagements`) WHEN S.`complete` AND NOT T.`complete` THEN S.`engagements` WHEN S.`collected_at` > T.`collected_at` THEN IFNULL(S.`engagements`, T.`engagements`) ELSE IFNULL(T.`engagements`, S.`engagements`) END
    OR T.`favorites` IS DISTINCT FROM CASE WHEN S.`snapshot_at` IS NOT NULL THEN IFNULL(T.`favorites`, S.`favorites`) WHEN S.`complete` AND NOT T.`complete` THEN S.`favorites` WHEN S.`collected_at` > T.`collected_at` THEN IFNULL(S.`favorites`, T.`favorites`) ELSE IFNULL(T.`favorites`, S.`favorites`) END
    OR T.`retweets` IS DISTINCT FROM CASE WHEN S.`snapshot_at` IS NOT NULL THEN IFNULL(T.`retweets`, S.`retweets`) WHEN S.`complete` AND NOT T.`complete` THEN S.`retweets` WHEN S.`collected_at` > T.`collected_at` THEN IFNULL(S.`retweets`, T.`retweets`) ELSE IFNULL(T.`retweets`, S.`retweets`) END
    OR T.`replies` IS DISTINCT FROM CASE WHEN S.`snapshot_at` IS NOT NULL THEN IFNULL(T.`replies`, S.`replies`) WHEN S.`complete` AND NOT T.`complete` THEN S.`replies` WHEN S.`collected_at` > T.`collected_at` THEN IFNULL(S.`replies`, T.`replies`) ELSE IFNULL(T.`replies`, S.`replies`) END
    OR T.`quote_tweets` IS DISTINCT FROM CASE WHEN S.`snapshot_at` IS NOT NULL THEN IFNULL(T.`quote_tweets`, S.`quote_tweets`) WHEN S.`complete` AND NOT T.`complete` THEN S.`quote_tweets` WHEN S.`collected_at` > T.`collected_at` THEN IFNULL(S.`quote_tweets`, T.`quote_tweets`) ELSE IFNULL(T.`quote_tweets`, S.`quote_tweets`) END
    OR T.`video_views` IS DISTINCT FROM CASE WHEN S.`snapshot_at` IS NOT NULL THEN IFNULL(T.`video_views`, S.`video_views`) WHEN S.`complete` AND NOT T.`complete` THEN S.`video_views` WHEN S.`collected_at` > T.`collected_at` THEN IFNULL(S.`video_views`, T.`video_views`) ELSE IFNULL(T.`video_views`, S.`video_views`) END
    OR T.`media_views` IS DISTINCT FROM CASE WHEN S.`snapshot_at` IS NOT NULL THEN IFNULL(T.`media_views`, S.`media_views`) WHEN S.`complete` AND NOT T.`complete` THEN S.`media_views` WHEN S.`collected_at` > T.`collected_at` THEN IFNULL(S.`media_views`, T.`media_views`) ELSE IFNULL(T.`media_views`, S.`media_views`) END
    OR T.`media_engagements` IS DISTINCT FROM CASE WHEN S.`snapshot_at` IS NOT NULL THEN IFNULL(T.`media_engagements`, S.`media_engagements`) WHEN S.`complete` AND NOT T.`complete` THEN S.`media_engagements` WHEN S.`collected_at` > T.`collected_at` THEN IFNULL(S.`media_engagements`, T.`media_engagements`) ELSE IFNULL(T.`media_engagements`, S.`media_engagements`) END
    OR T.`url_clicks` IS DISTINCT FROM CASE WHEN S.`snapshot_at` IS NOT NULL THEN IFNULL(T.`url_clicks`, S.`url_clicks`) WHEN S.`complete` AND NOT T.`complete` THEN S.`url_clicks` WHEN S.`collected_at` > T.`collected_at` THEN IFNULL(S.`url_clicks`, T.`url_clicks`) ELSE IFNULL(T.`url_clicks`, S.`url_clicks`) END
    OR T.`hashtag_clicks` IS DISTINCT FROM CASE WHEN S.`snapshot_at` IS NOT NULL THEN IFNULL(T.`hashtag_clicks`, S.`hashtag_clicks`) WHEN S.`complete` AND NOT T.`complete` THEN S.`hashtag_clicks` WHEN S.`collected_at` > T.`collected_at` THEN IFNULL(S.`hashtag_clicks`, T.`hashtag_clicks`) ELSE IFNULL(T.`hashtag_clicks`, S.`hashtag_clicks`) END
    OR T.`detail_expands` IS DISTINCT FROM CASE WHEN S.`snapshot_at` IS NOT NULL THEN IFNULL(T.`detail_expands`, S.`detail_expands`) WHEN S.`complete` AND NOT T.`complete` THEN S.`detail_expands` WHEN S.`collected_at` > T.`collected_at` THEN IFNULL(S.`detail_expands`, T.`detail_expands`) ELSE IFNULL(T.`detail_expands`, S.`detail_expands`) END
    OR T.`permalink_clicks` IS DISTINCT FROM CASE WHEN S.`snapshot_at` IS NOT NULL THEN IFNULL(T.`permalink_clicks`, S.`permalink_clicks`) WHEN S.`complete` AND NOT T.`complete` THEN S.`permalink_clicks` WHEN S.`collected_at` > T.`collected_at` THEN IFNULL(S.`permalink_clicks`, T.`permalink_clicks`) ELSE IFNULL(T.`permalink_clicks`, S.`permalink_clicks`) END
    OR T.`app_install_attempts` IS DISTINCT FROM CASE WHEN S.`snapshot_at` IS NOT NULL THEN IFNULL(T.`app_install_attempts`, S.`app_install_attempts`) WHEN S.`complete` AND NOT T.`complete` THEN S.`app_install_attempts` WHEN S.`collected_at` > T.`collected_at` THEN IFNULL(S.`app_install_attempts`, T.`app_install_attempts`) ELSE IFNULL(T.`app_install_attempts`, S.`app_install_attempts`) END
    OR T.`app_opens` IS DISTINCT FROM CASE WHEN S.`snapshot_at` IS NOT NULL THEN IFNULL(T.`app_opens`, S.`app_opens`) WHEN S.`complete` AND NOT T.`complete` THEN S.`app_opens` WHEN S.`collected_at` > T.`collected_at` THEN IFNULL(S.`app_opens`, T.`app_opens`) ELSE IFNULL(T.`app_opens`, S.`app_opens`) END
    OR T.`email_tweet` IS DISTINCT FROM CASE WHEN S.`snapshot_at` IS NOT NULL THEN IFNULL(T.`email_tweet`, S.`email_tweet`) WHEN S.`complete` AND NOT T.`complete` THEN S.`email_tweet` WHEN S.`collected_at` > T.`collected_at` THEN IFNULL(S.`email_tweet`, T.`email_tweet`) ELSE IFNULL(T.`email_tweet`, S.`email_tweet`) END
    OR T.`user_follows` IS DISTINCT FROM CASE WHEN S.`snapshot_at` IS NOT NULL THEN IFNULL(T.`user_follows`, S.`user_follows`) WHEN S.`complete` AND NOT T.`complete` THEN S.`user_follows` WHEN S.`collected_at` > T.`collected_at` THEN IFNULL(S.`user_follows`, T.`user_follows`) ELSE IFNULL(T.`user_follows`, S.`user_follows`) END
    OR T.`user_profile_clicks` IS DISTINCT FROM CASE WHEN S.`snapshot_at` IS NOT NULL THEN IFNULL(T.`user_profile_clicks`, S.`user_profile_clicks`) WHEN S.`complete` AND NOT T.`complete` THEN S.`user_profile_clicks` WHEN S.`collected_at` > T.`collected_at` THEN IFNULL(S.`user_profile_clicks`, T.`user_profile_clicks`) ELSE IFNULL(T.`user_profile_clicks`, S.`user_profile_clicks`) END)
THEN UPDATE SET
  `endpoint` = IF((S.`complete` AND NOT T.`complete` OR S.`complete` = T.`complete` AND S.`collected_at` > T.`collected_at`), S.`endpoint`, T.`endpoint`),
  `access` = IF((S.`complete` AND NOT T.`complete` OR S.`complete` = T.`complete` AND S.`collected_at` > T.`collected_at`), S.`access`, T.`access`),
  `tweet_created_at` = IF((S.`complete` AND NOT T.`complete` OR S.`complete` = T.`complete` AND S.`collected_at` > T.`collected_at`), S.`tweet_created_at`, T.`tweet_created_at`),
  `impressions` = CASE WHEN S.`snapshot_at` IS NOT NULL THEN IFNULL(T.`impressions`, S.`impressions`) WHEN S.`complete` AND NOT T.`complete` THEN S.`impressions` WHEN S.`collected_at` > T.`collected_at` THEN IFNULL(S.`impressions`, T.`impressions`) ELSE IFNULL(T.`impressions`, S.`impressions`) END,
  `engagements` = CASE WHEN S.`snapshot_at` IS NOT NULL THEN IFNULL(T.`engagements`, S.`engagements`) WHEN S.`complete` AND NOT T.`complete` THEN S.`engagements` WHEN S.`collected_at` > T.`collected_at` THEN IFNULL(S.`engagements`, T.`engagements`) ELSE IFNULL(T.`engagements`, S.`engagements`) END,
  `favorites` = CASE WHEN S.`snapshot_at` IS NOT NULL THEN IFNULL(T.`favorites`, S.`favorites`) WHEN S.`complete` AND NOT T.`complete` THEN S.`favorites` WHEN S.`collected_at` > T.`collected_at` THEN IFNULL(S.`favorites`, T.`favorites`) ELSE IFNULL(T.`favorites`, S.`favorites`) END,
  `retweets` = CASE WHEN S.`snapshot_at` IS NOT NULL THEN IFNULL(T.`retweets`, S.`retweets`) WHEN S.`complete` AND NOT T.`complete` THEN S.`retweets` WHEN S.`collected_at` > T.`collected_at` THEN IFNULL(S.`retweets`, T.`retweets`) ELSE IFNULL(T.`retweets`, S.`retweets`) END,
  `replies` = CASE WHEN S.`snapshot_at` IS NOT NULL THEN IFNULL(T.`replies`, S.`replies`) WHEN S.`complete` AND NOT T.`complete` THEN S.`replies` WHEN S.`collected_at` > T.`collected_at` THEN IFNULL(S.`replies`, T.`replies`) ELSE IFNULL(T.`replies`, S.`replies`) END,
  `quote_tweets` = CASE WHEN S.`snapshot_at` IS NOT NULL THEN IFNULL(T.`quote_tweets`, S.`quote_tweets`) WHEN S.`complete` AND NOT T.`complete` THEN S.`quote_tweets` WHEN S.`collected_at` > T.`collected_at` THEN IFNULL(S.`quote_tweets`, T.`quote_tweets`) ELSE IFNULL(T.`quote_tweets`, S.`quote_tweets`) END,
  `video_views` = CASE WHEN S.`snapshot_at` IS NOT NULL THEN IFNULL(T.`video_views`, S.`video_views`) WHEN S.`complete` AND NOT T.`complete` THEN S.`video_views` WHEN S.`collected_at` > T.`collected_at` THEN IFNULL(S.`video_views`, T.`video_views`) ELSE IFNULL(T.`video_views`, S.`video_views`) END,
  `media_views` = CASE WHEN S.`snapshot_at` IS NOT NULL THEN IFNULL(T.`media_views`, S.`media_views`) WHEN S.`complete` AND NOT T.`complete` THEN S.`media_views` WHEN S.`collected_at` > T.`collected_at` THEN IFNULL(S.`media_views`, T.`media_views`) ELSE IFNULL(T.`media_views`, S.`media_views`) END,
  `media_engagements` = CASE WHEN S.`snapshot_at` IS NOT NULL THEN IFNULL(T.`media_engagements`, S.`media_engagements`) WHEN S.`complete` AND NOT T.`complete` THEN S.`media_engagements` WHEN S.`collected_at` > T.`collected_at` THEN IFNULL(S.`media_engagements`, T.`media_engagements`) ELSE IFNULL(T.`media_engagements`, S.`media_engagements`) END,
  `url_clicks` = CASE WHEN S.`snapshot_at` IS NOT NULL THEN IFNULL(T.`url_clicks`, S.`url_clicks`) WHEN S.`complete` AND NOT T.`complete` THEN S.`url_clicks` WHEN S.`collected_at` > T.`collected_at` THEN IFNULL(S.`url_clicks`, T.`url_clicks`) ELSE IFNULL(T.`url_clicks`, S.`url_clicks`) END,
  `hashtag_clicks` = CASE WHEN S.`snapshot_at` IS NOT NULL THEN IFNULL(T.`hashtag_clicks`, S.`hashtag_clicks`) WHEN S.`complete` AND NOT T.`complete` THEN S.`hashtag_clicks` WHEN S.`collected_at` > T.`collected_at` THEN IFNULL(S.`hashtag_clicks`, T.`hashtag_clicks`) ELSE IFNULL(T.`hashtag_clicks`, S.`hashtag_clicks`) END,
  `detail_expands` = CASE WHEN S.`snapshot_at` IS NOT NULL THEN IFNULL(T.`detail_expands`, S.`detail_expands`) WHEN S.`complete` AND NOT T.`complete` THEN S.`detail_expands` WHEN S.`collected_at` > T.`collected_at` THEN IFNULL(S.`detail_expands`, T.`detail_expands`) ELSE IFNULL(T.`detail_expands`, S.`detail_expands`) END,
  `permalink_clicks` = CASE WHEN S.`snapshot_at` IS NOT NULL THEN IFNULL(T.`permalink_clicks`, S.`permalink_clicks`) WHEN S.`complete` AND NOT T.`complete` THEN S.`permalink_clicks` WHEN S.`collected_at` > T.`collected_at` THEN IFNULL(S.`permalink_clicks`, T.`permalink_clicks`) ELSE IFNULL(T.`permalink_clicks`, S.`permalink_clicks`) END,
  `app_install_attempts` = CASE WHEN S.`snapshot_at` IS NOT NULL THEN IFNULL(T.`app_install_attempts`, S.`app_install_attempts`) WHEN S.`complete` AND NOT T.`complete` THEN S.`app_install_attempts` WHEN S.`collected_at` > T.`collected_at` THEN IFNULL(S.`app_install_attempts`, T.`app_install_attempts`) ELSE IFNULL(T.`app_install_attempts`, S.`app_install_attempts`) END,
  `app_opens` = CASE WHEN S.`snapshot_at` IS NOT NULL THEN IFNULL(T.`app_opens`, S.`app_opens`) WHEN S.`complete` AND NOT T.`complete` THEN S.`app_opens` WHEN S.`collected_at` > T.`collected_at` THEN IFNULL(S.`app_opens`, T.`app_opens`) ELSE IFNULL(T.`app_opens`, S.`app_opens`) END,
  `email_tweet` = CASE WHEN S.`snapshot_at` IS NOT NULL THEN IFNULL(T.`email_tweet`, S.`email_tweet`) WHEN S.`complete` AND NOT T.`complete` THEN S.`email_tweet` WHEN S.`collected_at` > T.`collected_at` THEN IFNULL(S.`email_tweet`, T.`email_tweet`) ELSE IFNULL(T.`email_tweet`, S.`email_tweet`) END,
  `user_follows` = CASE WHEN S.`snapshot_at` IS NOT NULL THEN IFNULL(T.`user_follows`, S.`user_follows`) WHEN S.`complete` AND NOT T.`complete` THEN S.`user_follows` WHEN S.`collected_at` > T.`collected_at` THEN IFNULL(S.`user_follows`, T.`user_follows`) ELSE IFNULL(T.`user_follows`, S.`user_follows`) END,
  `user_profile_clicks` = CASE WHEN S.`snapshot_at` IS NOT NULL THEN IFNULL(T.`user_profile_clicks`, S.`user_profile_clicks`) WHEN S.`complete` AND NOT T.`complete` THEN S.`user_profile_clicks` WHEN S.`collected_at` > T.`collected_at` THEN IFNULL(S.`user_profile_clicks`, T.`user_profile_clicks`) ELSE IFNULL(T.`user_profile_clicks`, S.`user_profile_clicks`) END,
  `complete` = S.`complete`,
  `collected_at` = GREATEST(S.`collected_at`, T.`collected_at`)
WHEN NOT MATCHED THEN INSERT (`account`, `access`, `endpoint`, `grouping`, `tweet_id`, `granularity`, `date`, `period_start`, `period_end`, `hour_of_day`, `snapshot_at`, `impressions`, `engagements`, `favorites`, `retweets`, `replies`, `quote_tweets`, `video_views`, `media_views`, `media_engagements`, `url_clicks`, `hashtag_clicks`, `detail_expands`, `permalink_clicks`, `app_install_attempts`, `app_opens`, `email_tweet`, `user_follows`, `user_profile_clicks`, `complete`, `tweet_created_at`, `collected_at`)
VALUES (S.`account`, S.`access`, S.`endpoint`, S.`grouping`, S.`tweet_id`, S.`granularity`, S.`date`, S.`period_start`, S.`period_end`, S.`hour_of_day`, S.`snapshot_at`, S.`impressions`, S.`engagements`, S.`favorites`, S.`retweets`, S.`replies`, S.`quote_tweets`, S.`video_views`, S.`media_views`, S.`media_engagements`, S.`url_clicks`, S.`hashtag_clicks`, S.`detail_expands`, S.`permalink_clicks`, S.`app_install_attempts`, S.`app_opens`, S.`email_tweet`, S.`user_follows`, S.`user_profile_clicks`, S.`complete`, S.`tweet_created_at`, S.`collected_at`);
MERGE `p.d.counts_coverage` T
USING (
  SELECT `account`, `endpoint`, `date`, `window_start`, `window_end`, `snapshot_at`, `tweet_id`, `status`, `access`, `reason`, `missing_types`, `collected_at`
  FROM `p.d.staging`
  WHERE `status` IS NOT NULL
  QUALIFY ROW_NUMBER() OVER (
    PARTITION BY `account`, `endpoint`, `date`, `window_start`, `window_end`, `snapshot_at`, `tweet_id`
    ORDER BY `status` = 'answered' DESC, `collected_at` DESC, `status`
  ) = 1
) S
ON T.`date` BETWEEN DATE '2026-11-21' AND DATE '2026-11-21'
  AND T.`account` = 'acme'
  AND T.`account` = S.`account`
  AND T.`endpoint` = S.`endpoint`
  AND T.`date` = S.`date`
  AND IFNULL(T.`window_start`, TIMESTAMP '0001-01-01 00:00:00+00:00') = IFNULL(S.`window_start`, TIMESTAMP '0001-01-01 00:00:00+00:00')
  AND IFNULL(T.`window_end`, TIMESTAMP '0001-01-01 00:00:00+00:00') = IFNULL(S.`window_end`, TIMESTAMP '0001-01-01 00:00:00+00:00')
  AND IFNULL(T.`snapshot_at`, TIMESTAMP '0001-01-01 00:00:00+00:00') = IFNULL(S.`snapshot_at`, TIMESTAMP '0001-01-01 00:00:00+00:00')
  AND T.`tweet_id` = S.`tweet_id`
WHEN MATCHED
  AND (S.`status` = 'answered' AND T.`status` <> 'answered' OR (S.`status` = 'answered') = (T.`status` = 'answered') AND S.`collected_at` > T.`collected_at`)
  AND (T.`status` IS DISTINCT FROM S.`status` OR T.`access` IS DISTINCT FROM S.`access` OR T.`reason` IS DISTINCT FROM S.`reason` OR T.`missing_types` IS DISTINCT FROM S.`missing_types`)
THEN UPDATE SET
  `status` = S.`status`,
  `access` = S.`access`,
  `reason` = S.`reason`,
  `missing_types` = S.`missing_types`,
  `collected_at` = S.`collected_at`
WHEN NOT MATCHED THEN INSERT (`account`, `endpoint`, `date`, `window_start`, `window_end`, `snapshot_at`, `tweet_id`, `status`, `access`, `reason`, `missing_types`, `collected_at`)
VALUES (S.`account`, S.`endpoint`, S.`date`, S.`window_start`, S.`window_end`, S.`snapshot_at`, S.`tweet_id`, S.`status`, S.`access`, S.`reason`, S.`missing_types`, S.`collected_at`);
COMMIT TRANSACTION;
