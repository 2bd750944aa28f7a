"""The command line."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import requests
from requests_oauthlib import OAuth1

from airflow_provider_engagement.api.tweet_id import created_at
from airflow_provider_engagement.simulator import World
from airflow_provider_engagement.simulator.__main__ import main

if TYPE_CHECKING:
    from pathlib import Path

    from tests.simulator.conftest import Client

COMMAND = [sys.executable, "-W", "error", "-m", "airflow_provider_engagement.simulator"]


@contextmanager
def running(tmp_path: Path, *arguments: str) -> Any:
    ready = tmp_path / "ready.json"
    process = subprocess.Popen(  # noqa: S603 - our own program
        [*COMMAND, "--ready-file", str(ready), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 30
        while not ready.exists():
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield process, json.loads(ready.read_text())
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_a_signal_stops_it(tmp_path: Path, number: int) -> None:
    ids_file = tmp_path / "ids.txt"
    arguments = ["--account", "acme", "--account", "big.corp", "--ids-file", str(ids_file)]
    arguments += ["--tweets", "40", "--now", "2026-03-10T12:00", "--foreign-share", "0.5"]
    with running(tmp_path, *arguments) as (process, ready):
        assert set(ready["accounts"]) == {"acme", "big.corp"}
        now = datetime(2026, 3, 10, 12, tzinfo=UTC)
        world = World(7, ("acme", "big.corp"), now, foreign_share=0.5)
        ids = ids_file.read_text().split()
        assert len(ids) == 40
        assert max(map(created_at, ids)) < now
        owned = [tweet_id for tweet_id in ids if world.owner_of(tweet_id) == "acme"]
        answer = ask(ready["accounts"]["acme"], owned)
        assert answer["g"] == {i: {"favorites": str(world.count(i, "favorites"))} for i in owned}
        process.send_signal(number)
        out, err = process.communicate(timeout=10)
    assert process.returncode == 0
    assert err == ""
    exports = [shlex.split(line)[1] for line in out.splitlines() if line.startswith("export ")]
    names, values = zip(*(line.split("=", 1) for line in exports), strict=True)
    assert names == ("AIRFLOW_CONN_ENGAGEMENT_DEFAULT", "AIRFLOW_CONN_ENGAGEMENT_BIG_CORP")
    assert [json.loads(value) for value in values] == list(ready["accounts"].values())
    assert ready["url"] in out


def ask(connection: dict[str, Any], ids: list[str]) -> Any:
    extra = connection["extra"]
    auth = OAuth1(
        connection["login"],
        connection["password"],
        extra["access_token"],
        extra["access_token_secret"],
    )
    body = {
        "tweet_ids": ids,
        "engagement_types": ["favorites"],
        "groupings": {"g": {"group_by": ["tweet.id", "engagement.type"]}},
    }
    url = connection["host"] + "/insights/engagement/totals"
    answer = requests.post(url, json=body, auth=auth, timeout=10)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_option_refuses_the_app(tmp_path: Path) -> None:
    with running(tmp_path, "--app-not-enabled") as (_, ready):
        bearer = ready["accounts"]["acme"]["extra"]["bearer_token"]
        headers = {"Authorization": f"Bearer {bearer}"}
        url = ready["url"] + "/insights/engagement/totals"
        answer = requests.post(url, json={}, headers=headers, timeout=10)
        assert answer.status_code == 403
        assert "application id is not authorized" in answer.text


def test_options_configure_the_service(tmp_path: Path) -> None:
    deleted_ids = tmp_path / "deleted.txt"
    deleted_ids.write_text("21\n22\n")
    arguments = ["--requests-per-minute", '{"totals": 2}', "--deleted", str(deleted_ids)]
    arguments += ["--ids-file", str(tmp_path / "ids-{account}.txt"), "--tweets", "3"]
    arguments += [
        "--faults",
        "1",
        "--fault-kinds",
        "503",
        "--protected",
        "23",
        "--foreign",
        "24,25",
    ]
    with running(tmp_path, *arguments) as (_, ready):
        url = ready["url"] + "/insights/engagement/totals"
        bearer = ready["accounts"]["acme"]["extra"]["bearer_token"]
        headers = {"Authorization": f"Bearer {bearer}"}
        answer = requests.post(url, json={}, headers=headers, timeout=10)
        assert answer.status_code == 503
        assert answer.headers["x-per-minute-limit"] == "2"
        figures = requests.get(ready["url"] + "/_simulator/stats", timeout=10).json()
        assert figures["requests"] == {"totals": {"503": 1}}
        assert len((tmp_path / "ids-acme.txt").read_text().split()) == 3


MISTAKES = {
    "--port 99999": "'99999' is not a port: give a number from 1 to 65535, or 0 for a free one",
    "--port -1": "'-1' is not a port: give a number from 1 to 65535",
    "--port http": "'http' is not a port: give a number from 1 to 65535",
    "--seed x": "'x'",
    "--account ''": "'' is not a handle: give one without spaces",
    "--account 'a b'": "'a b' is not a handle: give one without spaces",
    "--now soon": "'soon' is not a time: give one in ISO 8601, such as 2026-03-10T12:00",
    "--requests-per-minute {}}": "'{}}' is not a limit: give a whole number, 1 or more, or JSON",
    "--requests-per-minute x": "'x' is not a limit: give a whole number, 1 or more, or JSON",
    "--requests-per-minute 0": "'0' is not a limit: give a whole number, 1 or more, or JSON",
    "--requests-per-minute 1.5": "'1.5' is not a limit: give a whole number, 1 or more, or JSON",
    "--requests-per-minute true": "'true' is not a limit: give a whole number, 1 or more, or JSON",
    "--requests-per-minute {}": "'{}' is not a limit: give a whole number, 1 or more, or JSON",
    """--requests-per-minute '{"28hour": 1}'""": (
        """'{"28hour": 1}' is not a limit: give a whole number, 1 or more, or JSON with one """
        """for some of totals, 28hr, historical, such as {"totals": 300, "28hr": 60}"""
    ),
    """--requests-per-minute '{"totals": "1"}'""": "is not a limit: give a whole number, 1 or more",
    "--latency -1": "'-1' is not a duration: give seconds, 0 or more",
    "--latency nan": "'nan' is not a duration: give seconds, 0 or more",
    "--latency inf": "'inf' is not a duration: give seconds, 0 or more",
    "--faults 2": "'2' is not a share: give a number from 0 to 1",
    "--faults x": "'x' is not a share: give a number from 0 to 1",
    "--foreign-share nan": "'nan' is not a share: give a number from 0 to 1",
    "--fault-kinds 500,none": "unknown faults 'none': give some of 429,500,502,503,hang",
    "--deleted no/such/file": "No such file or directory: 'no/such/file'",
    f"--foreign {__file__}": "give ids separated by commas, or a file that holds only ids",
    "--tweets -3": "'-3' is not a count: give a whole number, 0 or more",
    "--tweets many": "'many' is not a count: give a whole number, 0 or more",
}


@pytest.mark.parametrize(("line", "expected"), MISTAKES.items(), ids=MISTAKES)
def test_invalid_option_is_refused_with_what_is_allowed(
    line: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    option, value = shlex.split(line)
    with pytest.raises(SystemExit) as stopped:
        main([f"{option}={value}"])
    assert stopped.value.code == 2
    output = capsys.readouterr().err
    assert f"argument {option}: " in output
    assert expected in output


def test_port_in_use_is_named(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    port = client.simulator.url.rsplit(":", 1)[1]
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert main(["--port", port]) == 1
    output = capsys.readouterr().err
    assert f"cannot listen on 127.0.0.1:{port}: " in output
    assert "in use" in output
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_unusable_address_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    # TEST-NET-1 is reserved: no machine has it.
    assert main(["--host", "192.0.2.1"]) == 1
    assert "cannot listen on 192.0.2.1:0: " in capsys.readouterr().err


def test_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    out = capsys.readouterr().out
    for option in ("--host", "--seed", "--latency", "--foreign-share", "--ready-file"):
        assert option in out
