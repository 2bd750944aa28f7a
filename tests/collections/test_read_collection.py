from __future__ import annotations

import gzip
import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from export_formats import FORMATS, POSTS, Post, attributes, content, without_author
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.api.tweet_id import MAX_TWEET_ID
from airflow_provider_engagement.collections import read_collection
from airflow_provider_engagement.collections.schema import (
    ATTRIBUTES,
    LABELS,
    attributes_schema,
    labels_schema,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_engagement.collections.collection import Collection

FIXTURES = Path(__file__).parent / "fixtures"
IDS = [post.tweet_id for post in POSTS]
SECRET = "hunter2-password"

# What each format knows, but for those that know all.
ONLY_IDS = ("ids.txt", "ids.json", "ids_object.json", "ids.txt.gz")
ONLY_TEXT = ("rows.jsonl",)
LABELLED = ("table.csv", "table.tsv", "semicolons.csv", "utf16.csv", "table.zip", "rows.jsonl")
OF_PAGES = (
    "statuses.json",
    "search_original.json",
    "search_activities.json",
    "v2.json",
    "v2_pages.jsonl",
    "v2_array.json",
)


def known(name: str, post: Post) -> dict[str, Any]:
    """Return the row that a format gives of a post."""
    row = attributes(post)
    if name in ONLY_IDS or name in ONLY_TEXT:
        known_columns = {"tweet_id", "created_at"} | (
            {"text", "lang"} if name in ONLY_TEXT else set()
        )
        unknown = {column: None for column in row if column not in known_columns}
        return row | unknown | {"url": f"https://x.com/i/status/{post.tweet_id}"}
    if name == "tweets.js":
        row = without_author(post)
        return row | {"text": f"RT @bolt: {post.shown}"} if post.kind == "repost" else row
    return row


def write(folder: Path, name: str, data: bytes | str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def refusal(source: object, **options: Any) -> str:
    with pytest.raises(InvalidArgumentError) as caught:
        read_collection(source, **options)
    assert SECRET not in str(caught.value)
    return str(caught.value)


# ---- Formats ---------------------------------------------------------------------------------


def test_there_is_a_fixture_of_each_format() -> None:
    assert {path.name for path in FIXTURES.iterdir()} == set(FORMATS)
    for name in FORMATS:
        if not name.endswith("zip"):  # holds the time
            assert (FIXTURES / name).read_bytes() == content(name, POSTS), name


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_gives_the_same_ids_and_what_it_says_of_them(name: str) -> None:
    collection = read_collection(FIXTURES / name, reposts="keep")
    assert collection.tweet_ids == IDS
    assert collection.attributes.to_pylist() == [known(name, post) for post in POSTS]
    assert collection.attributes.schema == attributes_schema()
    assert collection.labels.schema == labels_schema()
    campaigns = [
        {"tweet_id": post.tweet_id, "label": "campaign", "value": post.campaign}
        for post in POSTS
        if post.campaign and name in LABELLED
    ]
    assert collection.labels.to_pylist() == campaigns
    assert not collection.skipped


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in ONLY_IDS + ONLY_TEXT])
def test_reposts_are_counted_and_left_out(name: str, caplog: pytest.LogCaptureFixture) -> None:
    collection = read_collection(FIXTURES / name)
    originals = [post.tweet_id for post in POSTS if post.kind != "repost"]
    assert collection.tweet_ids == originals
    assert collection.attributes["tweet_id"].to_pylist() == originals
    assert collection.skipped == {"reposts": 1}
    assert "1 reposts are left out" in caplog.text


def test_the_schemas_are_described() -> None:
    assert [each.name for each in ATTRIBUTES] == attributes_schema().names
    assert [each.name for each in LABELS] == labels_schema().names
    assert attributes_schema().names[0] == "tweet_id"
    assert all(each.description.endswith(".") for each in ATTRIBUTES + LABELS)


def test_the_time_is_read_from_the_id() -> None:
    (row,) = read_collection(["1260294888811347969"]).attributes.to_pylist()
    assert row["created_at"] == datetime(2020, 5, 12, 19, 44, 51, 296000, UTC)


