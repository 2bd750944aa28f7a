"""What goes wrong in real deployments, what comes of it, and the tests that show it.

docs/reference/faults.md shows this list as tables; a test checks that each named test exists.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["FIELD_FAULTS", "FieldFault"]


@dataclass(frozen=True, slots=True)
class FieldFault:
    """A kind of fault.

    :param number: its number in the list that the project works from.
    :param area: where it occurs: the title of its table.
    :param kind: the fault, in words.
    :param outcome: what the provider does.
    :param tests: the tests that show it, each as ``path::name`` below ``tests/``.
    """

    number: int
    area: str
    kind: str
    outcome: str
    tests: tuple[str, ...]


_IDS: Final = "Tweet ids"
_RUNS: Final = "Runs that would succeed with wrong data"
_PASSING: Final = "Faults that pass"
_STORAGE: Final = "Buckets and tables"
_PLATFORMS: Final = "Networks and platforms"

FIELD_FAULTS: Final = (
    FieldFault(
        1,
        _IDS,
        "a CSV file whose ids are not its only column, or a file with several values on a line",
        "With a header, only the id column is read. Without one, a second value on a line is "
        "refused with the line's number.",
        (
            "collections/test_delimited.py::test_the_ids_column_is_found_by_its_name",
            "collections/test_delimited.py::test_a_second_value_on_a_line_is_refused_with_the_lines_number",
            "collections/test_delimited.py::test_a_file_of_a_single_line_may_hold_many",
        ),
    ),
    FieldFault(
        2,
        _IDS,
        "ids that a spreadsheet or JavaScript has rounded",
        "Refused, or a warning where only one or two ids look rounded. The error says how to "
        "export ids as text.",
        (
            "collections/test_rounding.py::test_rounded_ids_are_refused_from_a_few_on",
            "collections/test_rounding.py::test_one_or_two_ids_that_may_be_rounded_are_a_warning",
            "collections/test_rounding.py::test_honest_ids_are_never_refused",
            "collections/test_rounding.py::test_a_number_in_scientific_notation_is_refused_with_its_cause",
        ),
    ),
    FieldFault(
        3,
        _IDS,
        "ids as other tasks return them: XComs of mapped tasks, sets, rows of one column, numpy "
        "and pandas columns",
        "All are read as ids.",
        (
            "collections/test_tweet_ids.py::test_ids_are_read_from_whatever_an_upstream_returns",
            "collections/test_tweet_ids.py::test_results_of_mapped_tasks_are_joined",
            "collections/test_tweet_ids.py::test_rows_of_a_database_are_read",
            "sensors/test_threshold_sensor.py::test_ids_are_read_as_upstream_tasks_return_them",
        ),
    ),
    FieldFault(
        4,
        _IDS,
        "`None` or an empty text from a template",
        "The parameter has its default. Lists and groupings are read from Python text as well as "
        "from JSON.",
        (
            "collections/test_parsing.py::test_empty_text_and_none_mean_not_given",
            "collections/test_parsing.py::test_an_object_is_read_from_json_and_from_python_text",
            "operators/test_coercion.py::test_a_template_without_a_value_means_the_default",
            "operators/test_totals.py::test_groupings_are_read_from_json_and_from_python",
        ),
    ),
    FieldFault(
        5,
        _IDS,
        "a post's URL, `ID:…` or `tag:…` in place of an id; a path without a scheme",
        "URLs and prefixed ids are read as their id. A path is refused with what to write.",
        (
            "collections/test_tweet_ids.py::test_an_id_is_read_however_it_is_written",
            "collections/test_tweet_ids.py::test_a_web_address_that_is_not_a_posts_is_refused",
            "hooks/test_storage.py::test_a_uri_without_a_root_says_what_to_write",
        ),
    ),
    FieldFault(
        6,
        _RUNS,
        "`soft_fail=True` with wrong keys, no connection or a misspelt metric",
        "The task fails. Only a timeout, or Tweets that can no longer reach the thresholds, skip "
        "it.",
        (
            "sensors/test_threshold_sensor.py::test_soft_fail_does_not_skip_what_needs_a_change",
            "sensors/test_threshold_sensor.py::test_each_mode_has_the_same_result",
        ),
    ),
    FieldFault(
        7,
        _RUNS,
        "mapped tasks with the same `output_path`",
        "Refused before the first request.",
        (
            "operators/test_destination.py::test_one_file_for_all_instances_is_refused",
            "operators/test_destination.py::test_a_file_for_each_instance_is_written",
        ),
    ),
    FieldFault(
        8,
        _RUNS,
        "`/totals` in a manual run whose data interval is long past",
        "The run pulls the counts of now. Only a scheduled or backfilled run can be too late.",
        (
            "operators/test_run_window.py::test_the_moment_of_a_manual_run_is_its_start",
            "operators/test_run_window.py::test_a_manual_run_that_started_too_long_ago_is_of_now",
            "transfers/test_to_gcs.py::test_a_late_run_returns_the_snapshot_that_exists",
            "operators/test_totals.py::test_a_run_by_hand_has_the_counts_of_now_whatever_its_interval",
        ),
    ),
    FieldFault(
        9,
        _RUNS,
        "partition keys with a time, or in another time zone; a key that cannot be read",
        "The key is read as the partition's own time. An unreadable key is refused by its name. "
        "A window that is cut short is a warning.",
        (
            "operators/test_partition.py::test_a_key_of_a_cron_timetable_names_the_time_until_the_next_one",
            "operators/test_run_window.py::test_a_partition_key_that_names_no_period_is_an_error_with_advice",
        ),
    ),
    FieldFault(
        10,
        _RUNS,
        "favorites, retweets and replies before 2015-09-15 on `/historical`, which the API counts "
        "as 0",
        "No row is written, and the coverage lists the types as missing.",
        (
            "rows/test_flatten.py::test_false_zeros_before_2015_09_15_have_no_rows",
            "rows/test_flatten.py::test_a_sum_that_contains_false_zeros_is_absent",
        ),
    ),
    FieldFault(
        11,
        _RUNS,
        "a snapshot in a bucket that is pulled again with more Tweets",
        "Existing Tweets keep their counts. New Tweets are added.",
        (
            "transfers/test_to_gcs.py::test_new_ids_are_added_to_the_snapshot_and_the_others_keep_their_counts",
            "sinks/test_objects.py::test_new_tweets_are_added_and_the_first_answers_stand",
            "sinks/test_concurrent_writers.py::test_many_writers_in_random_order_leave_a_whole_folder",
        ),
    ),
    FieldFault(
        12,
        _PASSING,
        "an outage; a proxy's page as a 4xx; one 401 among many answers; a connection that cannot "
        "be read for a moment; a failed token exchange",
        "The request is tried until a time budget is spent, then Airflow retries the task. "
        "Finished requests are not lost.",
        (
            "api/test_retry.py::test_a_request_is_retried_until_its_budget_is_spent_however_often",
            "api/test_retry.py::test_one_success_ends_the_wait_of_every_other_request",
            "api/test_retry.py::test_a_page_of_a_proxy_or_firewall_is_waited_out",
            "api/test_retry.py::test_a_401_after_the_credentials_were_accepted_is_retried",
            "api/test_retry.py::test_a_token_exchange_is_retried_on_503",
            "sensors/test_threshold_sensor.py::test_a_connection_that_cannot_be_read_for_a_moment_is_waited_out",
            "hooks/test_connection.py::test_a_task_is_retried_when_a_backend_fails",
        ),
    ),
    FieldFault(
        13,
        _PASSING,
        "a write that fails after all requests were answered",
        "Only the write is repeated.",
        (
            "transfers/test_to_bigquery.py::test_a_write_that_fails_after_all_requests_is_repeated_without_them",
            "transfers/test_to_bigquery.py::test_the_next_try_repeats_only_the_write_where_there_is_a_staging_bucket",
            "transfers/test_bucket_faults.py::test_a_landing_that_fails_is_repeated_without_a_request",
            "sinks/test_gcs.py::test_an_upload_is_repeated_on_passing_faults",
        ),
    ),
    FieldFault(
        14,
        _STORAGE,
        "other objects below the staging folder; a bucket with a retention policy",
        "Only objects with names that this provider makes are deleted. A delete that fails does "
        "not fail the task.",
        (
            "sinks/test_objects.py::test_objects_of_others_are_never_deleted",
            "pull/test_checkpoint.py::test_objects_of_others_are_never_swept",
            "pull/test_checkpoint.py::test_a_retention_policy_fails_no_pull",
            "pull/test_checkpoint.py::test_the_first_request_waits_for_no_sweep",
            "transfers/test_bucket_faults.py::test_a_bucket_that_refuses_every_delete_fails_no_pull",
            "transfers/test_series.py::test_checkpoints_are_swept_after_a_week",
        ),
    ),
    FieldFault(
        15,
        _STORAGE,
        "two tries of a task that run at once",
        "The manifest lists the objects of one try. A try deletes only its own objects.",
        (
            "sinks/test_concurrent_writers.py::test_a_process_paused_at_each_step_while_another_runs_leaves_one_whole_folder",
            "sinks/test_concurrent_writers.py::test_two_processes_paused_at_each_step_leave_one_whole_folder",
            "sinks/test_concurrent_writers.py::test_many_writers_in_random_order_leave_a_whole_folder",
        ),
    ),
    FieldFault(
        16,
        _STORAGE,
        "a mapped list that is reordered",
        "The folder is named by what is requested, so an account is written once.",
        (
            "transfers/test_to_gcs.py::test_a_reordered_list_of_items_writes_nothing_twice",
            "transfers/test_to_gcs.py::test_items_that_ask_something_else_have_folders_of_their_own",
        ),
    ),
    FieldFault(
        17,
        _STORAGE,
        "many tasks that write to BigQuery at once",
        "Each target has its own lock. Conflicts are retried for longer the more there are.",
        (
            "sinks/bigquery/test_retries.py::test_32_tasks_that_write_to_one_table_all_have_their_turn",
            "sinks/bigquery/test_merge.py::test_scripts_of_two_tables_name_no_table_in_common",
            "sinks/bigquery/test_retries.py::test_patience_grows_with_conflicts_up_to_a_bound",
        ),
    ),
    FieldFault(
        18,
        _STORAGE,
        "a bucket in another region; a REQUIRED column that is unknown; a partition filter on "
        "another column; no billing; more partitions than a job may write; permissions on a prefix "
        "alone",
        "Refused before the first request, or split into several jobs. Permissions on the prefix "
        "are enough.",
        (
            "sinks/bigquery/test_prepare.py::test_a_staging_bucket_in_another_region_is_refused",
            "sinks/bigquery/test_prepare.py::test_a_required_column_is_refused_where_the_groupings_leave_it_null",
            "sinks/bigquery/test_prepare.py::test_a_partition_filter_on_another_column_is_refused_for_an_upsert",
            "sinks/bigquery/test_prepare.py::test_a_project_without_billing_is_refused",
            "sinks/bigquery/test_merge.py::test_one_statement_writes_at_most_4000_partitions",
            "sinks/test_gcs.py::test_permissions_below_a_prefix_are_enough",
            "transfers/test_bucket_faults.py::test_a_missing_permission_fails_before_the_first_request",
        ),
    ),
    FieldFault(
        19,
        _STORAGE,
        "queries that must carry labels, or stay below a number of bytes",
        "`labels` and `maximum_bytes_billed` are passed to the jobs.",
        (
            "transfers/test_to_bigquery.py::test_every_job_has_labels_and_every_query_a_byte_limit",
            "transfers/test_bigquery_jobs.py::test_queries_have_the_maximum_of_bytes_billed",
        ),
    ),
    FieldFault(
        20,
        _PLATFORMS,
        "Airflow with the older packages that its own constraints pin",
        "The provider installs and runs beside them.",
        (
            "test_constrained.py::test_requirements_allow_what_airflow_pins",
            "test_constrained.py::test_pull_and_sensors_run_with_the_pinned_provider",
        ),
    ),
    FieldFault(
        21,
        _PLATFORMS,
        "SOCKS proxies; `HTTP_PROXY` and a loopback host; an untrusted certificate; a proxy that "
        "asks for a password",
        "Loopback requests never use a proxy. Certificate and proxy errors fail at once and say "
        "so.",
        (
            "api/test_transport.py::test_socks_proxies_have_deadlines_too",
            "api/test_transport.py::test_loopback_requests_never_go_through_a_proxy",
            "api/test_transport.py::test_untrusted_certificate_fails_at_once",
            "api/test_transport.py::test_proxy_that_requires_a_password_fails_at_once",
        ),
    ),
    FieldFault(
        22,
        _PLATFORMS,
        "an `AIRFLOW_CONN_…` variable that cannot be parsed",
        "The error says so, instead of that there is no connection.",
        ("hooks/test_connection.py::test_a_variable_that_cannot_be_read_is_named",),
    ),
    FieldFault(
        23,
        _PLATFORMS,
        "100,000 Tweets in a deferred sensor; a collection file that the triggerer does not have",
        "The triggerer's loop is not blocked. The error says on which machine the file was looked "
        "for.",
        (
            "triggers/test_event_loop.py::test_a_trigger_of_100_000_tweets_does_not_block_the_loop",
            "sensors/test_threshold_sensor.py::test_a_deferred_sensor_backs_off",
        ),
    ),
    FieldFault(
        24,
        _PLATFORMS,
        "a task that is killed during a BigQuery job",
        "The job is cancelled. Temporary folders of killed tasks are deleted later.",
        (
            "transfers/test_to_bigquery.py::test_on_kill_cancels_the_job_that_runs",
            "transfers/test_bigquery_jobs.py::test_a_killed_task_cancels_its_job_and_starts_no_other",
            "sinks/test_scratch.py::test_the_folder_of_a_killed_process_is_deleted_by_the_next_pull",
        ),
    ),
    FieldFault(
        25,
        _PLATFORMS,
        "a collection of a million ids",
        "Memory stays below 700 MiB, because outcomes are shared and coverage is written in "
        "chunks.",
        ("test_memory.py::test_a_task_needs_little_memory_for_each_tweet",),
    ),
)
"""All kinds, in the order of their numbers."""
