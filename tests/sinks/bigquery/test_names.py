from __future__ import annotations

import re

import pytest

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.sinks.bigquery.names import TableName, sanitize_labels


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("ds.counts", "home.ds.counts"),
        ("my-project.ds_1.counts-2026", "my-project.ds_1.counts-2026"),
        # Inside backquotes, dashes do not start a comment.
        ("ds.counts--", "home.ds.counts--"),
        ("example.com:my-project.ds.counts", "example.com:my-project.ds.counts"),
    ],
)
def test_table_names_are_parsed(text: str, full: str) -> None:
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
def test_other_table_names_are_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match="destination_table is ") as refused:
        TableName.parse(text, "home")
    assert repr(text) in str(refused.value)
    assert "Use project.dataset.table or dataset.table" in str(refused.value)


def test_each_table_has_its_own_coverage_lock_and_staging() -> None:
    table = TableName.parse("p.d.counts", "home")
    assert str(table.coverage) == "p.d.counts_coverage"
    assert str(table.lock) == "p.d.counts_lock"
    assert table.lock != TableName.parse("p.d.other", "home").lock
    first, second = table.new_staging(), table.new_staging()
    assert first != second
    assert str(first).startswith("p.d._engagement_staging_counts_")


def test_labels_are_made_valid() -> None:
    labels = sanitize_labels(
        {
            "dag": "My DAG.v2",
            "run": "scheduled__2026-11-21T00:00:00+00:00",
            "task": "group." + "x" * 80,
        }
    )
    assert labels["dag"] == "my_dag_v2"
    assert labels["run"] == "scheduled__2026-11-21t00_00_00_00_00"
    assert all(re.fullmatch(r"[a-z0-9_-]{1,63}", value) for value in labels.values())
    # A value is cut at its beginning, because the end of a run id tells runs apart.
    assert labels["task"] == "x" * 63


def test_label_keys_start_with_a_letter() -> None:
    labels = sanitize_labels({"1st Team": "A", "_": "", "Cost Centre": "42"})
    assert labels == {"x1st_team": "a", "x_": "", "cost_centre": "42"}
    assert all(re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", key) for key in labels)


def test_more_labels_than_bigquery_allows_are_refused() -> None:
    assert len(sanitize_labels({f"key{n}": "v" for n in range(64)})) == 64
    with pytest.raises(InvalidArgumentError, match=r"labels has 65 entries.* BigQuery allows 64"):
        sanitize_labels({f"key{n}": "v" for n in range(65)})
