"""The table of Tweets, one row each, and the table of their labels."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from google.api_core.exceptions import NotFound

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.collections.schema import ATTRIBUTES, LABELS, Attribute
from airflow_provider_engagement.rows.schema import Column
from airflow_provider_engagement.sinks.base import WriteResult
from airflow_provider_engagement.sinks.bigquery.jobs import JobRunner
from airflow_provider_engagement.sinks.bigquery.loads import LoadSettings, StagingTable
from airflow_provider_engagement.sinks.bigquery.locations import dataset_location
from airflow_provider_engagement.sinks.bigquery.locks import locked, prepare_lock
from airflow_provider_engagement.sinks.bigquery.names import TableName, sanitize_labels
from airflow_provider_engagement.sinks.bigquery.partitions import check_no_partition_filter
from airflow_provider_engagement.sinks.bigquery.sql import columns, merge, quoted
from airflow_provider_engagement.sinks.bigquery.tables import TableSpec, ensure_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa
    from google.cloud import bigquery

    from airflow_provider_engagement.collections.collection import Collection

__all__ = ["LABEL_COLUMNS", "TWEET_COLUMNS", "TweetBatch", "TweetTable", "tweets_script"]

log = logging.getLogger(__name__)

_TYPES: Final = {
    "string": "STRING",
    "bool": "BOOL",
    "timestamp": "TIMESTAMP",
    "strings": "STRING",
}


def _column(attribute: Attribute, *, required: bool) -> Column:
    return Column(
        attribute.name,
        _TYPES[attribute.type],
        required,
        attribute.description,
        repeated=attribute.type == "strings",
    )


TWEET_COLUMNS: Final = tuple(_column(each, required=each.name == "tweet_id") for each in ATTRIBUTES)
LABEL_COLUMNS: Final = tuple(_column(each, required=True) for each in LABELS)

# Tweets and labels are staged in one table, so that there is one load job. A staged row with a
# label is of the table of labels. Arrays are staged as text, because only there does null, for a
# source that does not say, differ from an empty array. A hashtag has no comma.
_STAGING: Final = tuple(
    Column(column.name, column.type, False, column.description)
    for column in (*TWEET_COLUMNS, *LABEL_COLUMNS[1:])
)
_SEPARATOR: Final = ","
_WRITTEN_AT_ONCE: Final = 50_000


@dataclass(frozen=True, slots=True)
class TweetBatch:
    """The staged Tweets and labels of one collection.

    :param target: the table of Tweets.
    :param staging: the table with both.
    :param coverage: the table that says which Tweets are unavailable, and therefore lose their
        text; None if all texts stay.
    """

    target: TableName
    staging: TableName
    coverage: TableName | None = None


def tweets_script(batch: TweetBatch) -> str:
    """Return the script that merges Tweets and labels, or neither."""
    statements = [_merge_tweets(batch), _merge_labels(batch)]
    if batch.coverage is not None:
        statements.append(_clear_texts(batch.target, batch.coverage))
    return locked(batch.target, statements)


def _merge_tweets(batch: TweetBatch) -> str:
    updated = [column for column in TWEET_COLUMNS if column.name != "tweet_id"]
    return merge(
        target=batch.target,
        source=_source(batch),
        on=["T.`tweet_id` = S.`tweet_id`"],
        update_if=[f"({' OR '.join(map(_differs, updated))})"],
        assignments={column.name: _updated(column) for column in updated},
        inserted={column.name: _inserted(column) for column in TWEET_COLUMNS},
    )


def _merge_labels(batch: TweetBatch) -> str:
    names = [column.name for column in LABEL_COLUMNS]
    return merge(
        target=batch.target.labels,
        source=_select(batch.staging, columns(names), "`label` IS NOT NULL"),
        on=["T.`tweet_id` = S.`tweet_id`", "T.`label` = S.`label`"],
        update_if=["T.`value` IS DISTINCT FROM S.`value`"],
        assignments={"value": "S.`value`"},
        inserted={name: f"S.`{name}`" for name in names},
    )


def _clear_texts(target: TableName, coverage: TableName) -> str:
    """Return the statement that removes the texts that earlier calls wrote."""
    return (
        f"UPDATE {quoted(target)} SET `text` = NULL\n"  # noqa: S608 - names are checked
        f"WHERE `text` IS NOT NULL AND {_is_unavailable(coverage)};"
    )


def _source(batch: TweetBatch) -> str:
    selected = [f"`{column.name}`" for column in TWEET_COLUMNS]
    if batch.coverage is not None:
        text = f"IF({_is_unavailable(batch.coverage)}, NULL, `text`) AS `text`"
        selected[selected.index("`text`")] = text
    return _select(batch.staging, ", ".join(selected), "`label` IS NULL")


def _select(table: TableName, selected: str, condition: str) -> str:
    return f"  SELECT {selected}\n  FROM {quoted(table)}\n  WHERE {condition}"  # noqa: S608 - names are checked


def _is_unavailable(coverage: TableName) -> str:
    """Return the condition that a Tweet was unavailable when the service last answered for it.

    The other statuses say nothing about whether the Tweet exists.
    """
    return (
        "`tweet_id` IN (\n"  # noqa: S608 - names are checked
        f"    SELECT `tweet_id` FROM {quoted(coverage)}\n"
        "    WHERE `status` IN ('answered', 'unavailable')\n"
        "    GROUP BY `tweet_id`\n"
        "    HAVING MAX(IF(`status` = 'unavailable', `collected_at`, NULL))\n"
        "      > IFNULL(MAX(IF(`status` = 'answered', `collected_at`, NULL)),"
        " TIMESTAMP '0001-01-01 00:00:00+00:00')\n"
        "  )"
    )


def _updated(column: Column) -> str:
    """Return a column's new value: what the source says, or else what the table has."""
    name = column.name
    if name == "url":
        # A source without the author's name gives a URL that says less.
        return "IF(S.`author_username` IS NULL, IFNULL(T.`url`, S.`url`), S.`url`)"
    if column.repeated:
        return f"IF(S.`{name}` IS NULL, T.`{name}`, {_inserted(column)})"
    return f"IFNULL(S.`{name}`, T.`{name}`)"


