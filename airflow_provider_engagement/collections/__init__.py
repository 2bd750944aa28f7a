"""Tweet ids, and what is known of the Tweets: values, files, folders, formats.

Nothing here imports Airflow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from airflow_provider_engagement.collections.collection import Collection
    from airflow_provider_engagement.collections.files import FileStore

__all__ = ["read_collection"]


def read_collection(
    source: object,
    *,
    id_column: str | None = None,
    reposts: Literal["drop", "keep"] = "drop",
    store: FileStore | None = None,
) -> Collection:
    """Read Tweets, and what is known of them, from any export.

    Read are ids, one a line; CSV with commas, semicolons or tabs; JSON Lines and arrays of Tweets;
    answers of search and lookup (API v2, v1.1, Full-Archive and 30-day Search, also in Activity
    Streams format); Historical PowerTrack; ``tweets.js`` of an archive. A file may be packed by
    gzip, or by zip as the only member.

    :param source: a path; a URI (``file:///…`` or ``gs://…``) of a file, of a folder, which ends
        in a slash, or of files, with ``*`` in their names; or a list of ids or Tweet objects.
    :param id_column: the column, or key, that holds the ids. None to go by the known names:
        tweet_id, post_id, status_id, id_str, id.
    :param reposts: ``"drop"`` leaves out the ids of reposts, and counts them in ``skipped``;
        ``"keep"`` keeps them. They are never replaced by the original's.
    :param store: where files lie; None for this machine and Google Cloud Storage with the default
        credentials. ``hooks.storage.read_collection`` uses Airflow's connections.
    :returns: ``tweet_ids``, a list of text; ``attributes`` and ``labels``, tables of pyarrow; and
        what was ``skipped``.
    :raises InvalidArgumentError: if a file cannot be read; the message names the file and the line,
        and never holds their content. Also if the ids have been rounded.
    """
    from airflow_provider_engagement.collections.reading import read_path

    return read_path(source, id_column=id_column, reposts=reposts, store=store)
