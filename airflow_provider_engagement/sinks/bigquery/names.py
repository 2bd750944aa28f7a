"""Names that reach BigQuery: checked before they stand in SQL, or made to fit."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from airflow_provider_engagement.api.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TableName", "labels_that_fit"]

# A project may carry its domain ("example.com:project"). BigQuery allows more in a table's name,
# spaces among it; what is left here needs no thought inside backquotes.
_PROJECT = re.compile(r"(?:[a-z0-9.-]+:)?[a-z][a-z0-9-]{0,62}", re.ASCII)
_DATASET = re.compile(r"[A-Za-z0-9_]{1,1024}", re.ASCII)
_TABLE = re.compile(r"[A-Za-z0-9_-]{1,1000}", re.ASCII)

_LABEL: Final = 63


@dataclass(frozen=True, slots=True)
class TableName:
    """A table's full name, known to be safe inside backquotes.

    :param project: its project.
    :param dataset: its dataset.
    :param table: its name in there.
    """

    project: str
    dataset: str
    table: str

    @classmethod
    def parse(cls, text: str, default_project: str) -> TableName:
        """Read ``project.dataset.table`` or ``dataset.table``.

        :param text: what the user wrote as ``destination_table``.
        :param default_project: the project where none is given.
        :raises InvalidArgumentError: if it is anything else.
        """
        # From the right, since a domain before the project has dots of its own.
        parts = str(text).rsplit(".", 2)
        if len(parts) == 2:  # noqa: PLR2004 - dataset and table
            parts = [default_project, *parts]
        patterns = (_PROJECT, _DATASET, _TABLE)
        if len(parts) != len(patterns) or not all(
            pattern.fullmatch(part) for pattern, part in zip(patterns, parts, strict=True)
        ):
            message = f"destination_table is {text!r}."
            advice = (
                "Give project.dataset.table or dataset.table: a project of lower-case letters, "
                "digits and dashes, a dataset of letters, digits and underscores, a table of "
                "letters, digits, underscores and dashes."
            )
            raise InvalidArgumentError(message, advice=advice)
        return cls(*parts)

    def __str__(self) -> str:
        return f"{self.project}.{self.dataset}.{self.table}"

    def beside(self, table: str) -> TableName:
        """Name another table of the same dataset."""
        return TableName(self.project, self.dataset, table)

    @property
    def coverage(self) -> TableName:
        """The table that says what became of every id."""
        return self.beside(f"{self.table}_coverage")

    @property
    def locks(self) -> TableName:
        """The small table by which writers of one dataset notice each other."""
        return self.beside("_engagement_locks")

    def new_staging(self) -> TableName:
        """Name a table for one load, never the same twice: no retry meets another's rows."""
        return self.beside(f"_engagement_staging_{self.table[:100]}_{uuid.uuid4().hex}")


def labels_that_fit(labels: Mapping[str, str]) -> dict[str, str]:
    """Bend names of DAGs, tasks and runs to what BigQuery takes as a label's value.

    Lower case, digits, ``_`` and ``-``, at most 63 of them; a key starts with a letter. What is
    cut off is the beginning: the end of a run's id tells runs apart.
    """
    return {
        re.sub(r"[^a-z0-9_-]", "_", key.lower())[:_LABEL]: re.sub(
            r"[^a-z0-9_-]", "_", value.lower()
        )[-_LABEL:]
        for key, value in labels.items()
    }
