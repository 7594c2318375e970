"""A board in a folder, on which no program of the system runs."""

from __future__ import annotations

import http.server
import threading

import pytest
from board_bundles import stand_in

from boards.device.place import Place


@pytest.fixture
def programs(monkeypatch):
    return stand_in(monkeypatch)


@pytest.fixture
def root(tmp_path, programs):
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture
def place(root):
    return Place(root, lambda _: None)


@pytest.fixture
def served(tmp_path):
    """Serve one file; yield its URL."""
    (tmp_path / "web").mkdir()
    path = tmp_path / "web/b.tar"
    path.write_bytes(b"x" * 3_000_000)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(tmp_path / "web"))

        def log_message(self, *_args):
            pass

        def send_header(self, name, value):
            if name != "Content-Length" or "no-length" not in self.path:
                super().send_header(name, value)

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *_):
            """Say nothing: a download that is given up hangs up."""

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/b.tar", path
        server.shutdown()
