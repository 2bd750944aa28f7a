"""Makes files of sample Tweets for the demo: exports of Historical PowerTrack, and campaigns."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from airflow_provider_engagement.api.tweet_id import created_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["campaigns_file", "power_track_files"]


class _Sample(NamedTuple):
    """What a sample Tweet says.

    :param text: its text.
    :param media: its medium, ``photo`` or ``video``; empty for none.
    :param has_link: whether it links to a page.
    :param campaign: the campaign that it belongs to; empty for none.
    """

    text: str
    media: str = ""
    has_link: bool = False
    campaign: str = ""


_SAMPLES: Final = (
    _Sample("Our autumn sale starts today", "photo", True, "Autumn sale"),
    _Sample("New in the shop: boots for rainy days", "photo", True, "Rainy days"),
    _Sample("Thank you for ten years together", "video", campaign="Ten years"),
    _Sample("Behind the scenes of our workshop", "video"),
    _Sample("Which colour should come back?"),
    _Sample("We are hiring in three cities", has_link=True),
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


def campaigns_file(tweet_ids: Sequence[str]) -> str:
    """Return a CSV file that says which Tweets belong to a campaign.

    :param tweet_ids: the Tweets.
    """
    rows = [(tweet_id, _sample(tweet_id).campaign) for tweet_id in tweet_ids]
    return "".join(f"{','.join(row)}\n" for row in (("tweet_id", "campaign"), *rows) if row[1])


def _sample(tweet_id: str) -> _Sample:
    return _SAMPLES[int(tweet_id) % len(_SAMPLES)]


def _lines(tweet_ids: Sequence[str], username: str) -> Iterator[str]:
    """Yield a line for each Tweet, and the closing line that the service writes."""
    for tweet_id in tweet_ids:
        yield json.dumps(_activity(tweet_id, username))
    closing = {"message": "Replay Request Completed", "activity_count": len(tweet_ids)}
    yield json.dumps({"info": closing}) + "\r\n"


def _activity(tweet_id: str, username: str) -> dict[str, Any]:
    """Return a Tweet in Activity Streams format."""
    moment, sample = created_at(tweet_id), _sample(tweet_id)
    links = [{"url": "https://t.co/shop", "expanded_url": "https://example.com/shop"}]
    return {
        "id": f"tag:search.twitter.com,2005:{tweet_id}",
        "objectType": "activity",
        "verb": "post",
        **({"postedTime": f"{moment:%Y-%m-%dT%H:%M:%S.000Z}"} if moment else {}),
        "link": f"http://twitter.com/{username}/statuses/{tweet_id}",
        "body": sample.text,
        "actor": {"objectType": "person", "preferredUsername": username},
        "object": {"objectType": "note"},
        "twitter_entities": {"hashtags": [], "urls": links if sample.has_link else []},
        "twitter_extended_entities": {"media": [{"type": sample.media}] if sample.media else []},
        "twitter_lang": "en",
    }
