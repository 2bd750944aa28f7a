"""The columns of what is known of a collection's Tweets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ATTRIBUTES", "LABELS", "Attribute", "attributes_schema", "labels_schema"]


class Attribute(NamedTuple):
    """A column.

    :param name: its name.
    :param type: ``string``, ``bool``, ``timestamp`` or ``strings``.
    :param description: what it holds. Null means that the source does not say.
    """

    name: str
    type: str
    description: str


ATTRIBUTES: Final = (
    Attribute("tweet_id", "string", "The Tweet's id."),
    Attribute("url", "string", "The post's URL, with `i` where the author's name is not known."),
    Attribute("author_id", "string", "The author's user id."),
    Attribute("author_username", "string", "The author's handle, without @."),
    Attribute("text", "string", "The whole text, with characters instead of HTML entities."),
    Attribute("lang", "string", "The language, as X detected it."),
    Attribute(
        "tweet_type",
        "string",
        "`post`, `reply`, `quote` or `repost`; a reply that quotes is a `reply`.",
    ),
    Attribute(
        "media_type",
        "string",
        "`none`, `photo`, `video`, `animated_gif`, or `mixed` where it has several kinds.",
    ),
    Attribute("has_link", "bool", "Whether it links to something else than posts and its media."),
    Attribute("hashtags", "strings", "Its hashtags without #, in their order."),
    Attribute("created_at", "timestamp", "When it was posted, by its id; null before 2010-11-04."),
)

LABELS: Final = (
    Attribute("tweet_id", "string", "The Tweet's id."),
    Attribute("label", "string", "The name of a column of the source."),
    Attribute("value", "string", "What stands there, as text; empty values have no row."),
)


def attributes_schema() -> pa.Schema:
    """Return the Arrow schema of ``Collection.attributes``: one row a Tweet."""
    return _schema(ATTRIBUTES)


def labels_schema() -> pa.Schema:
    """Return the Arrow schema of ``Collection.labels``: one row a Tweet and label."""
    return _schema(LABELS)


def _schema(attributes: tuple[Attribute, ...]) -> pa.Schema:
    import pyarrow as pa

    types = {
        "string": pa.string(),
        "bool": pa.bool_(),
        "timestamp": pa.timestamp("ms", tz="UTC"),
        "strings": pa.list_(pa.string()),
    }
    return pa.schema([pa.field(each.name, types[each.type]) for each in attributes])
