"""A real web server on a loopback port, which answers as it is told."""

from __future__ import annotations

import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from broker import Certificate
    from typing_extensions import Self


class HookServer:
    """Records what is posted.

    Args:
        statuses: Of the first answers; 200 follows.
        headers: Of each answer.
        certificate: Speak TLS with it.
        port: A free one by default.

    Attributes:
        posted: Path, headers and body of each request.
    """

    def __init__(
        self,
        *statuses: int,
        headers: dict[str, str] | None = None,
        certificate: Certificate | None = None,
        port: int = 0,
    ) -> None:
        self.posted: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        left, server = list(statuses), self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                server.posted.append((self.path, dict(self.headers), json.loads(body)))
                self.send_response(left.pop(0) if left else 200)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate.certificate, certificate.key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = int(self._server.server_address[1])
        self.url = f"http{'s' if certificate else ''}://127.0.0.1:{self.port}/hook?id=7"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
