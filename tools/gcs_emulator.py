"""Runs the GCS emulator on a port that the system chooses, and prints it.

Its own command line takes a port, says nothing of the one that it gets, and hangs where the port
is taken. Runs in ``.venv/emulators``: ``python gcs_emulator.py FOLDER``.
"""

from __future__ import annotations

import signal
import sys
from http.server import HTTPServer

from gcp_storage_emulator.server import (  # type: ignore[import-not-found] # another environment
    create_server,
)
from gcp_storage_emulator.storage import (  # type: ignore[import-not-found] # another environment
    Storage,
)


def main(folder: str) -> None:
    """Serve the folder that ``$STORAGE_DIR`` names in this one, until killed."""
    # The client sends with many connections, which the default of 5 makes wait for a second.
    HTTPServer.request_queue_size = 128
    # It writes down all that it holds after each change, for a restart that never comes.
    Storage._write_config_to_file = lambda _: None  # noqa: SLF001 - no setting says so
    server = create_server("127.0.0.1", 0, data_dir=folder)
    server.start()
    print("listening on", server._api._httpd.server_port, flush=True)  # noqa: SLF001 - the only way
    signal.pause()


if __name__ == "__main__":
    main(sys.argv[1])
