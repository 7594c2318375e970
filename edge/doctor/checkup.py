"""The table of checks, and how all are made at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from edge.doctor import board, broker, cameras, card, devices, service, software
from edge.doctor.host import AS_ROOT, Finding, Host, absent, warning, wrong
from edge.errors import EdgeError

Check = Callable[[Host], Finding]
LIMIT_S = 9.0
# What is looked at and why it matters, in the order in which it is shown.
CHECKS: dict[str, tuple[Check, str]] = {
    "Python": (software.python, "the runtime, NumPy and OpenCV have no builds for others"),
    "packages": (software.packages, "the service cannot start without them"),
    "NumPy and OpenCV": (software.imports, "both and the runtime have to fit each other"),
    "configuration": (software.configuration, "edge run refuses what is wrong"),
    "camera programs": (
        cameras.stack,
        "a Pi's camera has all its controls through picamera2 alone",
    ),
    "cameras": (cameras.cameras, "no camera, no detections"),
    "camera held by": (cameras.holders, "a camera has one reader; others find it busy"),
    "permissions": (devices.permissions, "what the service's user may not open stays shut"),
    "Edge TPU": (devices.edge_tpu, "a model compiled for it runs nowhere else"),
    "Hailo": (devices.hailo, "a .hef runs nowhere else"),
    "broker": (broker.broker, "nothing arrives without it; boards of one name cut each other off"),
    "certificate": (broker.certificate, "a broker is not trusted any more when it ends"),
    "password": (broker.credentials, "whoever may read it can speak as this board"),
    "clock": (board.clock, "certificates and the times of messages stand on it"),
    "power": (board.power, "with too little, frames drop, USB cameras vanish, cards get damaged"),
    "throttling": (board.throttling, "a board that slows down sees fewer frames"),
    "temperature": (board.temperature, "boards slow down from 80 °C on"),
    "governor": (board.governor, "powersave holds the cores at their lowest clock"),
    "memory": (board.memory, "Linux kills the service where there is none left"),
    "memory limit": (board.memory_limit, "without it MemoryMax= of a unit means nothing"),
    "file system": (card.errors, "a damaged or read-only card keeps nothing any more"),
    "card wear": (card.wear, "a worn card loses data"),
    "room": (card.room, "an update needs room beside what runs"),
    "service": (service.service, "it is what sees, after each boot"),
    "failed starts": (service.starts, "after five in a row it waits in safe mode"),
    "health": (service.health, "frames that come out and messages that arrive are the purpose"),
    "release": (service.install, "what first boot or an update left undone"),
}


def look(host: Host, *, limit_s: float = LIMIT_S) -> dict[str, Finding]:
    """Make every check, all at once; one that does not come back within the limit is left alone."""
    found: dict[str, Finding] = {}
    ends_s = time.monotonic() + limit_s

    def make(name: str) -> None:
        found[name] = _made(CHECKS[name][0], host)

    threads = [threading.Thread(target=make, args=(name,), daemon=True) for name in CHECKS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, ends_s - time.monotonic()))
    late = warning(f"no answer in {limit_s:g} s", "see what hangs: dmesg | tail -n 30")
    return {name: found.get(name, late) for name in CHECKS}


def _made(check: Check, host: Host) -> Finding:
    try:
        return check(host)
    except PermissionError as error:
        return absent(f"this user may not read {error.filename}; {AS_ROOT}")
    except EdgeError as error:
        said, _, mend = str(error).rpartition("; ")
        return wrong(said or mend, mend)
    except ImportError as error:
        return wrong(f"cannot import {error.name}", "as packages says")
    except (OSError, ValueError) as error:
        return warning(f"could not be looked at: {error}", AS_ROOT)
