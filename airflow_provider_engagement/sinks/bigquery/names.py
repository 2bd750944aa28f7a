"""Names and labels that reach BigQuery: checked before they are part of SQL, or sanitised."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from airflow_provider_engagement.api.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TableName", "sanitize_labels"]

# A project can carry its domain ("example.com:project"). BigQuery allows more in a table's name,
# such as spaces; the characters that are allowed here need no escaping inside backquotes.
_PROJECT = re.compile(r"(?:[a-z0-9.-]+:)?[a-z][a-z0-9-]{0,62}", re.ASCII)
_DATASET = re.compile(r"[A-Za-z0-9_]{1,1024}", re.ASCII)
_TABLE = re.compile(r"[A-Za-z0-9_-]{1,1000}", re.ASCII)

# https://cloud.google.com/bigquery/docs/labels-intro#requirements
_LABEL_LENGTH: Final = 63
_MOST_LABELS: Final = 64


@dataclass(frozen=True, slots=True)
class TableName:
    """A table's full name, safe inside backquotes.

    :param project: the project.
    :param dataset: the dataset.
    :param table: the table's name in the dataset.
    """

    project: str
    dataset: str
    table: str

    @classmethod
    def parse(
        cls, text: str, default_project: str, *, name: str = "destination_table"
    ) -> TableName:
        """Read ``project.dataset.table`` or ``dataset.table``.

        :param text: the parameter.
        :param default_project: the project of a name without one.
        :param name: the parameter's name, for the message.
        :raises InvalidArgumentError: if it is anything else.
        """
        # Split from the right, because a domain before the project has dots too.
        parts = str(text).rsplit(".", 2)
        if len(parts) == 2:  # noqa: PLR2004 - dataset and table
            parts = [default_project, *parts]
        patterns = (_PROJECT, _DATASET, _TABLE)
        if len(parts) != len(patterns) or not all(
            pattern.fullmatch(part) for pattern, part in zip(patterns, parts, strict=True)
        ):
            message = f"{name} is {text!r}."
            advice = (
                "Use project.dataset.table or dataset.table: a project of lower-case letters, "
                "digits and dashes, a dataset of letters, digits and underscores, a table of "
                "letters, digits, underscores and dashes."
            )
            raise InvalidArgumentError(message, advice=advice)
        return cls(*parts)

    @classmethod
    def parse_optional(
        cls, text: str | None, default_project: str, *, name: str
    ) -> TableName | None:
        """Read the name of a table that may be left out, like :meth:`parse`; None without one."""
        return cls.parse(text, default_project, name=name) if text else None

    def __str__(self) -> str:
        return f"{self.project}.{self.dataset}.{self.table}"

    def beside(self, table: str) -> TableName:
        """Return the name of another table of the same dataset."""
        return TableName(self.project, self.dataset, table)

    @property
    def coverage(self) -> TableName:
        """The table with the status of every id that was requested."""
        return self.beside(f"{self.table}_coverage")

    @property
    def labels(self) -> TableName:
        """The table with the labels of the Tweets of this table."""
        return self.beside(f"{self.table}_labels")

    @property
    def lock(self) -> TableName:
        """The one-row table that every writer of this table updates first."""
        return self.beside(f"{self.table}_lock")

    def new_staging(self) -> TableName:
        """Return a new name for a staging table, so that no task sees the rows of another."""
        return self.beside(f"_engagement_staging_{self.table[:100]}_{uuid.uuid4().hex}")


def sanitize_labels(labels: Mapping[str, str] | None) -> dict[str, str]:
    """Return labels that BigQuery accepts.

    Keys and values keep lower-case letters, digits, ``_`` and ``-``, at most 63 characters; other
    characters become ``_``. A key that does not start with a letter gets the prefix ``x``. A value
    is cut at its beginning, because the end of a run id tells runs apart.

    :param labels: the labels of the user and of Airflow; None for no labels.
    :raises InvalidArgumentError: if there are more than 64.
    """
    given = labels or {}
    found = {_label_key(str(key)): _label_value(str(value)) for key, value in given.items()}
    if len(found) > _MOST_LABELS:
        message = f"labels has {len(found)} entries, with dag, task and run."
        raise InvalidArgumentError(message, advice=f"BigQuery allows {_MOST_LABELS}.")
    return found


def _label_key(text: str) -> str:
    key = _label_text(text)
    return (key if key[:1].isalpha() else f"x{key}")[:_LABEL_LENGTH]


def _label_value(text: str) -> str:
    return _label_text(text)[-_LABEL_LENGTH:]


def _label_text(text: str) -> str:
    return re.sub(r"[^a-z0-9_-]", "_", text.lower())
