"""The preview beside a real pipeline, on a free port."""

from __future__ import annotations

import http.client
import threading
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edge import app
from edge.config.reading import parse
from edge.control import Control
from edge.web.preview import Preview

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True)
class Said:
    ok: bool
    message: str


@dataclass
class Changes:
    """Records what is asked for, and answers."""

    ok: bool = True
    asked: list[tuple[str, bytes]] = field(default_factory=list)

    def request(
        self, name: str, arguments: bytes = b"", *, answer: Callable[[Any], object]
    ) -> None:
        self.asked.append((name, arguments))
        answer(Said(self.ok, "done" if self.ok else "nothing changed: no"))


@dataclass
class Running:
    """A preview that is served.

    Attributes:
        port: Where.
        parts: What runs.
        preview: It.
        changes: What it asked for.
    """

    port: int
    parts: app.Parts
    preview: Preview
    changes: Changes

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def ask(
        self, path: str, *, method: str = "GET", body: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body of an answer; `_` in a header's name stands for `-`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            given = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, given)
            reply = connection.getresponse()
            return reply.status, dict(reply.getheaders()), reply.read()
        finally:
            connection.close()


@contextmanager
def previewing(*, frames: bool = True, control: bool = False, **sections: Any) -> Iterator[Running]:
    """Run the demo camera with a preview.

    Args:
        frames: `False` opens all and takes none.
        control: What the page asks for is really changed, and not only recorded.
        sections: Of the configuration.
    """
    fields = {"camera": {"source": "demo:", "rate_hz": 20}, **sections}
    fields["web"] = {"port": 0, **sections.get("web", {})}
    config = parse(fields)
    with app.opened(config, publish=False) as parts:
        preview, changes = Preview(config.web, parts), Changes()
        pipeline = parts.pipeline([preview])
        thread = threading.Thread(target=pipeline.run, daemon=True)
        with (
            Control(parts) if control else nullcontext(changes) as asked,
            preview.served(asked) as url,
        ):
            if frames:
                thread.start()
            try:
                yield Running(int(url.rstrip("/").rpartition(":")[2]), parts, preview, changes)
            finally:
                pipeline.stop()
                if frames:
                    thread.join(30)