posts = st.lists(
    st.builds(
        Post,
        tweet_id=st.integers(10**18, MAX_TWEET_ID - 9).map(str),
        author_id=st.integers(1, 10**19).map(str),
        username=st.from_regex(r"[A-Za-z0-9_]{2,15}", fullmatch=True),
        text=st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zs", "Zl", "Zp"])).map(
            lambda text: f"a {text.replace('#', '').replace('//', '')} z"
        ),
        kind=st.sampled_from(["post", "reply", "quote", "repost"]),
        media=st.lists(st.sampled_from(["photo", "video", "animated_gif"]), max_size=4).map(tuple),
        link=st.none() | st.just("https://example.com/a"),
        hashtags=st.lists(st.sampled_from(["sale", "größe", "日本"]), max_size=3).map(tuple),
        campaign=st.sampled_from(["", "autumn", "spring, early"]),
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda post: post.tweet_id,
)
one_at_a_time = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50
)


@one_at_a_time
@given(posts=posts, name=st.sampled_from(sorted(FORMATS)))
def test_any_post_is_read_from_any_format(posts: list[Post], name: str, tmp_path: Path) -> None:
    path = write(tmp_path, name, content(name, posts))
    collection = read_collection(path, reposts="keep")
    assert collection.attributes.to_pylist() == [known(name, post) for post in posts]