def _inserted(column: Column) -> str:
    value = f"S.`{column.name}`"
    if not column.repeated:
        return value
    # SPLIT of an empty text would be an array of one empty text.
    return f"IF(IFNULL({value}, '') = '', ARRAY<STRING>[], SPLIT({value}, '{_SEPARATOR}'))"


def _differs(column: Column) -> str:
    if column.repeated:
        # BigQuery does not compare arrays.
        found = f"ARRAY_TO_STRING(T.`{column.name}`, '{_SEPARATOR}')"
        return f"IFNULL({found}, '') <> IFNULL(S.`{column.name}`, IFNULL({found}, ''))"
    return f"T.`{column.name}` IS DISTINCT FROM {_updated(column)}"


class TweetTable:
    """Writes what is known of Tweets to a table, and their labels to ``<table>_labels``.

    :param client: a BigQuery client; jobs run in its project.
    :param destination_table: ``project.dataset.table`` or ``dataset.table``.
    :param coverage_table: the table that says which Tweets are unavailable, and therefore lose
        their text; None if all texts stay.
    :param location: the location of the dataset; read from the dataset by default.
    :param labels: labels of every job; made valid for BigQuery.
    :param maximum_bytes_billed: the bytes that one query may bill; None for no limit.
    :raises InvalidArgumentError: if a parameter has a value that is not allowed.
    """

    def __init__(
        self,
        client: bigquery.Client,
        destination_table: str,
        *,
        coverage_table: str | None = None,
        location: str | None = None,
        labels: Mapping[str, str] | None = None,
        maximum_bytes_billed: int | None = None,
    ) -> None:
        self.table = TableName.parse(destination_table, client.project)
        self._coverage = TableName.parse_optional(
            coverage_table, client.project, name="coverage_table"
        )
        self._jobs = JobRunner(client, location, sanitize_labels(labels), maximum_bytes_billed)

    def write(self, collection: Collection) -> WriteResult:
        """Create or extend the tables, and write Tweets and labels in one transaction.

        :param collection: the Tweets, each once.
        :returns: the number of Tweets; ``coverage`` is the table of labels.
        :raises InvalidArgumentError: if a table cannot take the rows.
        :raises PermissionDeniedError: if the credentials may not write.
        """
        self._prepare()
        staging = StagingTable(self._jobs, self.table.new_staging(), _STAGING, LoadSettings())
        try:
            for rows in _staged_rows(collection):
                staging.write(rows)
            staging.finish()
            batch = TweetBatch(self.table, staging.name, self._coverage)
            job = self._jobs.query(tweets_script(batch))
        finally:
            staging.drop()
        stats: dict[str, Any] = {
            "load_jobs": staging.loads,
            "job_id": job.job_id,
            "bytes_billed": job.total_bytes_billed,
        }
        rows_written = collection.attributes.num_rows
        return WriteResult(rows_written, str(self.table), (), str(self.table.labels), stats)

    def cancel(self) -> None:
        """End the job that runs now, and start no further one. Never raises."""
        self._jobs.cancel()

    def _prepare(self) -> None:
        jobs, name = self._jobs, self.table
        jobs.location = dataset_location(jobs.client, name, jobs.location)
        if self._coverage is not None:
            self._check_coverage(self._coverage)
        tweets = TableSpec(TWEET_COLUMNS, "What is known of each Tweet.", ("tweet_id",))
        labels = TableSpec(LABEL_COLUMNS, f"Labels of the Tweets in {name.table}.", ("tweet_id",))
        for table, spec in ((name, tweets), (name.labels, labels)):
            check_no_partition_filter(ensure_table(jobs.client, table, spec), table)
        prepare_lock(jobs, name)

    def _check_coverage(self, coverage: TableName) -> None:
        try:
            table = self._jobs.client.get_table(str(coverage))
        except NotFound:
            message = f"coverage_table: there is no table {coverage}."
            advice = (
                "Pass <destination_table>_coverage of the task that writes the counts, and run "
                "that task first. Or leave coverage_table out."
            )
            raise InvalidArgumentError(message, advice=advice) from None
        check_no_partition_filter(table, coverage, parameter="coverage_table")


def _staged_rows(collection: Collection) -> Iterator[pa.Table]:
    """Yield the rows of a staging table: Tweets, then labels."""
    import pyarrow as pa
    import pyarrow.compute as pc

    tweets = collection.attributes
    for start in range(0, tweets.num_rows, _WRITTEN_AT_ONCE):
        rows = tweets.slice(start, _WRITTEN_AT_ONCE)
        for name in (column.name for column in TWEET_COLUMNS if column.repeated):
            text = pc.binary_join(rows[name].combine_chunks(), _SEPARATOR)
            rows = rows.set_column(rows.column_names.index(name), name, text)
        moments = rows["created_at"].cast(pa.timestamp("us", tz="UTC"))
        yield rows.set_column(rows.column_names.index("created_at"), "created_at", moments)
    for start in range(0, collection.labels.num_rows, _WRITTEN_AT_ONCE):
        yield collection.labels.slice(start, _WRITTEN_AT_ONCE)
