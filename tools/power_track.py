"""Makes files of sample Tweets in the format of Historical PowerTrack, for the demo."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_engagement.api.tweet_id import created_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["power_track_files"]

_TEXTS: Final = (
    "Our autumn sale starts today",
    "New in the shop: boots for rainy days",
    "Thank you for ten years together",
    "Behind the scenes of our workshop",
    "Which colour should come back?",
    "We are hiring in three cities",
)


def power_track_files(tweet_ids: Sequence[str], username: str, files: int = 3) -> dict[str, str]:
    """Return the text of JSON Lines files, by their names.

    :param tweet_ids: the Tweets.
    :param username: the author's handle.
    :param files: how many files.
    """
    return {
        f"activities_{number:02}.json": "\r\n".join(_lines(tweet_ids[number::files], username))
        for number in range(files)
    }


def _lines(tweet_ids: Sequence[str], username: str) -> Iterator[str]:
    """Yield a line for each Tweet, and the closing line that the service writes."""
    for tweet_id in tweet_ids:
        yield json.dumps(_activity(tweet_id, username))
    closing = {"message": "Replay Request Completed", "activity_count": len(tweet_ids)}
    yield json.dumps({"info": closing}) + "\r\n"


def _activity(tweet_id: str, username: str) -> dict[str, Any]:
    """Return a Tweet in Activity Streams format."""
    moment = created_at(tweet_id)
    return {
        "id": f"tag:search.twitter.com,2005:{tweet_id}",
        "objectType": "activity",
        "verb": "post",
        **({"postedTime": f"{moment:%Y-%m-%dT%H:%M:%S.000Z}"} if moment else {}),
        "link": f"http://twitter.com/{username}/statuses/{tweet_id}",
        "body": _TEXTS[int(tweet_id) % len(_TEXTS)],
        "actor": {"objectType": "person", "preferredUsername": username},
        "object": {"objectType": "note"},
        "twitter_entities": {"hashtags": [], "urls": []},
        "twitter_lang": "en",
    }