@one_at_a_time
@given(posts=posts, names=st.lists(st.sampled_from(sorted(FORMATS)), min_size=1, max_size=6))
def test_any_mix_of_formats_in_a_folder_gives_each_id_once(
    posts: list[Post], names: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("inbox")
    for place, name in enumerate(names):
        write(folder, f"{place}/{name}", content(name, posts[place % len(posts) :]))
    write(folder, f"9/{names[0]}", content(names[0], posts))
    collection = read_collection(f"{folder}/", reposts="keep")
    assert sorted(collection.tweet_ids) == sorted(post.tweet_id for post in posts)
    assert collection.attributes["tweet_id"].to_pylist() == collection.tweet_ids
    rows = {row["tweet_id"]: row for row in collection.attributes.to_pylist()}
    sources = [known(name, post) for post in posts for name in [*names, names[0]]]
    for post in posts:
        said = [row for row in sources if row["tweet_id"] == post.tweet_id]
        for column, value in rows[post.tweet_id].items():
            assert value in [row[column] for row in said]
    pairs = [(row["tweet_id"], row["label"]) for row in collection.labels.to_pylist()]
    assert len(set(pairs)) == len(pairs)


def rows_of(path: Path) -> list[dict[str, Any]] | None:
    """Return what is known of a file's Tweets, None if it is refused by its name."""
    try:
        rows: list[dict[str, Any]] = read_collection(path, reposts="keep").attributes.to_pylist()
    except InvalidArgumentError as error:
        return None if path.name in str(error) else []
    return rows


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_cut_at_any_byte_is_read_to_its_end_or_refused(name: str, tmp_path: Path) -> None:
    whole = content(name, POSTS[1:5])
    step = max(1, len(whole) // 150)
    results = [rows_of(write(tmp_path, name, whole[:end])) for end in range(0, len(whole), step)]
    assert results[0] == []
    assert None in results
    for end, rows in enumerate(results):
        for row, post in zip(rows or (), POSTS[1:5], strict=False):
            if end * step > 40 or not name.startswith(
                "ids"
            ):  # nothing shows a cut in the first line
                assert row["tweet_id"] == post.tweet_id
            if name.endswith(("json", "jsonl", "gz", "zip", "js")):
                assert row == known(name, post)


# ---- Parts of formats ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "skipped"),
    [
        ({"delete": {"status": {"id": 1, "id_str": "1"}}}, {"deletes": 1}),
        ({"id": "tag:search.twitter.com,2005:1", "verb": "delete"}, {"deletes": 1}),
        ({"verb": "scrub_geo", "id": "tag:search.twitter.com,2005:1"}, {"others": 1}),
        ({"limit": {"track": 1}}, {"others": 1}),
        ({"id": 12, "id_str": "12", "screen_name": "acme"}, {"others": 1}),
        ({"id": "12", "name": "Acme", "username": "acme"}, {"others": 1}),
        ({"info": {"message": "done", "activity_count": 1}}, {}),
        ({"meta": {"result_count": 0}}, {}),
        ({"errors": [{"resource_id": "1"}]}, {}),
    ],
)
def test_what_is_not_a_tweet_is_counted_and_not_read(
    value: object, skipped: Mapping[str, int], tmp_path: Path
) -> None:
    lines = f"{json.dumps({'tweet_id': IDS[0]})}\n{json.dumps(value)}\n\n"
    collection = read_collection(write(tmp_path, "a.jsonl", lines))
    assert collection.tweet_ids == IDS[:1]
    assert collection.skipped == skipped


@pytest.mark.parametrize(
    "value",
    [
        {"id": 12, "id_str": "12", "screen_name": "acme"},
        {"data": [{"id": "12", "name": "Acme", "username": "acme"}]},
        [{"id": 12, "id_str": "12", "screen_name": "acme", "status": {"id_str": IDS[0]}}],
        {"a": 1},
    ],
)
def test_a_file_of_other_things_is_refused(value: object, tmp_path: Path) -> None:
    path = write(tmp_path, "a.json", json.dumps(value))
    assert f"{path} holds 1 objects, none of which is a Tweet" in refusal(path)


@pytest.mark.parametrize("cursor", ["next_cursor", "next_cursor_str", "previous_cursor"])
def test_ids_of_users_are_refused(cursor: str, tmp_path: Path) -> None:
    path = write(tmp_path, "a.json", json.dumps({"ids": [12, 13], cursor: 0}, indent=1))
    assert "a.json" in refusal(path)
    assert "an answer of user ids" in refusal(path)


def test_an_id_that_json_rounded_is_taken_from_its_text(tmp_path: Path) -> None:
    tweet = {"id": 1260294888811348000, "id_str": IDS[0], "text": "a", "user": {"id_str": "1"}}
    assert read_collection(write(tmp_path, "a.json", json.dumps(tweet))).tweet_ids == IDS[:1]
    path = write(tmp_path, "b.json", '{"id": 1.26e18, "text": "a"}')
    assert "of type float, which has lost digits" in refusal(path)


def test_the_key_of_the_ids_can_be_chosen(tmp_path: Path) -> None:
    row = {"tweet_id": IDS[0], "original": IDS[1]}
    path = write(tmp_path, "a.jsonl", json.dumps(row))
    assert read_collection(path, id_column="original").tweet_ids == IDS[1:2]


def test_a_tweet_without_the_chosen_key_is_refused(tmp_path: Path) -> None:
    tweet = {"id_str": IDS[0], "text": "a", "quoted_status_id_str": IDS[1]}
    path = write(tmp_path, "a.jsonl", json.dumps(tweet))
    assert read_collection(path, id_column="quoted_status_id_str").tweet_ids == IDS[1:2]
    assert "line 1 has a Tweet without the key" in refusal(path, id_column="original")
    path = write(tmp_path, "b.jsonl", json.dumps({**tweet, "original": None}))
    assert "line 1 is not a Tweet id" in refusal(path, id_column="original")


def test_files_of_ids_need_no_column(tmp_path: Path) -> None:
    write(tmp_path, "1.txt", f"{IDS[0]}\n")
    write(tmp_path, "2.csv", f"tweet_id,original\n{IDS[0]},{IDS[1]}\n")
    assert read_collection(tmp_path, id_column="original").tweet_ids == IDS[:2]


def test_entries_of_older_archives_are_read(tmp_path: Path) -> None:
    entries = [{"id_str": IDS[0], "full_text": "a"}, {"id_str": IDS[1], "full_text": "RT @b: c"}]
    text = f"window.YTD.tweet.part0 = {json.dumps(entries)}"
    collection = read_collection(write(tmp_path, "tweet.js", text))
    assert collection.tweet_ids == IDS[:1]
    assert collection.skipped == {"reposts": 1}


def test_one_long_line_is_read_a_value_at_a_time(tmp_path: Path) -> None:
    ids = [str(1_600_000_000_000_000_001 + 7 * number) for number in range(9000)]
    tweets = [{"id_str": each, "text": "a" * 1000} for each in ids]
    path = write(tmp_path, "a.json", json.dumps({"results": tweets, "next": "b"}))
    assert path.stat().st_size > 8 * 2**20
    assert read_collection(path).tweet_ids == ids


def test_a_stream_of_api_v2_has_one_tweet_a_line(tmp_path: Path) -> None:
    line = {
        "data": {"id": IDS[0], "text": "a", "author_id": "12"},
        "includes": {"users": [{"id": "12", "username": "acme"}]},
        "matching_rules": [{"id": "1", "tag": "acme"}],
    }
    (row,) = read_collection(write(tmp_path, "a.json", json.dumps(line))).attributes.to_pylist()
    assert (row["author_username"], row["tweet_type"]) == ("acme", "post")
    assert (row["media_type"], row["has_link"], row["hashtags"]) == ("none", False, [])


def test_what_a_page_of_api_v2_does_not_say_is_null(tmp_path: Path) -> None:
    tweet = {"id": IDS[0], "text": "a #b https://t.co/c", "attachments": {"media_keys": ["3_1"]}}
    path = write(tmp_path, "a.json", json.dumps({"data": [tweet]}))
    (row,) = read_collection(path).attributes.to_pylist()
    assert [row[name] for name in ("media_type", "has_link", "hashtags", "author_id")] == [None] * 4


def test_columns_of_exports_are_known_by_their_names(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "a.csv",
        "Post id,Date,Post text,Post Link,Impressions,hashtags,has link,media_type\n"
        f"{IDS[0]},Mon,Hello,https://x.com/acme/status/{IDS[0]},12,#a #b,yes,poll\n",
    )
    collection = read_collection(path)
    (row,) = collection.attributes.to_pylist()
    assert row["text"] == "Hello"
    assert row["author_username"] == "acme"
    assert row["url"] == f"https://x.com/acme/status/{IDS[0]}"
    assert row["hashtags"] == ["a", "b"]
    assert row["has_link"] is True
    assert row["media_type"] is None
    labels = {each["label"]: each["value"] for each in collection.labels.to_pylist()}
    assert labels == {"Date": "Mon", "Impressions": "12", "media_type": "poll"}


# ---- Several files ---------------------------------------------------------------------------


def test_a_later_file_completes_and_corrects_an_earlier_one(tmp_path: Path) -> None:
    write(tmp_path, "1.csv", f"tweet_id,text,campaign,team\n{IDS[0]},old,spring,a\n{IDS[1]},b,,\n")
    write(tmp_path, "2.csv", f"tweet_id,lang,campaign\n{IDS[2]},de,\n{IDS[0]},en,autumn\n")
    write(tmp_path, "3.csv", f"tweet_id,text\n{IDS[0]},new\n{IDS[1]},\n")
    collection = read_collection(tmp_path)
    assert collection.tweet_ids == [IDS[0], IDS[1], IDS[2]]
    rows = collection.attributes.to_pylist()
    assert [(row["tweet_id"], row["text"], row["lang"]) for row in rows] == [
        (IDS[0], "new", "en"),
        (IDS[1], "b", None),
        (IDS[2], None, "de"),
    ]
    assert collection.labels.to_pylist() == [
        {"tweet_id": IDS[0], "label": "campaign", "value": "autumn"},
        {"tweet_id": IDS[0], "label": "team", "value": "a"},
    ]


def test_a_later_file_without_usernames_leaves_the_urls_whole(tmp_path: Path) -> None:
    write(tmp_path, "1.csv", f"tweet_id,author_username\n{IDS[0]},acme\n")
    write(tmp_path, "2.txt", f"{IDS[0]}\n{IDS[1]}\n")
    assert read_collection(tmp_path).attributes["url"].to_pylist() == [
        f"https://x.com/acme/status/{IDS[0]}",
        f"https://x.com/i/status/{IDS[1]}",
    ]


def test_a_broken_file_of_a_folder_is_named(tmp_path: Path) -> None:
    write(tmp_path, "1.txt", f"{IDS[0]}\n")
    write(tmp_path, "2.txt", f"{IDS[1]}\n{SECRET}\n")
    assert f"file://{tmp_path}/2.txt, line 2 is not a Tweet id" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("", "abcde"),
        ("*", "ab"),
        ("*.txt", "a"),
        ("*/*.txt", "c"),
        ("2026-11-*/*", "cd"),
        ("**/*.txt", "ace"),
        ("2026-11-*/", "cd"),
        ("2026-1*-01/**/?.txt", ""),
        ("_done/*", "f"),
        ("_done/", "f"),
        (".hidden", "g"),
    ],
)
def test_files_are_found_by_pattern_in_the_order_of_their_names(
    pattern: str, found: str, tmp_path: Path
) -> None:
    names = {
        "d": "2026-11-02/1.json",
        "a": "1.txt",
        "b": "2.csv",
        "c": "2026-11-01/1.txt",
        "e": "2026-12-01/deep/er/1.txt",
        "f": "_done/1.txt",
        "g": ".hidden",
    }
    for letter, name in names.items():
        write(tmp_path, name, f"{2_000_000_000_000_000_001 + ord(letter)}\n")
    uri = f"file://{tmp_path}/{pattern}"
    if not found:
        assert f"{uri} matches no file" in refusal(uri)
        return
    letters = [
        chr(int(each) - 2_000_000_000_000_000_001) for each in read_collection(uri).tweet_ids
    ]
    assert "".join(letters) == found


