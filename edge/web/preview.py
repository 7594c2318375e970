"""The preview: one page with what the cameras see, and addresses for programs beside it."""

from __future__ import annotations

import logging
import re
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, cast

import msgspec

from edge.messages import detections
from edge.tasks import task_for
from edge.web.access import Gate, read_token
from edge.web.figures import CONTENT_TYPE, Board, Counts, family
from edge.web.server import WAIT_S, Reply, Server
from edge.web.view import View

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge.config.sections import Config
    from edge.config.web import Web
    from edge.control import Answer, Control
    from edge.model.description import Description
    from edge.parts import Parts
    from edge.record import Record
    from edge.results.detections import Detections
    from edge.results.observation import Observation
    from edge.web.access import Request
    from edge.web.figures import Sample

log = logging.getLogger("edge.web")

APPLY_S = 10.0
PAGE = Path(__file__).parent / "page"
FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/shapes.js": ("shapes.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
BOUNDARY = "frame"
JSON = "application/json"


class Preview:
    """A consumer of observations, and what is answered to browsers and monitors.

    Args:
        web: The section of the configuration.
        parts: What runs.

    Attributes:
        views: By the name of the camera, of those that are gone too.
        server: While it is served.
    """

    def __init__(self, web: Web, parts: Parts) -> None:
        self._web = web
        self._parts = parts
        self._counts = Counts()
        self._board = Board()
        self._painter = ThreadPoolExecutor(1, thread_name_prefix="edge-paint")
        self.views: dict[str, View] = {}
        self._began_s = time.monotonic()
        self._gate = Gate(read_token(web), web.hosts)
        self.server: Server | None = None
        self._answers: dict[str, Callable[[dict[str, str]], Reply]] = {
            "/healthz": self._healthz,
            "/metrics": self._metrics,
            "/snapshot.jpg": self._snapshot,
            "/stream.mjpg": self._stream,
            "/state.json": self._state,
        }

    def __call__(self, observation: Observation) -> None:
        """Take a frame; 6 µs where nobody looks."""
        self._counts.add(observation)
        self._view(observation.camera).observe(observation)

    @contextmanager
    def served(self, changes: Control) -> Iterator[str]:
        """Answer for the length of the block; yields the address of the page.

        Args:
            changes: Carries out what the page asks for.

        Raises:
            EdgeError: Nobody can listen there.
        """
        self._changes = changes
        with Server((self._web.host, self._web.port), self._gate, self.answer) as server:
            self.server = server
            log.info("preview: %s", server.url)
            try:
                yield server.url
            finally:
                for view in [*self.views.values()]:
                    view.close()

    def answer(self, request: Request) -> Reply:
        """Return the reply to a request that may be answered."""
        path, query = request.path, request.query
        if request.method == "POST" and path == "/apply":
            return self._apply(request)
        if cookie := self._gate.cookie(request):
            # The link is followed once: from here on the cookie speaks, and no history the token.
            headers = {"Location": "/", "Set-Cookie": cookie}
            return Reply(b"", status=HTTPStatus.SEE_OTHER, headers=headers)
        if request.method == "POST" or path not in FILES.keys() | self._answers.keys():
            known = " ".join(["/", *self._answers])
            return _sentence(HTTPStatus.NOT_FOUND, f"nothing is here; there are {known}")
        if path in FILES:
            name, kind = FILES[path]
            return Reply((PAGE / name).read_bytes(), kind)
        if "camera" in query and query["camera"] not in self._names():
            known = ", ".join(self._names())
            return _sentence(HTTPStatus.NOT_FOUND, f"no such camera; known are {known}")
        return self._answers[path](query)

    def _names(self) -> list[str]:
        return [camera.name for camera in self._parts.config.cameras]

    def _view(self, camera: str) -> View:
        view = self.views.get(camera)
        if view is None:
            new = View(camera, self._parts, web=self._web, painter=self._painter)
            view = self.views.setdefault(camera, new)
        return view

    def _chosen(self, query: dict[str, str]) -> View:
        return self._view(query.get("camera") or self._names()[0])

    def _healthz(self, query: dict[str, str]) -> Reply:
        """Say whether frames come out: of the camera that is named, or of any.

        A camera that somebody has paused is well: no restart would bring its frames.
        """
        names = [query["camera"]] if "camera" in query else self._names()
        awaited = [name for name in names if name not in self._parts.cameras.paused]
        troubles = [trouble for name in awaited if (trouble := self._view(name).trouble())]
        text = "; ".join(troubles)
        if awaited and len(troubles) == len(awaited):
            return _sentence(HTTPStatus.SERVICE_UNAVAILABLE, text)
        said = "frames come out" if awaited else "paused"
        return _sentence(HTTPStatus.OK, f"ok: {said}{'; but ' * bool(text)}{text}")

    def _metrics(self, _: dict[str, str]) -> Reply:
        """Tell of all cameras in the text format of Prometheus."""
        parts, known = self._parts, dict.fromkeys([*self._names(), *self.views])
        views = [({"camera": name}, self._view(name)) for name in known]
        names = {"device": parts.config.device.name, "model": parts.model.description.name}
        tallies = parts.sinks.fanout.tallies() if parts.sinks else {}
        sinks = [({"sink": name}, tally) for name, tally in tallies.items()]
        rows: list[tuple[str, str, list[Sample]]] = [
            ("edge_info", "What runs.", [(names, 1)]),
            ("edge_frames_total", "Results so far.", [(c, v.frames) for c, v in views]),
            ("edge_dropped_frames_total", "Replaced unseen.", [(c, v.dropped) for c, v in views]),
            ("edge_preview_pictures_total", "Drawn so far.", [(c, v.encoded) for c, v in views]),
            (
                "edge_camera_ok",
                "Whether the self-check finds nothing.",
                [(c, v.health.state == "ok") for c, v in views if v.health],
            ),
            ("edge_outbox_messages", "That wait.", [(c, t.waiting) for c, t in sinks]),
            ("edge_outbox_sent_total", "Delivered.", [(c, t.settled) for c, t in sinks]),
            ("edge_outbox_dropped_total", "Given up.", [(c, t.dropped) for c, t in sinks]),
        ]
        lines = [line for row in rows for line in family(*row)]
        lines += [*self._counts.lines(), *self._board.lines()]
        return Reply("\n".join([*lines, ""]).encode(), CONTENT_TYPE)

    def _snapshot(self, query: dict[str, str]) -> Reply:
        """Send the next picture; with `after`, the number of a picture, the next one after it."""
        view = self._chosen(query)
        after = query.get("after", "0")
        number = int(after) if re.fullmatch("[0-9]{1,12}", after) else 0
        zones = query.get("zones") != "no"
        drawn = view.picture(number, timeout_s=WAIT_S, zones=zones)
        if drawn is None:
            text = "the camera gives no frame; /healthz and the log say more"
            return _sentence(HTTPStatus.SERVICE_UNAVAILABLE, text)
        return Reply(drawn[1], "image/jpeg", headers={"X-Picture": str(drawn[0])})

    def _stream(self, query: dict[str, str]) -> Reply:
        """Send pictures as they come, until the viewer leaves or none has come for a while."""
        view = self._chosen(query)

        def parts() -> Iterator[bytes]:
            number = 0
            while drawn := view.picture(number, timeout_s=WAIT_S):
                number, data = drawn
                head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}"
                yield f"{head}\r\n\r\n".encode() + data + b"\r\n"

        return Reply(parts(), f"multipart/x-mixed-replace; boundary={BOUNDARY}")

    def _state(self, query: dict[str, str]) -> Reply:
        """Say all that the page shows beside the picture."""
        view, paused = self._chosen(query), self._parts.cameras.paused
        config, running = self._parts.config, self._parts.running
        view.wish()
        now_s, (places, number) = time.monotonic(), _places(config)
        fields = {
            "device": config.device.name,
            "model": self._parts.model.description.name,
            "camera": view.camera,
            "cameras": self._names(),
            "paused": view.camera in paused,
            "trouble": view.trouble(),
            "now_s": now_s,
            "uptime_s": now_s - self._began_s,
            "frames": view.frames,
            "dropped_frames": view.dropped,
            "size_wh": view.size_wh,
            "stage_ms": running.times.summary().percentiles_ms if running else {},
            "seen": _seen(*view.kept[:2]) if view.kept else [],
            "counts": view.counts,
            "health": view.health,
            "events": list(view.events)[::-1],
            "places": number,
            **places,
            **self._board.state(),
        }
        return Reply(msgspec.json.encode(fields), JSON)

    def _apply(self, request: Request) -> Reply:
        """Have the zones of the page taken over; the answer is that of the change.

        The page says onto which ones it drew, so that nobody else's are lost unseen.
        """
        _, number = _places(self._parts.config)
        if request.query.get("onto", number) != number:
            text = "others hold by now: Discard changes shows them, Apply again replaces them"
            return _sentence(HTTPStatus.PRECONDITION_FAILED, text)
        answers: SimpleQueue[Answer] = SimpleQueue()
        self._changes.request("zones", request.body, answer=answers.put)
        try:
            answer = answers.get(timeout=APPLY_S)
        except Empty:
            return _sentence(HTTPStatus.GATEWAY_TIMEOUT, "no answer yet; look at the zones again")
        said = msgspec.json.encode({"ok": answer.ok, "message": answer.message})
        return Reply(said, JSON, HTTPStatus.OK if answer.ok else HTTPStatus.CONFLICT)


def _places(config: Config) -> tuple[dict[str, Any], str]:
    """Return zones, lines and masks as they are written, and a number that stands for them all."""
    places = {
        key: [_written(each) for each in getattr(config, f"{key}s")]
        for key in ("zone", "line", "mask")
    }
    return places, f"{zlib.crc32(msgspec.json.encode(places)):08x}"


def _seen(kept: Observation, description: Description) -> list[Any]:
    """Return what a picture shows: of boxes what messages say, else a label and a few words."""
    task = task_for(description)
    if task.has_boxes:
        found = cast("Detections", kept.result)
        return list(detections.rows(found, kept.size_wh, description.labels)) if len(found) else []
    fields = task.fields(description, class_map=False)(kept.result, kept.size_wh)
    return [{"label": label, "text": text} for label, text in task.describe(fields)]


def _written(record: Record) -> dict[str, Any]:
    """Return the fields of a record that are not as they are by themselves, by their keys."""
    own = {each.encode_name: each for each in msgspec.structs.fields(record)}
    return {
        key: value
        for key, value in record.plain().items()
        if getattr(record, own[key].name) != own[key].default
    }


def _sentence(status: int, text: str) -> Reply:
    return Reply(f"{text}\n".encode(), status=status)
