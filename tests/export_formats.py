"""Writes posts in each format that a collection may have, from the formats' public descriptions."""

from __future__ import annotations

import csv
import gzip
import html
import io
import json
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_engagement.api.tweet_id import created_at

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["FORMATS", "POSTS", "Post", "attributes", "content", "without_author"]


@dataclass(frozen=True)
class Post:
    """A post, and what each format says of it."""

    tweet_id: str
    author_id: str = "2244994945"
    username: str = "acme"
    text: str = "A quiet day at the shop"
    lang: str = "en"
    kind: str = "post"
    media: tuple[str, ...] = ()
    link: str | None = None
    hashtags: tuple[str, ...] = ()
    campaign: str = ""

    @property
    def media_type(self) -> str:
        return "none" if not self.media else self.media[0] if len(set(self.media)) == 1 else "mixed"

    @property
    def shown(self) -> str:
        """The text as the service stores it: with short links, and with entities for & < >."""
        tags = "".join(f" #{tag}" for tag in self.hashtags)
        links = " https://t.co/Lk1" if self.link else ""
        links += " https://t.co/Md1" if self.media else ""
        links += " https://t.co/Qt1" if self.kind == "quote" else ""
        return f"{self.text}{tags}{links}"


LONG = "A text that is longer than what the older formats hold, " * 5

# What the fixtures hold.
POSTS = (
    Post(
        "1260294888811347969",
        text='Sale: 20% off & free <shipping>,\nsays "Acme"',
        link="https://example.com/sale",
        hashtags=("sale", "autumn"),
        campaign="autumn",
    ),
    Post("1260294888811347970", kind="reply", media=("photo",), lang="und", campaign="autumn"),
    Post("1700000000000000002", kind="quote", media=("video",)),
    Post("1700000000000000003", kind="repost", hashtags=("größe",)),
    Post("1800000000000000004", text=LONG, media=("photo", "photo", "animated_gif")),
    Post("29000000001", author_id="12", username="bolt", media=("photo", "photo")),
)


def attributes(post: Post) -> dict[str, Any]:
    """Return the row that a format which says everything gives."""
    return {
        "tweet_id": post.tweet_id,
        "url": f"https://x.com/{post.username}/status/{post.tweet_id}",
        "author_id": post.author_id,
        "author_username": post.username,
        "text": post.shown,
        "lang": post.lang,
        "tweet_type": post.kind,
        "media_type": post.media_type,
        "has_link": post.link is not None,
        "hashtags": list(post.hashtags),
        "created_at": created_at(post.tweet_id),
    }


def without_author(post: Post) -> dict[str, Any]:
    """Return the row of an archive, which names no author and no quotes."""
    return attributes(post) | {
        "url": f"https://x.com/i/status/{post.tweet_id}",
        "author_id": None,
        "author_username": None,
        "tweet_type": None if post.kind == "quote" else post.kind,
    }


# ---- Objects ---------------------------------------------------------------------------------


def escaped(text: str) -> str:
    return html.escape(text, quote=False)


def clock(post: Post) -> datetime:
    return created_at(post.tweet_id) or datetime(2009, 3, 1, tzinfo=UTC)


def urls_of(post: Post) -> list[dict[str, Any]]:
    found = []
    if post.link:
        found.append({"url": "https://t.co/Lk1", "expanded_url": post.link, "display_url": "l.ink"})
    if post.kind == "quote":
        quoted = "https://twitter.com/bolt/status/1050118621198921728"
        found.append({"url": "https://t.co/Qt1", "expanded_url": quoted, "display_url": "t"})
    return found


def media_of(post: Post) -> list[dict[str, Any]]:
    return [
        {
            "id_str": f"{int(post.tweet_id) + place}",
            "type": kind,
            "url": "https://t.co/Md1",
            "expanded_url": f"https://twitter.com/{post.username}/status/{post.tweet_id}/photo/1",
        }
        for place, kind in enumerate(post.media)
    ]


