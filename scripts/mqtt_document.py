"""The examples of docs/mqtt.md, made by what makes the messages, and the schema of commands."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec.json import schema_components

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from edge.commands import COMMANDS  # noqa: E402 - found only once the repository is on the path
from edge.control import Answer  # noqa: E402
from edge.homeassistant.following import UPDATE_KEYS  # noqa: E402
from edge.messages import stats  # noqa: E402
from edge.messages.envelope import SCHEMA_VERSION, Encoder, Message  # noqa: E402
from edge.messages.events import CountsTeller, EventsTeller  # noqa: E402
from edge.messages.health import HealthTeller  # noqa: E402
from edge.messages.schema import SCHEMA_DIALECT, TOPICS, schema  # noqa: E402
from edge.model.backend import Ran  # noqa: E402
from edge.results.detections import Detections  # noqa: E402
from edge.results.observation import Event, Health, Observation  # noqa: E402
from edge.service.life import mode_message  # noqa: E402

if TYPE_CHECKING:
    from edge.messages.control import Holding, InstallPayload, ReplyPayload, SettingsPayload

DOCUMENT = ROOT / "docs" / "mqtt.md"
SCHEMA_FILE = ROOT / "docs" / "payload.schema.json"
COMMANDS_FILE = ROOT / "docs" / "commands.schema.json"
DEVICE, CAMERA = "porch", "front"
DIGEST = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
SECOND_NS = 1_000_000_000
NOW_NS = 1_700_000_000_123_456_789
# A block of JSON below a comment that names its topic.
BLOCK = re.compile(r"<!-- made: (.+?) -->\n```json\n(.*?)\n```\n", re.DOTALL)


def messages() -> dict[str, Message]:
    """Return a message of each topic of `TOPICS` but those of frames, by that topic."""
    entered = Event(
        id="7f3a9c51-12-1",
        kind="enter",
        camera=CAMERA,
        label="person",
        track_id=12,
        zone="mat",
        direction="",
        started_utc_ns=NOW_NS - SECOND_NS,
        ended_utc_ns=None,
        score=0.871,
        box=(0.41, 0.22, 0.58, 0.91),
        path=((0.2, 0.9), (0.495, 0.91)),
    )
    seen = Observation(
        camera=CAMERA,
        sequence=5,
        captured_utc_ns=NOW_NS,
        source_ns=0,
        size_wh=(1280, 720),
        result=Detections(
            np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32)
        ),
        stage_ms={},
        age_ms=0.0,
        dropped_frames=3,
        events=(entered,),
        counts={"": {"person": 2, "cat": 0}, "mat": {"person": 1, "cat": 0}},
    )
    covered = Health("covered", "nothing but grey since then; look at the lens", NOW_NS)
    encoder = Encoder(DEVICE, {"name": "ssdlite-mobilenet-v2-coco", "digest": DIGEST}, "", dict)
    holds = holding()
    model: dict[str, Any] = dict(holds["model"])
    settings: SettingsPayload = {"schema_version": SCHEMA_VERSION, "device": DEVICE, **holds}
    answer = Answer(
        7, "threshold", ok=True, message="new: score_threshold = 0.6", settings=dict(holds)
    )
    reply: ReplyPayload = {
        "schema_version": SCHEMA_VERSION,
        "device": DEVICE,
        "id": answer.id,
        "name": answer.name,
        "ok": answer.ok,
        "message": answer.message,
        "settings": answer.settings,
    }
    update = {key: model[key] for key in UPDATE_KEYS} | {"update_percentage": None}
    return {
        "<camera>/events": EventsTeller(DEVICE)(seen)[0],
        "<camera>/counts": CountsTeller(DEVICE)(seen)[0],
        "<camera>/health": HealthTeller(DEVICE)(replace(seen, health=covered))[0],
        "stats": stats.message(DEVICE, run(), utc_ns=NOW_NS),
        "model": encoder.introduction(Ran("litert", "2.1.0", "XNNPACK")),
        "mode": mode_message(DEVICE, "safe", **SAFE),
        "update": Message(f"edge/{DEVICE}/update", json.dumps(update).encode()),
        "install": Message(
            f"edge/{DEVICE}/install", json.dumps(INSTALLED).encode(), retain=True, policy="state"
        ),
        "settings": Message(f"edge/{DEVICE}/settings", json.dumps(settings).encode()),
        "reply/<name>": Message(f"edge/{DEVICE}/reply/threshold", json.dumps(reply).encode()),
    }


def holding() -> Holding:
    """Return what may hold."""
    return {
        "enabled": True,
        "paused": [],
        "cameras": [CAMERA],
        "score_threshold": 0.6,
        "zones": ["mat"],
        "model": {
            "name": "ssdlite-mobilenet-v2-coco",
            "digest": DIGEST,
            "installed_version": "door-1",
            "latest_version": "door-2",
            "available": "door-2.tflite",
            "in_progress": False,
        },
    }


def run() -> dict[str, Any]:
    """Return what may be said of a run."""
    rates = {"captured_hz": 30.0, "invoked_hz": 29.6, "published_hz": 10.0, "dropped_frames": 41}
    invoke, age = (dict(zip(stats.PERCENTILE_NAMES, ms, strict=True)) for ms in TIMES_MS)
    return {
        "uptime_s": 86400.2,
        "window_s": 30.0,
        "cameras": {CAMERA: rates},
        "stage_ms": {"invoke": invoke, "age": age},
        "outbox": {"waiting": 0, "dropped": 0, "delivered": 865214},
        "rss_mib": 121.4,
        "cpu_percent": 96.3,
        "temperature_c": 61.3,
        "throttled": False,
        "throttle_flags": ["under-voltage since boot"],
    }


INSTALLED: InstallPayload = {
    "schema_version": SCHEMA_VERSION,
    "device": DEVICE,
    "installed_version": "0.1.0 (60eb48eba1ed)",
    "latest_version": "0.1.0 (60eb48eba1ed)",
    "available": None,
    "in_progress": False,
    "update_percentage": None,
    "state": "rolled back",
    "message": "0.2.0 (0c9d28f1b7aa) was taken back, 0.1.0 (60eb48eba1ed) runs again: "
    "no camera gave a frame within 60 s of its start",
    "at_utc_s": 1700000000,
    "first_boot": "the first boot is over: 0.1.0 (60eb48eba1ed) is installed",
}
SAFE: dict[str, Any] = {
    "reason": "/etc/edge/device.toml: [model] file: no such file",
    "failed_starts": 5,
    "retry_in_s": 300.0,
}
TIMES_MS = ((18.204, 21.377, 29.81), (22.9, 28.114, 41.03))


def pretty(payload: bytes) -> str:
    """Return JSON as people read it: lists of numbers and texts, and small objects, on one line."""
    text = json.dumps(json.loads(payload), indent=2, ensure_ascii=False)
    flat = re.compile(r"([\[{])\s*([^\[\]{}]{0,90}?)\s*([\]}])")
    return flat.sub(lambda found: found[1] + re.sub(r"\n\s*", " ", found[2]) + found[3], text)


def commands() -> dict[str, Any]:
    """Return the JSON Schema of what each command takes."""
    kinds = [command.arguments for command in COMMANDS.values()]
    parts, components = schema_components(kinds, ref_template="#/$defs/{name}")
    return {
        "$schema": SCHEMA_DIALECT,
        "title": f"edge-vision commands, version {SCHEMA_VERSION}",
        "commands": dict(zip(COMMANDS, parts, strict=True)),
        "$defs": components,
    }


def renewed(document: str) -> str:
    """Return the document with each example made anew."""
    made = messages()
    return BLOCK.sub(
        lambda found: (
            f"<!-- made: {found[1]} -->\n```json\n{pretty(made[found[1]].payload)}\n```\n"
        ),
        document,
    )


def main() -> None:
    """Write both schemas and the document."""
    for path, made in ((SCHEMA_FILE, schema()), (COMMANDS_FILE, commands())):
        text = json.dumps(made, indent=2, ensure_ascii=False)
        path.write_text(text + "\n", encoding="utf-8")
        print(path)
    DOCUMENT.write_text(renewed(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
    print(DOCUMENT)
    unmade = set(TOPICS) - set(messages())
    assert all(topic.startswith("<camera>/") for topic in unmade), unmade  # noqa: S101


if __name__ == "__main__":
    main()
