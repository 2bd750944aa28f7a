INSERT INTO `p.d.counts_lock` (`table_name`, `locked_at`)
SELECT 'counts', CURRENT_TIMESTAMP() FROM (SELECT 1)
WHERE NOT EXISTS (SELECT 1 FROM `p.d.counts_lock` WHERE `table_name` = 'counts');
BEGIN TRANSACTION;
UPDATE `p.d.counts_lock` SET `locked_at` = CURRENT_TIMESTAMP()
WHERE `table_name` = 'counts';
TRUNCATE TABLE `p.d.counts`;
INSERT INTO `p.d.counts` (`account`, `access`, `endpoint`, `grouping`, `tweet_id`, `engagement_type`, `granularity`, `date`, `period_start`, `period_end`, `hour_of_day`, `snapshot_at`, `value`, `complete`, `tweet_created_at`, `collected_at`)
  SELECT `account`, `access`, `endpoint`, `grouping`, `tweet_id`, `engagement_type`, `granularity`, `date`, `period_start`, `period_end`, `hour_of_day`, `snapshot_at`, `value`, `complete`, `tweet_created_at`, `collected_at`
  FROM `p.d.staging`
  WHERE `status` IS NULL
  QUALIFY ROW_NUMBER() OVER (
    PARTITION BY `account`, IF(`granularity` IN ('lifetime', 'window'), `endpoint`, NULL), `grouping`, `tweet_id`, `engagement_type`, `granularity`, `date`, IF(`snapshot_at` IS NOT NULL, NULL, `period_start`), IF(`snapshot_at` IS NOT NULL, NULL, `period_end`), `hour_of_day`, `snapshot_at`
    ORDER BY `complete` DESC, `collected_at` DESC, `value`
  ) = 1;
TRUNCATE TABLE `p.d.counts_coverage`;
INSERT INTO `p.d.counts_coverage` (`account`, `endpoint`, `date`, `window_start`, `window_end`, `snapshot_at`, `tweet_id`, `status`, `access`, `reason`, `missing_types`, `collected_at`)
  SELECT `account`, `endpoint`, `date`, `window_start`, `window_end`, `snapshot_at`, `tweet_id`, `status`, `access`, `reason`, `missing_types`, `collected_at`
  FROM `p.d.staging`
  WHERE `status` IS NOT NULL
  QUALIFY ROW_NUMBER() OVER (
    PARTITION BY `account`, `endpoint`, `date`, `window_start`, `window_end`, `snapshot_at`, `tweet_id`
    ORDER BY `status` = 'answered' DESC, `collected_at` DESC, `status`
  ) = 1;
COMMIT TRANSACTION;