def test_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    assert "does not exist" in refusal(f"file://{tmp_path}/none/")
    assert "matches no file" in refusal(f"file://{tmp_path}/")
    (tmp_path / "inbox").mkdir()
    assert "end its URI with a slash" in refusal(f"file://{tmp_path}/inbox")


def test_other_schemes_need_airflow() -> None:
    assert "without Airflow" in refusal("s3://bucket/ids.txt")
    assert "in the name of its bucket" in refusal("gs://buck*t/ids.txt")
    assert "names an Airflow connection" in refusal("gs://conn@bucket/ids.txt")


def test_values_are_read_too() -> None:
    tweets = [{"id": IDS[0], "text": "a", "author_id": "12"}, IDS[1]]
    collection = read_collection(tweets)
    assert collection.tweet_ids == IDS[:2]
    assert collection.attributes["text"].to_pylist() == ["a", None]
    assert read_collection([{"tweet_id": IDS[0]}]).tweet_ids == IDS[:1]
    assert "none of which is a Tweet" in refusal([{"data": {"a": {}}}])
    assert "reposts is 'none'; it must be one of" in refusal([], reposts="none")


# ---- Broken files ----------------------------------------------------------------------------

BROKEN: dict[str, tuple[str, str, int]] = {
    "a line": ("a.jsonl", f'{{"tweet_id": "{IDS[0]}"}}\n{{"{SECRET}": x}}\n', 2),
    "a cut line": ("a.jsonl", f'{{"tweet_id": "{IDS[0]}"}}\n{{"{SECRET}": "x', 2),
    "an id": ("a.jsonl", f'{{"tweet_id": "{IDS[0]}"}}\n{{"tweet_id": "{SECRET}"}}\n', 2),
    "an array": ("a.json", f'[\n"{IDS[0]}",\n"{IDS[1]}"\n"{SECRET}"]', 4),
    "an element": ("a.json", f'[\n"{IDS[0]}",\n\n"{SECRET}"]', 4),
    "no value": ("a.json", f'[\n"{IDS[0]}",\n]', 3),
    "an open array": ("a.json", f'[\n"{IDS[0]}",\n"{IDS[1]}"\n', 4),
    "an open object": ("a.json", f'{{\n"results": [{{"tweet_id": "{IDS[0]}"}}],\n', 3),
    "text behind": ("a.json", f'["{IDS[0]}"]\n{SECRET}', 2),
    "lists in lists": ("a.json", f'[\n["{IDS[0]}"]]', 2),
    "nothing": ("a.json", f'[\n"{IDS[0]}", null]', 2),
}


