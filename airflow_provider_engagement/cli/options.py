"""The commands and their options, in one table: `engagement` and `airflow engagement` read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_engagement.api.query import GRANULARITIES
from airflow_provider_engagement.api.spec import EndpointName
from airflow_provider_engagement.cli.arguments import length, moment, number, share

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["COMMANDS", "DESCRIPTION", "EPILOG", "FORMATS", "Command", "Option"]

DESCRIPTION: Final = (
    "Plan and pull counts of the X Enterprise Engagement API, read collections of Tweets, "
    "get an owner's tokens, and test a connection."
)
EPILOG: Final = (
    "The connection is the one of --conn-id. Without it, it is read from the environment variables "
    "ENGAGEMENT_CONSUMER_KEY, ENGAGEMENT_CONSUMER_SECRET, ENGAGEMENT_ACCESS_TOKEN, "
    "ENGAGEMENT_ACCESS_TOKEN_SECRET and ENGAGEMENT_BEARER_TOKEN, or else from "
    "AIRFLOW_CONN_ENGAGEMENT_DEFAULT, or from Airflow. Environment variables need no database."
)

FORMATS: Final = {
    "csv": ".csv",
    "jsonl": ".jsonl",
    "jsonl.gz": ".jsonl.gz",
    "parquet": ".parquet",
}
"""The formats of rows, and how the names of their files end."""


@dataclass(frozen=True, slots=True)
class Option:
    """An argument of a command.

    :param flags: its names; one without dashes is positional.
    :param settings: how it is read, by the names of :meth:`argparse.ArgumentParser.add_argument`.
    """

    flags: tuple[str, ...]
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Command:
    """A command.

    :param name: its name.
    :param help: what it does, in a line.
    :param description: what it does.
    :param options: its arguments, in the order of the help text.
    """

    name: str
    help: str
    description: str
    options: tuple[Option, ...]


def _option(*flags: str, **settings: Any) -> Option:
    return Option(flags, settings)


_TWEETS: Final = _option(
    "tweets",
    nargs="+",
    metavar="TWEETS",
    help="ids, posts' URLs, paths or URIs of files and folders, patterns such as 'ids/*.csv', "
    "or - for standard input; several are read as one collection",
)
_READING: Final = (
    _option(
        "--id-column",
        metavar="NAME",
        help="the column, or key, that holds the ids; found by its name without this option",
    ),
    _option(
        "--reposts",
        choices=("drop", "keep"),
        default="drop",
        help="what to do with reposts, whose engagements the API counts at the original",
    ),
)
_QUERY: Final = (
    _option(
        "endpoint",
        choices=tuple(map(str, EndpointName)),
        help="totals: counts to date; 28hr: the last 28 hours; historical: a window",
    ),
    _TWEETS,
    _option(
        "--types",
        metavar="TYPES",
        help="engagement types, separated by commas; all that the credentials allow without this",
    ),
    _option(
        "--granularity",
        choices=tuple(dict.fromkeys(each for own in GRANULARITIES.values() for each in own)),
        help="the length of a period; historical: day, hour or total; 28hr: hour or total",
    ),
    _option(
        "--groupings", metavar="JSON", help="the API's own groupings, instead of --granularity"
    ),
    _option(
        "--start",
        type=moment,
        metavar="TIME",
        help="historical only: where the window starts: 2026-11-01, 2026-11-01T05, 7d or 6h ago; "
        "UTC",
    ),
    _option(
        "--end",
        type=moment,
        metavar="TIME",
        help="historical only: the first moment after the window; now without this option",
    ),
    _option(
        "--since-posting",
        type=length,
        metavar="LENGTH",
        help="historical only, instead of a window: count each Tweet from its posting on, such as "
        "for 7d or 24h",
    ),
    _option(
        "--shard",
        metavar="I/N",
        help="ask only for part I of N of the Tweets, from 0/N on; each Tweet is in one part",
    ),
    *_READING,
)
_CONNECTION: Final = _option("--conn-id", metavar="ID", help="the Airflow connection to use")
_MESSAGES: Final = (
    _option("-v", "--verbose", action="store_true", help="log what is done; show tracebacks"),
    _option("-q", "--quiet", action="store_true", help="show errors only"),
)
_JSON: Final = _option("--json", action="store_true", help="print JSON")

COMMANDS: Final = (
    Command(
        "plan",
        "show which requests a pull needs",
        "Show which requests a pull needs, and send none. Without credentials, the owner's tokens "
        "are assumed.",
        (*_QUERY, _JSON, _CONNECTION, *_MESSAGES),
    ),
    Command(
        "pull",
        "pull counts",
        "Pull counts and write them as rows, one count a row: all rows, or none.",
        (
            *_QUERY,
            _option(
                "-o",
                "--output",
                default="-",
                metavar="FILE",
                help="where to write: a path, a URI, or - for standard output, the default",
            ),
            _option(
                "--format",
                choices=tuple(FORMATS),
                help="the format; by the name of the file, or csv, without this option",
            ),
            _option(
                "--coverage",
                metavar="FILE",
                help="also write here what happened to each Tweet",
            ),
            _option(
                "--spreadsheet",
                action="store_true",
                help='CSV for spreadsheets: ids as ="123", which no program reads as a number',
            ),
            _option(
                "--incomplete",
                choices=("keep", "drop"),
                default="keep",
                help="what to do with rows of periods that have not ended",
            ),
            _option(
                "--max-missing-share",
                type=share,
                metavar="SHARE",
                help="accept this share of Tweets without counts (exit code 0), and write nothing "
                "above it (exit code 4); without this option any missing Tweet is exit code 3",
            ),
            _CONNECTION,
            *_MESSAGES,
        ),
    ),
    Command(
        "ids",
        "read a collection of Tweets",
        "Read a collection of Tweets, and tell what is in it. Needs no connection.",
        (
            _TWEETS,
            *_READING,
            _option("--list", action="store_true", help="print the ids only, one a line"),
            _JSON,
            *_MESSAGES,
        ),
    ),
    Command(
        "report",
        "write a report on counts",
        "Write a report on counts that a pull has written: a page, and CSV files. Needs the extra "
        "[report], and no connection.",
        (
            _option(
                "counts",
                metavar="COUNTS",
                help="the counts: a folder of Parquet files by path or URI, or a BigQuery table",
            ),
            _option(
                "--tweets",
                metavar="TWEETS",
                help="what is known of the Tweets: a collection by path or URI, or a BigQuery "
                "table if COUNTS is one; without it the report has no texts and campaigns",
            ),
            _option(
                "-o", "--output", required=True, metavar="FOLDER", help="where to write the files"
            ),
            _option(
                "--start",
                type=moment,
                metavar="TIME",
                help="the first day, as for pull; the last 28 days with counts without this option",
            ),
            _option(
                "--end",
                type=moment,
                metavar="TIME",
                help="the first moment after the last day; now without this option",
            ),
            _option(
                "--top",
                type=number,
                default=10,
                metavar="N",
                help="how many Tweets are listed for each account and type",
            ),
            _option(
                "--campaign-label",
                default="campaign",
                metavar="NAME",
                help="the label of the Tweets whose values are the campaigns",
            ),
            _option("--title", default="Engagement report", help="the title of the page"),
            *_MESSAGES,
        ),
    ),
    Command(
        "check",
        "test a connection",
        "Test what a connection's credentials can request, with about four cheap requests.",
        (_CONNECTION, *_MESSAGES),
    ),
    Command(
        "authorize",
        "get the tokens of an account's owner",
        "Let the owner of an account authorize the app, with a PIN. Print the command that adds "
        "the connection to Airflow. It holds the tokens: keep it out of logs.",
        (
            _option(
                "--name",
                metavar="ID",
                help="the id of the new connection; engagement_ and the account without this",
            ),
            _CONNECTION,
            *_MESSAGES,
        ),
    ),
)
"""The commands, in the order of the help text."""
