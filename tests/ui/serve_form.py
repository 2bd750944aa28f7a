"""Shows Airflow 2's connection form, saves through it, and prints what came of it as JSON.

Run by ``test_form_of_airflow_2.py`` in a process of its own: the web server's modules are old, and
change much on their way in. Reads JSON from its input: the forms to send.
"""

from __future__ import annotations

import json
import sys

from airflow.models import Connection
from airflow.utils.session import create_session
from airflow.www.app import create_app


def main() -> None:
    """Show the empty form, send each of the given ones, and print what was saved."""
    app = create_app(testing=True)
    app.config["WTF_CSRF_ENABLED"] = False
    client = app.test_client()
    page = client.get("/connection/add").get_data(as_text=True)
    answers = {}
    for form in json.load(sys.stdin):
        answer = client.post("/connection/add", data=form)
        with create_session() as session:
            by_id = session.query(Connection).filter_by(conn_id=form["conn_id"])  # noqa: AIR311 - this is Airflow 2
            found = by_id.one_or_none()
            saved = found and json.loads(found.extra)
        text = "" if answer.status_code == 302 else answer.get_data(as_text=True)
        answers[form["conn_id"]] = {"saved": saved, "page": text}
    print("ANSWER", json.dumps({"page": page, "answers": answers}))  # noqa: T201 - a script


main()
