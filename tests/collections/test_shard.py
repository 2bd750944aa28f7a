"""Shards: each id in exactly one, whatever the order; and how they are written."""

from __future__ import annotations

import pytest

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.collections.shard import Shard

# As Snowflake makes them: one a second by the same machine.
IDS = [str((1_700_000_000_000 + 1000 * n) << 22) for n in range(4000)]


def shards(count: int) -> list[Shard]:
    return [Shard(index, count) for index in range(count)]


@pytest.mark.parametrize("count", [1, 2, 7, 8, 64])
def test_each_id_is_in_one_shard_whatever_the_order(count: int) -> None:
    shuffled = [IDS[n * 1009 % len(IDS)] for n in range(len(IDS))]
    assert sorted(shuffled) == sorted(IDS)
    parts = [shard.select(shuffled) for shard in shards(count)]
    assert sorted(item for part in parts for item in part) == sorted(IDS)
    assert [set(part) for part in parts] == [set(shard.select(IDS)) for shard in shards(count)]


def test_a_shard_keeps_the_order_of_the_collection() -> None:
    selected = Shard(1, 3).select(IDS)
    assert selected == [item for item in IDS if item in set(selected)]


@pytest.mark.parametrize("count", [2, 8, 10])
def test_shards_are_of_like_size(count: int) -> None:
    sizes = [len(shard.select(IDS)) for shard in shards(count)]
    assert max(sizes) < 1.25 * len(IDS) / count


def test_other_tweets_do_not_move_an_id() -> None:
    assert set(Shard(2, 8).select(IDS[::5])) == set(Shard(2, 8).select(IDS)) & set(IDS[::5])


def test_the_shard_of_an_id_never_changes() -> None:
    """Folders of earlier runs are named by the shard, so that the hash must stay."""
    ids = ["20", "1460323737035677698", "1999999999999999999", "9223372036854775807"]
    found = {item: [shard.index for shard in shards(8) if shard.select([item])] for item in ids}
    assert found == {
        "20": [0],
        "1460323737035677698": [5],
        "1999999999999999999": [5],
        "9223372036854775807": [1],
    }


@pytest.mark.parametrize("value", [None, "", " ", "None", "null"])
def test_no_value_is_the_whole_collection(value: object) -> None:
    assert Shard.parse(value) is None


@pytest.mark.parametrize(
    ("value", "shard"),
    [("2/8", Shard(2, 8)), (" 2 / 8\n", Shard(2, 8)), ("02/08", Shard(2, 8)), ("0/1", Shard(0, 1))],
)
def test_a_shard_is_read(value: str, shard: Shard) -> None:
    found = Shard.parse(value)
    assert found == shard
    assert Shard.parse(str(found)) == shard


@pytest.mark.parametrize(
    "value",
    [
        *("8/8", "9/8", "-1/8", "0/0", "2", "2/8/9", "2 of 8", "a/b", "1.0/8", "²/8"),
        *("1/9999999999", 2, 0.25, True, (2, 8), ["2/8"]),
    ],
)
def test_anything_else_is_refused_with_what_is_allowed(value: object) -> None:
    with pytest.raises(InvalidArgumentError, match=r"'i/n'.* i from 0 to n - 1") as caught:
        Shard.parse(value)
    assert repr(value) in str(caught.value)
