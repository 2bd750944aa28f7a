from __future__ import annotations

import re

import pytest

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.sinks.bigquery.names import TableName, labels_that_fit


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("ds.counts", "home.ds.counts"),
        ("my-project.ds_1.counts-2026", "my-project.ds_1.counts-2026"),
        # Inside backquotes dashes begin no comment.
        ("ds.counts--", "home.ds.counts--"),
        ("example.com:my-project.ds.counts", "example.com:my-project.ds.counts"),
    ],
)
def test_names_are_read(text: str, full: str) -> None:
    assert str(TableName.parse(text, "home")) == full


@pytest.mark.parametrize(
    "text",
    [
        "",
        "counts",
        "ds.",
        ".counts",
        "a.b.c.d",
        "ds.cou`nts",
        "ds.cou'nts",
        'ds.cou"nts',
        "ds.counts; DROP TABLE x",
        "ds.my counts",
        "ds.counts\n",
        "ds.counts\\",
        "ds.z\u00e4hler",
        "d-s.counts",
        "Project.ds.counts",
        "ds.counts$20261121",
        "ds." + "c" * 1001,
    ],
)
def test_other_names_are_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match="destination_table is ") as refused:
        TableName.parse(text, "home")
    assert repr(text) in str(refused.value)
    assert "Give project.dataset.table or dataset.table" in str(refused.value)


def test_tables_beside() -> None:
    table = TableName.parse("p.d.counts", "home")
    assert str(table.coverage) == "p.d.counts_coverage"
    assert str(table.locks) == "p.d._engagement_locks"
    first, second = table.new_staging(), table.new_staging()
    assert first != second
    assert str(first).startswith("p.d._engagement_staging_counts_")


def test_labels_are_bent_to_the_rule() -> None:
    labels = labels_that_fit(
        {
            "dag": "My DAG.v2",
            "run": "scheduled__2026-11-21T00:00:00+00:00",
            "task": "group." + "x" * 80,
        }
    )
    assert labels["dag"] == "my_dag_v2"
    assert labels["run"] == "scheduled__2026-11-21t00_00_00_00_00"
    assert all(re.fullmatch(r"[a-z0-9_-]{1,63}", value) for value in labels.values())
    # The end tells runs apart.
    assert labels["task"] == "x" * 63
