"""The tables and views that queries read in DuckDB. Each is made once, when a query first needs it.

Large tables are filled in passes, so that each pass fits into memory. Where each row depends on one
Tweet only, a pass takes the Tweets of some hashes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_engagement.reports.dialect import for_duckdb, text_literal, typed_query
from airflow_provider_engagement.reports.views import BLOCKS, filled, names_in, view

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["DuckDBTables", "FileQuery"]

# Views and blocks whose rows each depend on one Tweet only.
_OF_TWEETS: Final = ("latest", "days", "growth", "at_age")
# The view of kinds is filled in one pass for each dimension.
_DIMENSIONS: Final = ("media", "link", "type", "hour")

# How many rows of counts, and of Tweets, a pass takes.
_ROWS_AT_ONCE: Final = 3_000_000
_TWEETS_AT_ONCE: Final = 50_000


@dataclass(frozen=True, slots=True)
class FileQuery:
    """How a source is read from files.

    :param table: the view of the files, quoted.
    :param query: returns the GoogleSQL query over the view, or over a part of it.
    :param rows: how many rows the files have.
    """

    table: str
    query: Callable[[str], str]
    rows: int


class DuckDBTables:
    """Tables and views for the queries of one connection.

    :param connection: of DuckDB.
    :param names: the SQL for each source, such as ``rows``.
    :param tweets: how to read ``tweets`` and ``labels`` from files in which some rows are repeated.
    :param rows: how many rows of counts there are.
    """

    def __init__(
        self,
        connection: Any,
        names: Mapping[str, str],
        tweets: Mapping[str, FileQuery],
        rows: int,
    ) -> None:
        self._connection = connection
        self._names = dict(names)
        for name in tweets:
            del self._names[name]
        self._tweets = tweets
        self._passes = rows // _ROWS_AT_ONCE + 1
        connection.execute("CREATE SCHEMA report")

    def names_for(self, sql: str) -> Mapping[str, str]:
        """Make what a query reads, and return the SQL for its placeholders.

        :param sql: GoogleSQL.
        """
        for name in names_in(sql):
            if name not in self._names:
                self._make(name)
                table = f"`report`.`{name}`"
                self._names[name] = _whole(table) if name in BLOCKS else table
        return self._names

    def _make(self, name: str) -> None:
        if name in self._tweets:
            self._fill(name, self._parts_of_files(self._tweets[name]))
            return
        wanted = view(name)
        names = self.names_for(wanted.sql)
        if name in _OF_TWEETS:
            self._fill(name, self._parts(name))
            return
        query = for_duckdb(typed_query(wanted, filled(wanted.sql, names)))
        if name == "types":
            kinds = (f"dimension = {text_literal(each)}" for each in _DIMENSIONS)
            self._fill(name, (f"FROM ({query}) WHERE {kind}" for kind in kinds))
        else:
            self._connection.execute(f'CREATE VIEW "report"."{name}" AS {query}')

    def _parts(self, name: str) -> Iterable[str]:
        """Yield a query for each pass. It reads views of that pass's Tweets."""
        wanted = view(name)
        read = names_in(wanted.sql)
        parts = {each: f"part_of_{each}" for each in read}
        names = {each: _whole(part) if each in BLOCKS else part for each, part in parts.items()}
        query = for_duckdb(typed_query(wanted, filled(wanted.sql, names)))
        for number in range(self._passes):
            for each, part in parts.items():
                source = f'"report"."{each}"' if each != "rows" else for_duckdb(self._names[each])
                # Numbers take less memory than text.
                selected = "* REPLACE (CAST(tweet_id AS BIGINT) AS tweet_id)"
                self._make_part(part, source, selected, number, self._passes)
            yield query

    def _parts_of_files(self, files: FileQuery) -> Iterable[str]:
        query = for_duckdb(files.query("part_of_files"))
        passes = files.rows // _TWEETS_AT_ONCE + 1
        for number in range(passes):
            self._make_part("part_of_files", for_duckdb(files.table), "*", number, passes)
            yield query

    def _make_part(self, part: str, source: str, selected: str, number: int, passes: int) -> None:
        self._connection.execute(
            f"CREATE OR REPLACE TEMP VIEW {part} AS SELECT {selected} FROM {source} "  # noqa: S608 - only names and numbers of this package
            f"WHERE hash(tweet_id) % {passes} = {number}"
        )

    def _fill(self, name: str, queries: Iterable[str]) -> None:
        for number, query in enumerate(queries):
            start = "INSERT INTO" if number else "CREATE TABLE"
            self._connection.execute(f'{start} "report"."{name}" {"" if number else "AS"} {query}')


def _whole(table: str) -> str:
    return f"SELECT * FROM {table}"  # noqa: S608 - only names and numbers of this package
