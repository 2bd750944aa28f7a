"""Does what ``airflow dags test DAG`` does, for several DAGs in one process."""

from __future__ import annotations

import sys

from airflow.cli.cli_parser import get_parser

for dag in sys.argv[1:]:
    arguments = get_parser().parse_args(["dags", "test", dag])
    arguments.func(arguments)
