"""``engagement-simulator``: run the simulator by hand, in a demo or in CI."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import signal
import sys
import threading
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from airflow_provider_engagement.simulator import arguments
from airflow_provider_engagement.simulator.faults import FAULT_KINDS, Faults
from airflow_provider_engagement.simulator.server import Simulator
from airflow_provider_engagement.simulator.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["main"]

_DEFAULT_ACCOUNT: Final = "acme"

# Sample Tweets are created over this many days up to now, so that some are too old for
# impressions on /totals.
_SAMPLE_DAYS: Final = 120


def main(argv: Sequence[str] | None = None) -> int:
    """Run the simulator until SIGINT or SIGTERM.

    :param argv: the arguments of the command line; None takes those of the process.
    :returns: the exit code: 0 after a clean end, 1 if it could not start.
    """
    options = _parser().parse_args(argv)
    try:
        # Signal handlers come first: who waits for the ready file may stop the process at once.
        with _stop_signals() as stop, _simulator(options) as simulator:
            _announce(simulator, options)
            stop.wait()
    except (OSError, ValueError) as error:
        print(f"engagement-simulator: {error}", file=sys.stderr)  # noqa: T201 - a command line
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="engagement-simulator",
        description="A local stand-in for the X Enterprise Engagement API.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=arguments.port, default=0, help="port; 0 takes a free one")
    parser.add_argument("--seed", type=int, default=7, help="the seed of every random choice")
    parser.add_argument(
        "--account",
        type=arguments.handle,
        action="append",
        metavar="HANDLE",
        help="an owner's handle; can be repeated",
    )
    parser.add_argument(
        "--now",
        type=arguments.moment,
        metavar="TIME",
        help="freeze counts and ages at this ISO time",
    )
    _add_behaviour(parser)
    _add_tweets(parser)
    parser.add_argument(
        "--ready-file",
        type=Path,
        metavar="PATH",
        help="write JSON with the URL and the connections here, once listening",
    )
    return parser


def _add_behaviour(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("behaviour")
    group.add_argument(
        "--requests-per-minute",
        type=arguments.limits,
        metavar="N",
        help='the contract: a number, or JSON such as \'{"totals": 300, "28hr": 60}\'',
    )
    group.add_argument(
        "--app-not-enabled",
        action="store_true",
        help="refuse every request, as before X enables the app",
    )
    group.add_argument(
        "--latency", type=arguments.seconds, default=0.0, metavar="SECONDS", help="of a response"
    )
    group.add_argument(
        "--faults",
        type=arguments.share,
        default=0.0,
        metavar="SHARE",
        help="share of faulty responses",
    )
    group.add_argument(
        "--fault-kinds",
        type=arguments.kinds,
        default=FAULT_KINDS,
        metavar="KINDS",
        help=f"kinds of faults, separated by commas (default: {','.join(FAULT_KINDS)})",
    )


def _add_tweets(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("tweets")
    for kind, meaning in (
        ("deleted", "are deleted"),
        ("protected", "are protected"),
        ("foreign", "have other authors"),
    ):
        group.add_argument(
            f"--{kind}-share",
            type=arguments.share,
            default=0.0,
            metavar="SHARE",
            help=f"share of all Tweets that {meaning}",
        )
        group.add_argument(
            f"--{kind}",
            type=arguments.ids,
            default=[],
            metavar="IDS",
            help=f"ids of Tweets that {meaning}: separated by commas, or a file of ids",
        )
    group.add_argument(
        "--tweets",
        type=arguments.count,
        default=100,
        metavar="N",
        help="how many sample ids to make",
    )
    group.add_argument(
        "--ids-file",
        type=Path,
        metavar="PATH",
        help="write the sample ids here, one a line; with '{account}' in the name, a file for "
        "each account",
    )


def _simulator(options: argparse.Namespace) -> Simulator:
    world = World(
        options.seed,
        options.account or (_DEFAULT_ACCOUNT,),
        options.now,
        deleted=options.deleted,
        protected=options.protected,
        foreign=options.foreign,
        deleted_share=options.deleted_share,
        protected_share=options.protected_share,
        foreign_share=options.foreign_share,
    )
    return Simulator(
        world,
        options.host,
        options.port,
        requests_per_minute=options.requests_per_minute,
        latency=options.latency,
        app_enabled=not options.app_not_enabled,
        faults=Faults(options.faults, options.fault_kinds, options.seed),
    )


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """Yield an event that SIGINT and SIGTERM set."""
    event = threading.Event()
    before = {
        number: signal.signal(number, lambda *_: event.set())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _write_samples(world: World, file: Path, n: int) -> None:
    """Write sample ids; a name with ``{account}`` gets one file for each account."""
    until = world.now()
    since = until - timedelta(days=_SAMPLE_DAYS)
    each = world.accounts if "{account}" in file.name else (None,)
    for account in each:
        ids = world.tweets(account, n, since=since, until=until)
        path = file.with_name(file.name.replace("{account}", account or ""))
        path.write_text("".join(f"{tweet_id}\n" for tweet_id in ids))


def _announce(simulator: Simulator, options: argparse.Namespace) -> None:
    """Print the URL and the connections; write the files that scripts wait for."""
    if options.ids_file:
        _write_samples(simulator.world, options.ids_file, options.tweets)
    accounts = {handle: simulator.connection(handle) for handle in simulator.world.accounts}
    lines = [f"The Engagement API is simulated at {simulator.url}", ""]
    for place, (handle, connection) in enumerate(accounts.items()):
        name = re.sub(r"\W", "_", handle).upper() if place else "DEFAULT"
        value = shlex.quote(json.dumps(connection))
        lines.append(f"export AIRFLOW_CONN_ENGAGEMENT_{name}={value}")
    lines += ["", "Ctrl-C ends it."]
    print("\n".join(lines), flush=True)  # noqa: T201 - a command line
    if options.ready_file:
        # Written last and renamed, so that a reader never sees a part of it.
        ready = {"url": simulator.url, "accounts": accounts}
        unfinished = options.ready_file.with_name(options.ready_file.name + ".part")
        unfinished.write_text(json.dumps(ready))
        unfinished.replace(options.ready_file)


if __name__ == "__main__":
    raise SystemExit(main())
