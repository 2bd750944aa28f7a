"""Views in DuckDB over folders of Parquet files, and queries over them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow.parquet as pq

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.collections.files import split_uri
from airflow_provider_engagement.reports.dialect import (
    for_duckdb,
    typed_query,
    with_types_of_bigquery,
)
from airflow_provider_engagement.reports.engine import placeholders
from airflow_provider_engagement.reports.folders import find_counts, find_parquet
from airflow_provider_engagement.reports.sources import (
    LABEL_TYPES,
    TWEET_TYPES,
    empty,
    empty_coverage,
    rows_of,
)
from airflow_provider_engagement.reports.tweet_files import (
    labels_query,
    tweets_query,
    write_collection,
)
from airflow_provider_engagement.reports.views import VIEWS, filled, views
from airflow_provider_engagement.rows.schema import LONG
from airflow_provider_engagement.sinks.bigquery.sql import columns, literal
from airflow_provider_engagement.sinks.scratch import ScratchFolder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from airflow_provider_engagement.collections.files import FileStore
    from airflow_provider_engagement.reports.engine import Parameter

__all__ = ["DuckDBEngine"]

# DuckDB works on disk with what does not fit. Nothing is loaded from the network.
_CONFIG: Final[dict[str, str | bool | int | float | list[str]]] = {
    "memory_limit": "160MiB",
    "threads": "2",
    "preserve_insertion_order": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}


class DuckDBEngine:
    """Views over the finished Parquet files of a folder, in a temporary database.

    :param table: the URI of the folder with the counts, in either layout, or of one file.
    :param tweets_table: the URI of what is known of the Tweets: Parquet files with the columns of
        the table of Tweets, or any collection; None for counts alone.
    :param store: where the files lie.
    """

    def __init__(self, table: str, tweets_table: str | None = None, *, store: FileStore) -> None:
        self._uri = table
        self._tweets_uri = tweets_table
        self._store = store
        self._name = re.sub(
            r"\W+", "_", table.removesuffix(".parquet").strip("/").rpartition("/")[2]
        )
        self._scratch: ScratchFolder | None = None
        self._connection: Any = None
        self._placeholders: dict[str, str] = {}

    def create_views(self) -> list[str]:
        """Make all views in the temporary database.

        :returns: their names.
        :raises InvalidArgumentError: if the files cannot be read, or hold something else.
        """
        if self._connection is None:
            self._scratch = ScratchFolder()
            self._connection = _connect(self._scratch.path / "report.duckdb")
            self._make_sources()
            for view in views():
                query = typed_query(view, filled(view.sql, self._placeholders))
                self._make(self._placeholders[view.name], query)
        return [f"{self._name}_{name}" for name in VIEWS]

    def query(self, sql: str, parameters: Mapping[str, Parameter] | None = None) -> pa.Table:
        """Run a query: see :class:`airflow_provider_engagement.reports.engine.Engine`."""
        self.create_views()
        found = self._connection.execute(
            for_duckdb(filled(sql, self._placeholders)), dict(parameters or {})
        )
        return with_types_of_bigquery(found.to_arrow_table())

    def close(self) -> None:
        """Delete the temporary database."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._scratch is not None:
            self._scratch.remove()

    def _make_sources(self) -> None:
        files = find_counts(self._uri, self._store)
        rows = [self._local(uri) for uri in files.rows]
        coverage = [self._local(uri) for uri in files.coverage]
        names = {
            name: f"`{self._name}_{name}`" for name in (*VIEWS, "coverage", "tweets", "labels")
        }
        names |= {"rows": f"`{self._name}`", "source": literal(self._uri)}
        self._placeholders = placeholders(names)
        self._make(names["rows"], self._rows(rows))
        if coverage:
            self._make_files(names["coverage"], coverage)
        else:
            self._make(names["coverage"], empty_coverage())
        self._make_tweets()

    def _rows(self, paths: Sequence[Path]) -> str:
        """Return the query for the rows of files of either layout."""
        selected = columns(column.name for column in LONG)
        by_columns: dict[tuple[str, ...], list[Path]] = {}
        for path in paths:
            by_columns.setdefault(tuple(pq.read_schema(path).names), []).append(path)
        parts = []
        for number, (found, same) in enumerate(by_columns.items()):
            name = f"`{self._name}_files_{number}`"
            self._make_files(name, same)
            rows = rows_of(name, found, name=self._uri)
            parts.append(f"SELECT {selected} FROM {rows}")  # noqa: S608 - names are checked
        return "\nUNION ALL\n".join(parts)

    def _make_tweets(self) -> None:
        tweets, labels = self._placeholders["tweets"], self._placeholders["labels"]
        uri = self._tweets_uri
        if uri is None:
            self._make(tweets, empty(TWEET_TYPES.items()))
            self._make(labels, empty(LABEL_TYPES.items()))
            return
        paths = [self._local(each) for each in find_parquet(uri, self._store)]
        labels_uri = f"{uri.rstrip('/')}_labels/" if uri.endswith("/") else ""
        label_paths = [self._local(each) for each in find_parquet(labels_uri, self._store)]
        if not paths:
            path, label_path = write_collection(uri, self._store, self._folder)
            paths, label_paths = [path], [label_path]
        self._make_files("`_tweet_files`", paths)
        names = self._names("`_tweet_files`")
        if "tweet_id" not in names:
            message = f"tweets_table: {uri} has no column tweet_id."
            advice = "Name Parquet files with the columns of the table of Tweets."
            raise InvalidArgumentError(message, advice=advice)
        self._make(tweets, tweets_query("`_tweet_files`", names))
        if label_paths:
            self._make_files("`_label_files`", label_paths)
            self._make(labels, labels_query("`_label_files`", self._names("`_label_files`")))
        else:
            self._make(labels, labels_query("`_tweet_files`", names))

    def _make(self, name: str, query: str) -> None:
        self._connection.execute(for_duckdb(f"CREATE VIEW {name} AS\n{query}"))

    def _make_files(self, name: str, paths: Sequence[Path]) -> None:
        listed = ", ".join(f"'{str(path).replace(chr(39), chr(39) * 2)}'" for path in paths)
        self._connection.execute(
            f"CREATE VIEW {for_duckdb(name)} AS SELECT * "  # noqa: S608 - names and paths are quoted
            f"FROM read_parquet([{listed}], filename = true, union_by_name = true)"
        )

    def _names(self, name: str) -> list[str]:
        found = self._connection.execute(f"DESCRIBE {for_duckdb(name)}").fetchall()
        return [column[0] for column in found]

    @property
    def _folder(self) -> Path:
        if self._scratch is None:
            msg = "Call create_views() first."
            raise RuntimeError(msg)
        return self._scratch.path

    def _local(self, uri: str) -> Path:
        """Return where a file lies on this machine; it is copied where it does not."""
        scheme, _, path = split_uri(uri)
        if scheme == "file":
            return Path(path)
        copied = self._folder / re.sub(r"[^\w.=-]", "_", uri)
        with self._store.open(uri) as reading, copied.open("wb") as writing:
            shutil.copyfileobj(reading, writing)
        return copied


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
