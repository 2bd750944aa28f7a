INSERT INTO `p.d.tweets_lock` (`table_name`, `locked_at`)
SELECT 'tweets', CURRENT_TIMESTAMP() FROM (SELECT 1)
WHERE NOT EXISTS (SELECT 1 FROM `p.d.tweets_lock` WHERE `table_name` = 'tweets');
BEGIN TRANSACTION;
UPDATE `p.d.tweets_lock` SET `locked_at` = CURRENT_TIMESTAMP()
WHERE `table_name` = 'tweets';
MERGE `p.d.tweets` T
USING (
  SELECT `tweet_id`, `url`, `author_id`, `author_username`, IF(`tweet_id` IN (
    SELECT `tweet_id` FROM `p.d.counts_coverage`
    WHERE `status` IN ('answered', 'unavailable')
    GROUP BY `tweet_id`
    HAVING MAX(IF(`status` = 'unavailable', `collected_at`, NULL))
      > IFNULL(MAX(IF(`status` = 'answered', `collected_at`, NULL)), TIMESTAMP '0001-01-01 00:00:00+00:00')
  ), NULL, `text`) AS `text`, `lang`, `tweet_type`, `media_type`, `has_link`, `hashtags`, `created_at`
  FROM `p.d.staging`
  WHERE `label` IS NULL
) S
ON T.`tweet_id` = S.`tweet_id`
WHEN MATCHED
  AND (T.`url` IS DISTINCT FROM IF(S.`author_username` IS NULL, IFNULL(T.`url`, S.`url`), S.`url`) OR T.`author_id` IS DISTINCT FROM IFNULL(S.`author_id`, T.`author_id`) OR T.`author_username` IS DISTINCT FROM IFNULL(S.`author_username`, T.`author_username`) OR T.`text` IS DISTINCT FROM IFNULL(S.`text`, T.`text`) OR T.`lang` IS DISTINCT FROM IFNULL(S.`lang`, T.`lang`) OR T.`tweet_type` IS DISTINCT FROM IFNULL(S.`tweet_type`, T.`tweet_type`) OR T.`media_type` IS DISTINCT FROM IFNULL(S.`media_type`, T.`media_type`) OR T.`has_link` IS DISTINCT FROM IFNULL(S.`has_link`, T.`has_link`) OR IFNULL(ARRAY_TO_STRING(T.`hashtags`, ','), '') <> IFNULL(S.`hashtags`, IFNULL(ARRAY_TO_STRING(T.`hashtags`, ','), '')) OR T.`created_at` IS DISTINCT FROM IFNULL(S.`created_at`, T.`created_at`))
THEN UPDATE SET
  `url` = IF(S.`author_username` IS NULL, IFNULL(T.`url`, S.`url`), S.`url`),
  `author_id` = IFNULL(S.`author_id`, T.`author_id`),
  `author_username` = IFNULL(S.`author_username`, T.`author_username`),
  `text` = IFNULL(S.`text`, T.`text`),
  `lang` = IFNULL(S.`lang`, T.`lang`),
  `tweet_type` = IFNULL(S.`tweet_type`, T.`tweet_type`),
  `media_type` = IFNULL(S.`media_type`, T.`media_type`),
  `has_link` = IFNULL(S.`has_link`, T.`has_link`),
  `hashtags` = IF(S.`hashtags` IS NULL, T.`hashtags`, IF(IFNULL(S.`hashtags`, '') = '', ARRAY<STRING>[], SPLIT(S.`hashtags`, ','))),
  `created_at` = IFNULL(S.`created_at`, T.`created_at`)
WHEN NOT MATCHED THEN INSERT (`tweet_id`, `url`, `author_id`, `author_username`, `text`, `lang`, `tweet_type`, `media_type`, `has_link`, `hashtags`, `created_at`)
VALUES (S.`tweet_id`, S.`url`, S.`author_id`, S.`author_username`, S.`text`, S.`lang`, S.`tweet_type`, S.`media_type`, S.`has_link`, IF(IFNULL(S.`hashtags`, '') = '', ARRAY<STRING>[], SPLIT(S.`hashtags`, ',')), S.`created_at`);
MERGE `p.d.tweets_labels` T
USING (
  SELECT `tweet_id`, `label`, `value`
  FROM `p.d.staging`
  WHERE `label` IS NOT NULL
) S
ON T.`tweet_id` = S.`tweet_id`
  AND T.`label` = S.`label`
WHEN MATCHED
  AND T.`value` IS DISTINCT FROM S.`value`
THEN UPDATE SET
  `value` = S.`value`
WHEN NOT MATCHED THEN INSERT (`tweet_id`, `label`, `value`)
VALUES (S.`tweet_id`, S.`label`, S.`value`);
UPDATE `p.d.tweets` SET `text` = NULL
WHERE `text` IS NOT NULL AND `tweet_id` IN (
    SELECT `tweet_id` FROM `p.d.counts_coverage`
    WHERE `status` IN ('answered', 'unavailable')
    GROUP BY `tweet_id`
    HAVING MAX(IF(`status` = 'unavailable', `collected_at`, NULL))
      > IFNULL(MAX(IF(`status` = 'answered', `collected_at`, NULL)), TIMESTAMP '0001-01-01 00:00:00+00:00')
  );
COMMIT TRANSACTION;
