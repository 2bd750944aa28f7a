INSERT INTO `p.d.counts_lock` (`table_name`, `locked_at`)
SELECT 'counts', CURRENT_TIMESTAMP() FROM (SELECT 1)
WHERE NOT EXISTS (SELECT 1 FROM `p.d.counts_lock` WHERE `table_name` = 'counts');
BEGIN TRANSACTION;
UPDATE `p.d.counts_lock` SET `locked_at` = CURRENT_TIMESTAMP()
WHERE `table_name` = 'counts';
MERGE `p.d.counts` T
USING (
  SELECT `account`, `access`, `endpoint`, `grouping`, `tweet_id`, `engagement_type`, `granularity`, `date`, `period_start`, `period_end`, `hour_of_day`, `snapshot_at`, `value`, `complete`, `tweet_created_at`, `collected_at`
  FROM `p.d.staging`
  WHERE `status` IS NULL
  QUALIFY ROW_NUMBER() OVER (
    PARTITION BY `account`, IF(`granularity` IN ('lifetime', 'window'), `endpoint`, NULL), `grouping`, `tweet_id`, `engagement_type`, `granularity`, `date`, IF(`snapshot_at` IS NOT NULL, NULL, `period_start`), IF(`snapshot_at` IS NOT NULL, NULL, `period_end`), `hour_of_day`, `snapshot_at`
    ORDER BY `complete` DESC, `collected_at` DESC, `value`
  ) = 1
) S
ON T.`date` BETWEEN DATE '2026-10-30' AND DATE '2026-11-21'
  AND T.`account` = 'acme'
  AND T.`account` = S.`account`
  AND IF(T.`granularity` IN ('lifetime', 'window'), T.`endpoint`, '') = IF(S.`granularity` IN ('lifetime', 'window'), S.`endpoint`, '')
  AND T.`grouping` = S.`grouping`
  AND IFNULL(T.`tweet_id`, '') = IFNULL(S.`tweet_id`, '')
  AND IFNULL(T.`engagement_type`, '') = IFNULL(S.`engagement_type`, '')
  AND T.`granularity` = S.`granularity`
  AND T.`date` = S.`date`
  AND IF(T.`snapshot_at` IS NOT NULL, TIMESTAMP '0001-01-01 00:00:00+00:00', IFNULL(T.`period_start`, TIMESTAMP '0001-01-01 00:00:00+00:00')) = IF(S.`snapshot_at` IS NOT NULL, TIMESTAMP '0001-01-01 00:00:00+00:00', IFNULL(S.`period_start`, TIMESTAMP '0001-01-01 00:00:00+00:00'))
  AND IF(T.`snapshot_at` IS NOT NULL, TIMESTAMP '0001-01-01 00:00:00+00:00', IFNULL(T.`period_end`, TIMESTAMP '0001-01-01 00:00:00+00:00')) = IF(S.`snapshot_at` IS NOT NULL, TIMESTAMP '0001-01-01 00:00:00+00:00', IFNULL(S.`period_end`, TIMESTAMP '0001-01-01 00:00:00+00:00'))
  AND IFNULL(T.`hour_of_day`, -1) = IFNULL(S.`hour_of_day`, -1)
  AND IFNULL(T.`snapshot_at`, TIMESTAMP '0001-01-01 00:00:00+00:00') = IFNULL(S.`snapshot_at`, TIMESTAMP '0001-01-01 00:00:00+00:00')
WHEN MATCHED
  AND S.`snapshot_at` IS NULL
  AND (S.`complete` AND NOT T.`complete` OR S.`complete` = T.`complete` AND S.`collected_at` > T.`collected_at`)
  AND (T.`value` IS DISTINCT FROM S.`value` OR T.`complete` IS DISTINCT FROM S.`complete`)
THEN UPDATE SET
  `endpoint` = S.`endpoint`,
  `access` = S.`access`,
  `tweet_created_at` = S.`tweet_created_at`,
  `value` = S.`value`,
  `complete` = S.`complete`,
  `collected_at` = S.`collected_at`
WHEN NOT MATCHED THEN INSERT (`account`, `access`, `endpoint`, `grouping`, `tweet_id`, `engagement_type`, `granularity`, `date`, `period_start`, `period_end`, `hour_of_day`, `snapshot_at`, `value`, `complete`, `tweet_created_at`, `collected_at`)
VALUES (S.`account`, S.`access`, S.`endpoint`, S.`grouping`, S.`tweet_id`, S.`engagement_type`, S.`granularity`, S.`date`, S.`period_start`, S.`period_end`, S.`hour_of_day`, S.`snapshot_at`, S.`value`, S.`complete`, S.`tweet_created_at`, S.`collected_at`);
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