def entities(post: Post) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return entities, which know only photos, and extended entities."""
    media = media_of(post)
    plain: dict[str, Any] = {
        "hashtags": [{"text": tag, "indices": [0, 1]} for tag in post.hashtags],
        "urls": urls_of(post),
        "user_mentions": [],
        "symbols": [],
    }
    if not media:
        return plain, {}
    return plain | {"media": [media[0] | {"type": "photo"}]}, {"media": media}


def status(post: Post, *, whole: bool = True) -> dict[str, Any]:
    """Return a Tweet of v1.1; with ``whole`` off, one that is cut and has an extended Tweet."""
    plain, extended = entities(post)
    body: dict[str, Any] = {"entities": plain}
    if extended:
        body["extended_entities"] = extended
    tweet: dict[str, Any] = {
        "created_at": f"{clock(post):%a %b %d %H:%M:%S +0000 %Y}",
        "id": int(post.tweet_id),
        "id_str": post.tweet_id,
        "user": {
            "id": int(post.author_id),
            "id_str": post.author_id,
            "name": "Acme Ltd",
            "screen_name": post.username,
            "description": "text of a user",
        },
        "in_reply_to_status_id": None,
        "in_reply_to_status_id_str": None,
        "is_quote_status": post.kind == "quote",
        "lang": post.lang,
        "truncated": not whole,
    }
    if whole:
        tweet |= {"full_text": escaped(post.shown), **body}
    else:
        cut = escaped(post.shown)[:20] + "…"
        empty = {"hashtags": [], "urls": [], "user_mentions": [], "symbols": []}
        full = {"full_text": escaped(post.shown), **body}
        tweet |= {"text": cut, "entities": empty, "extended_tweet": full}
    if post.kind == "reply":
        tweet |= {
            "in_reply_to_status_id": 1050118621198921728,
            "in_reply_to_status_id_str": "1050118621198921728",
        }
    if post.kind == "quote":
        tweet["quoted_status"] = {"id_str": "1050118621198921728", "text": "quoted"}
    if post.kind == "repost":
        tweet["retweeted_status"] = {"id_str": "1050118621198921728", "text": "original"}
    return tweet


def activity(post: Post) -> dict[str, Any]:
    """Return a Tweet in Activity Streams format."""
    plain, extended = entities(post)
    found: dict[str, Any] = {
        "id": f"tag:search.twitter.com,2005:{post.tweet_id}",
        "objectType": "activity",
        "verb": "share" if post.kind == "repost" else "post",
        "postedTime": f"{clock(post):%Y-%m-%dT%H:%M:%S.000Z}",
        "link": f"http://twitter.com/{post.username}/statuses/{post.tweet_id}",
        "body": escaped(post.shown),
        "actor": {
            "objectType": "person",
            "id": f"id:twitter.com:{post.author_id}",
            "preferredUsername": post.username,
            "displayName": "Acme Ltd",
        },
        "object": {
            "objectType": "note",
            "id": f"object:search.twitter.com,2005:{post.tweet_id}",
        },
        "twitter_entities": plain,
        "twitter_lang": post.lang,
        "gnip": {"matching_rules": [{"tag": "acme"}]},
    }
    if extended:
        found["twitter_extended_entities"] = extended
    if post.kind == "reply":
        found["inReplyTo"] = {"link": "http://twitter.com/bolt/statuses/1050118621198921728"}
    if post.kind == "quote":
        quoted = {"id": "tag:search.twitter.com,2005:1050118621198921728", "verb": "post"}
        found["twitter_quoted_status"] = quoted
    return found


def long_activity(post: Post) -> dict[str, Any]:
    """Return an activity whose text is cut, with the whole in its long object."""
    found = activity(post)
    whole = {"body": found["body"], "twitter_entities": found["twitter_entities"]}
    if "twitter_extended_entities" in found:
        whole["twitter_extended_entities"] = found.pop("twitter_extended_entities")
    empty: dict[str, Any] = {"hashtags": [], "urls": []}
    return found | {"body": found["body"][:20], "twitter_entities": empty, "long_object": whole}


def v2_tweet(post: Post) -> dict[str, Any]:
    """Return a Tweet of API v2, which leaves out what is empty."""
    tweet: dict[str, Any] = {
        "id": post.tweet_id,
        "text": escaped(post.shown),
        "author_id": post.author_id,
        "lang": post.lang,
        "created_at": f"{clock(post):%Y-%m-%dT%H:%M:%S.000Z}",
        "edit_history_tweet_ids": [post.tweet_id],
    }
    of_media = [
        {"url": "https://t.co/Md1", "expanded_url": each["expanded_url"], "media_key": key(post, n)}
        for n, each in enumerate(media_of(post))
    ]
    found = {
        "hashtags": [{"tag": tag, "start": 0, "end": 1} for tag in post.hashtags],
        "urls": [*urls_of(post), *of_media],
    }
    if any(found.values()):
        tweet["entities"] = {name: value for name, value in found.items() if value}
    if post.media:
        tweet["attachments"] = {"media_keys": [key(post, n) for n, _ in enumerate(post.media)]}
    reference = {"reply": "replied_to", "quote": "quoted", "repost": "retweeted"}.get(post.kind)
    if reference:
        tweet["referenced_tweets"] = [{"type": reference, "id": "1050118621198921728"}]
    return tweet


def key(post: Post, place: int) -> str:
    return f"3_{post.tweet_id}{place}"


def v2_page(posts: Sequence[Post]) -> dict[str, Any]:
    """Return an answer of lookup, search or timelines of API v2."""
    users = {post.author_id: post.username for post in posts}
    return {
        "data": [v2_tweet(post) for post in posts],
        "includes": {
            "users": [{"id": i, "name": "Acme Ltd", "username": n} for i, n in users.items()],
            "media": [
                {"media_key": key(post, place), "type": kind}
                for post in posts
                for place, kind in enumerate(post.media)
            ],
            "tweets": [{"id": "1050118621198921728", "text": "another's"}],
        },
        "meta": {"result_count": len(posts), "newest_id": "1", "oldest_id": "1"},
    }


def archived(post: Post) -> dict[str, Any]:
    """Return an entry of an archive's ``tweets.js``."""
    tweet = status(post)
    for name in ("user", "is_quote_status", "quoted_status", "retweeted_status"):
        tweet.pop(name, None)
    if post.kind == "repost":
        tweet["full_text"] = f"RT @bolt: {tweet['full_text']}"
    return {"tweet": tweet | {"id": post.tweet_id, "retweeted": False}}