@pytest.mark.parametrize(("name", "text", "line"), BROKEN.values(), ids=BROKEN)
def test_broken_json_is_refused_by_line_and_never_by_content(
    name: str, text: str, line: int, tmp_path: Path
) -> None:
    assert f"{name}, line {line} " in refusal(write(tmp_path, name, text))


@pytest.mark.parametrize("text", ["[" * 100_000, '{"results":' * 5000, '{"results":[' * 900])
def test_json_that_is_nested_too_deeply_is_refused(text: str, tmp_path: Path) -> None:
    assert "a.json" in refusal(write(tmp_path, "a.json", text))


def test_large_documents_are_read_a_value_at_a_time(tmp_path: Path) -> None:
    entry = {"tweet": {"id_str": "0", "full_text": "a " * 500, "lang": "en"}}
    ids = [str(1_600_000_000_000_000_001 + 7 * number) for number in range(2000)]
    entries = [entry | {"tweet": entry["tweet"] | {"id_str": each}} for each in ids]
    text = f"window.YTD.tweets.part0 = {json.dumps(entries, indent=1)};\n"
    path = write(tmp_path, "tweets.js.gz", gzip.compress(text.encode()))
    assert read_collection(path).tweet_ids == ids


def test_empty_documents_are_empty_collections(tmp_path: Path) -> None:
    for text in (
        "[]",
        '{"results": []}',
        '{"data": [], "meta": {}}',
        "window.YTD.tweets.part0 = [ ]",
    ):
        collection: Collection = read_collection(write(tmp_path, "a.json", text))
        assert collection.tweet_ids == []
        assert collection.attributes.num_rows == 0


def test_a_million_honest_entries_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    read_collection(FIXTURES / "ids.txt")
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
