"""Read one Tweet object, in the shape of each API that returns or archives Tweets."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_engagement.collections.records import TweetRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "Includes",
    "from_activity",
    "from_archive",
    "from_status",
    "from_v2",
    "is_archived_repost",
    "is_repost",
    "object_of",
    "objects",
    "text_of",
]

_Json = dict[str, Any]

_POST_URL: Final = re.compile(r"https?://(?:\w+\.)?(?:twitter|x)\.com/[^/]+(?:/web)?/status/\d+")


class Includes:
    """The users and media that a page of API v2 refers to.

    :param includes: its ``includes``.
    """

    def __init__(self, includes: _Json) -> None:
        users, media = objects(includes.get("users")), objects(includes.get("media"))
        self.usernames = {text_of(user.get("id")): text_of(user.get("username")) for user in users}
        self.media_types = {
            text_of(each.get("media_key")): text_of(each.get("type")) for each in media
        }
        self.have_media = "media" in includes


def object_of(value: object) -> _Json:
    """Return an object, an empty one for any other value."""
    return value if isinstance(value, dict) else {}


def objects(value: object) -> list[_Json]:
    """Return the objects of an array, none for any other value."""
    if not isinstance(value, list) or not value:
        return []
    return [each for each in value if isinstance(each, dict)]


def text_of(value: object) -> str | None:
    """Return text, None for any other value or for empty text."""
    return value if isinstance(value, str) and value else None


def is_repost(tweet: _Json) -> bool:
    """Return whether a Tweet object, of v1.1 or v2, is a repost of another Tweet."""
    if "retweeted_status" in tweet:
        return tweet["retweeted_status"] is not None
    references = tweet.get("referenced_tweets")
    return bool(references) and any(each.get("type") == "retweeted" for each in objects(references))


def from_status(tweet: _Json, tweet_id: str) -> TweetRecord:
    """Read a Tweet of API v1.1 or of the original format of the Search and PowerTrack APIs.

    :param tweet: the object; a truncated one has its whole text in ``extended_tweet``.
    :param tweet_id: its id.
    """
    user = object_of(tweet.get("user"))
    whole = object_of(tweet.get("extended_tweet")) or tweet
    text = whole.get("full_text") or whole.get("text") or tweet.get("text")
    return TweetRecord(
        tweet_id,
        text_of(user.get("id_str")) or _number(user.get("id")),
        text_of(user.get("screen_name")),
        _unescaped(text),
        text_of(tweet.get("lang")),
        _type_of_status(tweet),
        *_in_entities(whole.get("entities"), whole.get("extended_entities")),
    )


def _type_of_status(tweet: _Json) -> str:
    if is_repost(tweet):
        return "repost"
    if tweet.get("in_reply_to_status_id_str") or tweet.get("in_reply_to_status_id"):
        return "reply"
    return "quote" if tweet.get("is_quote_status") or tweet.get("quoted_status") else "post"


def from_archive(tweet: _Json, tweet_id: str) -> TweetRecord:
    """Read a Tweet of a user's archive, which holds no user and marks no reposts and quotes.

    :param tweet: the object.
    :param tweet_id: its id.
    """
    record = from_status(tweet, tweet_id)
    if is_archived_repost(tweet):
        return record._replace(tweet_type="repost")
    links = objects(object_of(tweet.get("entities")).get("urls"))
    if record.tweet_type == "post" and not all(map(_leads_out, links)):
        return record._replace(tweet_type=None)  # a quote, or a post that links to another
    return record


def is_archived_repost(tweet: _Json) -> bool:
    """Return whether an archived Tweet is a repost: its text says so, and nothing else does."""
    return (text_of(tweet.get("full_text") or tweet.get("text")) or "").startswith("RT @")


def from_activity(activity: _Json, tweet_id: str) -> TweetRecord:
    """Read a Tweet in Activity Streams format, of the Search and PowerTrack APIs.

    :param activity: the object.
    :param tweet_id: its id.
    """
    actor = object_of(activity.get("actor"))
    whole = object_of(activity.get("long_object")) or activity
    return TweetRecord(
        tweet_id,
        (text_of(actor.get("id")) or "").rpartition(":")[2] or None,
        text_of(actor.get("preferredUsername")),
        _unescaped(whole.get("body") or activity.get("body")),
        text_of(activity.get("twitter_lang")),
        _type_of_activity(activity),
        *_in_entities(whole.get("twitter_entities"), whole.get("twitter_extended_entities")),
    )


def _type_of_activity(activity: _Json) -> str:
    if activity.get("verb") == "share":
        return "repost"
    if activity.get("inReplyTo"):
        return "reply"
    return "quote" if activity.get("twitter_quoted_status") else "post"


def from_v2(tweet: _Json, tweet_id: str, includes: Includes) -> TweetRecord:
    """Read a Tweet of API v2.

    A field that is empty is left out by the API, as is one that was not requested. Of entities
    and media the text decides: without a hash sign there is no hashtag, without a link no media.

    :param tweet: the object.
    :param tweet_id: its id.
    :param includes: the users and media of its page.
    """
    note = object_of(tweet.get("note_tweet"))
    text = text_of(note.get("text")) or text_of(tweet.get("text"))
    entities = note.get("entities") or tweet.get("entities")
    has_no_link = text is not None and "://" not in text
    author_id = text_of(tweet.get("author_id"))
    return TweetRecord(
        tweet_id=tweet_id,
        author_id=author_id,
        author_username=includes.usernames.get(author_id),
        text=_unescaped(text),
        lang=text_of(tweet.get("lang")),
        tweet_type=_type_in_v2(tweet),
        media_type=_media_in_v2(tweet, includes, has_no_link=has_no_link),
        has_link=_has_link(entities or ({} if has_no_link else None)),
        hashtags=_hashtags(entities or ({} if text and "#" not in text else None), "tag"),
    )


def _type_in_v2(tweet: _Json) -> str:
    kinds = {text_of(each.get("type")) for each in objects(tweet.get("referenced_tweets"))}
    for kind, tweet_type in (("retweeted", "repost"), ("replied_to", "reply"), ("quoted", "quote")):
        if kind in kinds:
            return tweet_type
    return "post"


def _media_in_v2(tweet: _Json, includes: Includes, *, has_no_link: bool) -> str | None:
    keys = object_of(tweet.get("attachments")).get("media_keys")
    if not isinstance(keys, list) or not keys:
        return "none" if has_no_link or includes.have_media else None
    return _one_of(includes.media_types.get(text_of(key)) for key in keys)


def _in_entities(
    entities: object, extended: object
) -> tuple[str | None, bool | None, list[str] | None]:
    """Return the media type, whether there is a link, and the hashtags."""
    media_in = extended or entities  # plain entities know photos only
    media_type = None
    if isinstance(media_in, dict):
        media = media_in.get("media")
        media_type = (
            _one_of(text_of(each.get("type")) for each in objects(media)) if media else "none"
        )
    return media_type, _has_link(entities), _hashtags(entities, "text")


def _one_of(kinds: Iterable[str | None]) -> str | None:
    found = set(kinds)
    if len(found) == 1:
        return found.pop()
    return "mixed" if found and None not in found else None


def _has_link(entities: object) -> bool | None:
    if not isinstance(entities, dict):
        return None
    links = entities.get("urls")
    return bool(links) and any(map(_leads_out, objects(links)))


def _leads_out(link: Mapping[str, Any]) -> bool:
    """Return whether a link leads to something else than a post and its media."""
    target = text_of(link.get("expanded_url")) or text_of(link.get("url")) or ""
    is_of_post = "/status/" in target and _POST_URL.match(target) is not None
    return "media_key" not in link and not is_of_post


def _hashtags(entities: object, key: str) -> list[str] | None:
    if not isinstance(entities, dict):
        return None
    found = entities.get("hashtags")
    return [tag for each in objects(found) if (tag := text_of(each.get(key)))] if found else []


def _unescaped(text: object) -> str | None:
    if not isinstance(text, str) or not text:
        return None
    return html.unescape(text) if "&" in text else text


def _number(value: object) -> str | None:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None