# ---- Files -----------------------------------------------------------------------------------

COLUMNS = (
    "note",
    "Tweet id",
    "author_id",
    "author_username",
    "text",
    "lang",
    "tweet_type",
    "media_type",
    "has_link",
    "hashtags",
    "campaign",
)


def table(posts: Sequence[Post], delimiter: str = ",", end: str = "\r\n") -> str:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end)
    writer.writerow(COLUMNS)
    for post in posts:
        row = attributes(post)
        values = {**row, "Tweet id": post.tweet_id, "campaign": post.campaign, "note": ""}
        values["hashtags"] = json.dumps(list(post.hashtags))
        writer.writerow([values[name] for name in COLUMNS])
    return text.getvalue()


def lines(values: Sequence[Any], end: str = "\n") -> str:
    return "".join(json.dumps(value, ensure_ascii=False) + end for value in values)


def power_track(posts: Sequence[Post]) -> str:
    closing = {"info": {"message": "Replay Request Completed", "activity_count": len(posts)}}
    return lines([*map(activity, posts), closing], "\r\n")


def zipped(text: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("export.csv", text)
    return file.getvalue()


def search(posts: Sequence[Post], shape: Callable[[Post], Any], **layout: Any) -> str:
    answer = {"results": [shape(post) for post in posts], "next": "eyJhIjox"}
    return json.dumps(answer | {"requestParameters": {"maxResults": 500}}, **layout)


def plain_ids(posts: Sequence[Post]) -> str:
    return "".join(f"{post.tweet_id}\n" for post in posts)


FORMATS: dict[str, Callable[[Sequence[Post]], str | bytes]] = {
    "ids.txt": plain_ids,
    "ids.json": lambda posts: json.dumps([int(post.tweet_id) for post in posts]),
    "ids_object.json": lambda posts: json.dumps({"ids": [post.tweet_id for post in posts]}),
    "ids.txt.gz": lambda posts: gzip.compress(plain_ids(posts).encode(), mtime=0),
    "table.csv": table,
    "table.tsv": lambda posts: table(posts, "\t", "\n"),
    "semicolons.csv": lambda posts: ("\ufeff" + table(posts, ";")).encode(),
    "utf16.csv": lambda posts: table(posts, "\t").encode("utf-16"),
    "table.zip": lambda posts: zipped(table(posts)),
    "rows.jsonl": lambda posts: lines(
        [
            {"tweet_id": p.tweet_id, "text": p.shown, "lang": p.lang, "campaign": p.campaign}
            for p in posts
        ]
    ),
    "array.json": lambda posts: json.dumps([status(post) for post in posts], indent=1),
    "statuses.json": lambda posts: json.dumps(
        {"statuses": [status(post) for post in posts], "search_metadata": {"count": len(posts)}}
    ),
    "search_original.json": lambda posts: search(posts, lambda p: status(p, whole=False), indent=2),
    "search_activities.json": lambda posts: search(posts, long_activity),
    "v2.json": lambda posts: json.dumps(v2_page(posts), indent=2),
    "v2_pages.jsonl": lambda posts: lines([v2_page([post]) for post in posts]),
    "v2_array.json": lambda posts: json.dumps([v2_page([post]) for post in posts]),
    "statuses.jsonl": lambda posts: lines([status(post, whole=False) for post in posts]),
    "power_track.json": power_track,
    "power_track.json.gz": lambda posts: gzip.compress(power_track(posts).encode(), mtime=0),
    "tweets.js": lambda posts: (
        "window.YTD.tweets.part0 = " + json.dumps([archived(post) for post in posts], indent=2)
    ),
}


def content(name: str, posts: Sequence[Post]) -> bytes:
    """Return the content of a file of one of the formats."""
    written = FORMATS[name](posts)
    return written if isinstance(written, bytes) else written.encode()
