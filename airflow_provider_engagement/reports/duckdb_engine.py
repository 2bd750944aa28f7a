"""Views in DuckDB over folders of Parquet files, and queries over them."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pyarrow.parquet as pq

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.reports.dialect import (
    for_duckdb,
    text_literal,
    typed_query,
    with_types_of_bigquery,
)
from airflow_provider_engagement.reports.duckdb_tables import DuckDBTables, FileQuery
from airflow_provider_engagement.reports.engine import placeholders
from airflow_provider_engagement.reports.folders import LocalCopies, find_counts, location
from airflow_provider_engagement.reports.sources import SOURCE_QUERIES, rows_of
from airflow_provider_engagement.reports.tweet_files import (
    find_tweets,
    labels_query,
    tweets_query,
)
from airflow_provider_engagement.reports.views import SOURCES, VIEWS, filled, views
from airflow_provider_engagement.rows.schema import LONG
from airflow_provider_engagement.sinks.bigquery.sql import columns, literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa

    from airflow_provider_engagement.collections.files import FileStore
    from airflow_provider_engagement.reports.engine import Parameter

    TweetQuery = Callable[..., str]

__all__ = ["DuckDBEngine"]

_HEADER: Final = """\
-- Views over the finished files of a folder, written by EngagementViewsOperator.
-- Run it in DuckDB: duckdb -c ".read <this file>".
-- For files in gs://, load the extension httpfs and create a secret first.\
"""

# DuckDB uses the disk for what does not fit into memory. It loads nothing from the network.
_CONFIG: Final[dict[str, str | bool | int | float | list[str]]] = {
    "memory_limit": "160MiB",
    "threads": "1",
    "preserve_insertion_order": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}


class DuckDBEngine:
    """Views over the finished Parquet files of a folder, in a temporary database.

    :param table: the URI of the folder with the counts, in either layout, or of one file.
    :param tweets_table: the URI of the Tweets' attributes: Parquet files with the columns of the
        table of Tweets, or any collection; None for counts alone.
    :param store: where the files lie.
    """

    def __init__(self, table: str, tweets_table: str | None = None, *, store: FileStore) -> None:
        self._uri = table
        self._tweets_uri = tweets_table
        self._files = LocalCopies(store)
        self._name = _last_name(table)
        self._connection: Any = None
        self._tables: DuckDBTables | None = None
        self._row_count = 0
        self._tweet_queries: dict[str, FileQuery] = {}
        self._placeholders: dict[str, str] = {}
        self._statements: list[str] = []

    def create_views(self) -> list[str]:
        """Make all views in the temporary database.

        :returns: their names.
        :raises InvalidArgumentError: if the files cannot be read, or hold something else.
        """
        if self._connection is None:
            self._connection = _connect(self._files.folder / "counts.duckdb")
            self._make_sources()
            for view in views():
                query = typed_query(view, filled(view.sql, self._placeholders))
                self._make(self._placeholders[view.name], query)
        return [f"{self._name}_{name}" for name in VIEWS]

    def ensure_views(self) -> None:
        """Make the views in the temporary database."""
        self.create_views()

    def query(self, sql: str, parameters: Mapping[str, Parameter] | None = None) -> pa.Table:
        """Run a query: see :class:`airflow_provider_engagement.reports.engine.Engine`."""
        self.create_views()
        if self._tables is None:
            self._tables = DuckDBTables(
                self._connection,
                {name: self._placeholders[name] for name in (*SOURCES, "source")},
                self._tweet_queries,
                self._row_count,
            )
        query = for_duckdb(filled(sql, self._tables.names_for(sql)))
        found = self._connection.execute(query, dict(parameters or {}))
        return with_types_of_bigquery(found.to_arrow_table())

    def publish(self, put_file: Callable[[Path, str], None]) -> list[str]:
        """Write the script that makes the views in any DuckDB, beside the files.

        It lists the files that are finished now. Attributes of Tweets that were not in Parquet are
        written beside it as Parquet.

        :param put_file: copies a local file to a URI, whole or not at all.
        :returns: the URI of the script.
        """
        self.create_views()
        folder = self._uri[: self._uri.rindex("/") + 1]
        script = "\n\n".join((_HEADER, *self._statements, *self._comments())) + "\n"
        for path in self._files.written:
            uri = f"{folder}_{self._name}_{path.name}"
            put_file(path, uri)
            script = script.replace(text_literal(str(path)), text_literal(location(uri)))
        path = self._files.folder / "views.sql"
        path.write_text(script, encoding="utf-8")
        uri = f"{folder}{self._name}_views.sql"
        put_file(path, uri)
        return [uri]

    def close(self) -> None:
        """Delete the temporary database."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._files.remove()

    def _make_sources(self) -> None:
        files = find_counts(self._uri, self._files.store)
        made = (*VIEWS, "coverage", "tweets", "labels")
        names = {name: f"`{self._name}_{name}`" for name in made}
        names |= {"rows": f"`{self._name}`", "source": literal(self._uri)}
        self._placeholders = placeholders(names)
        self._make(names["rows"], self._rows(files.rows))
        if files.coverage:
            self._make_files(names["coverage"], files.coverage)
        else:
            self._make(names["coverage"], SOURCE_QUERIES["coverage"])
        self._make_tweets()

    def _rows(self, uris: Sequence[str]) -> str:
        """Return the query for the rows of files of either layout."""
        selected = columns(column.name for column in LONG)
        by_columns: dict[tuple[str, ...], list[str]] = {}
        for uri in uris:
            footer = pq.read_metadata(self._files.path(uri))
            self._row_count += footer.num_rows
            names = tuple(footer.schema.to_arrow_schema().names)
            by_columns.setdefault(names, []).append(uri)
        parts = []
        for number, (found, same) in enumerate(by_columns.items()):
            name = f"`{self._name}_files_{number}`"
            self._make_files(name, same)
            rows = rows_of(name, found, name=self._uri)
            parts.append(f"SELECT {selected} FROM {rows}")  # noqa: S608 - the names are quoted
        return "\nUNION ALL\n".join(parts)

    def _make_tweets(self) -> None:
        tweets, labels = self._placeholders["tweets"], self._placeholders["labels"]
        if self._tweets_uri is None:
            self._make(tweets, SOURCE_QUERIES["tweets"])
            self._make(labels, SOURCE_QUERIES["labels"])
            return
        found = find_tweets(self._tweets_uri, self._files)
        tweet_files = f"`{self._name}_tweet_files`"
        self._make_files(tweet_files, found.tweets)
        names = self._names(tweet_files)
        if "tweet_id" not in names:
            message = f"tweets_table: {self._tweets_uri} has no column tweet_id."
            advice = "Name Parquet files with the columns of the table of Tweets."
            raise InvalidArgumentError(message, advice=advice)
        label_files, label_names = tweet_files, names
        if found.labels:
            label_files = f"`{self._name}_label_files`"
            self._make_files(label_files, found.labels)
            label_names = self._names(label_files)
        self._make_unique("tweets", tweets_query, tweet_files, names, "tweet_id")
        key = "tweet_id, label" if found.labels else "tweet_id"
        self._make_unique("labels", labels_query, label_files, label_names, key)

    def _make_unique(
        self, name: str, query: TweetQuery, files: str, names: Sequence[str], key: str
    ) -> None:
        """Make a view with one row per key; queries read a table of it if keys are repeated."""
        counted = f"SELECT COUNT(*), COUNT(DISTINCT hash({key})) FROM {for_duckdb(files)}"  # noqa: S608 - the names are quoted
        rows, keys = self._connection.execute(counted).fetchone()
        chosen = partial(query, names=names, is_unique=rows == keys)
        if rows != keys:
            self._tweet_queries[name] = FileQuery(files, chosen, rows)
        self._make(self._placeholders[name], chosen(files))

    def _make(self, name: str, query: str) -> None:
        statement = for_duckdb(f"CREATE OR REPLACE VIEW {name} AS\n{query}")
        self._connection.execute(statement)
        self._statements.append(f"{statement};")

    def _make_files(self, name: str, uris: Sequence[str]) -> None:
        def statement(places: Iterable[str]) -> str:
            return (
                f"CREATE OR REPLACE VIEW {for_duckdb(name)} AS SELECT * FROM read_parquet(["  # noqa: S608 - quoted
                f"{', '.join(map(text_literal, places))}], filename = true, union_by_name = true);"
            )

        self._connection.execute(statement(str(self._files.path(uri)) for uri in uris))
        self._statements.append(statement(map(location, uris)))

    def _names(self, name: str) -> list[str]:
        found = self._connection.execute(f"DESCRIBE {for_duckdb(name)}").fetchall()
        return [column[0] for column in found]

    def _comments(self) -> Iterator[str]:
        for view in views():
            name = for_duckdb(self._placeholders[view.name])
            yield f"COMMENT ON VIEW {name} IS {text_literal(view.description)};"
            for column in view.columns:
                text = text_literal(column.description)
                yield f'COMMENT ON COLUMN {name}."{column.name}" IS {text};'


def _last_name(uri: str) -> str:
    name = uri.removesuffix(".parquet").strip("/").rpartition("/")[2]
    return re.sub(r"\W+", "_", name)


def _connect(path: Path) -> Any:
    try:
        import duckdb
    except ImportError:
        message = "duckdb is not installed, and reports on files need it."
        advice = "pip install 'airflow-provider-engagement[report]'"
        raise InvalidArgumentError(message, advice=advice) from None
    connection = duckdb.connect(str(path), config=_CONFIG)
    connection.execute("SET TimeZone = 'UTC'")
    return connection
