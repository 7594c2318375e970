"""Whether a release works: frames came out of it, and its broker took messages."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from boards.device.place import read_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from boards.device.place import Place

# Counted from READY on.
LIMIT_S, LOOK_EVERY_S = 60.0, 1.0
# So long it must have gone well; the service writes every 5 s.
GOOD_S = 10.0


def wait(
    place: Place,
    name: str,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> str:
    """Watch the service until it has proved good; return why it has not, in a sentence.

    Args:
        place: The board.
        name: Of the release that must be the one that runs.
        clock: Monotonic, seconds.
        sleep: Waits between two looks.
    """
    until_s, first = clock() + LIMIT_S, dict[str, Any]()
    while True:
        seen = _seen(place)
        if seen.get("release") == name:
            if not first or _of(seen, "since_start_s") < _of(first, "since_start_s"):
                first = seen  # it was started anew: from the beginning
            if _is_good(first, seen):
                return ""
        if clock() >= until_s:
            return _fault(first, seen, name)
        sleep(LOOK_EVERY_S)


def release(place: Place) -> str:
    """Return which release the service says it is; empty where it has said nothing yet."""
    return str(_seen(place).get("release", ""))


def _seen(place: Place) -> dict[str, Any]:
    return read_json(place.root / "run/edge/health.json")


def _is_good(first: dict[str, Any], seen: dict[str, Any]) -> bool:
    lasted_s = _of(seen, "since_start_s") - _of(first, "since_start_s")
    has_frames = _of(seen, "frames") > _of(first, "frames")
    return lasted_s >= GOOD_S and has_frames and _is_taken(seen)


def _is_taken(seen: dict[str, Any]) -> bool:
    """Return whether the broker takes what there is to be told; with no broker it is well."""
    connected = seen.get("broker") == "connected"
    taken = _of(seen, "acknowledged") > 0 or _of(seen, "published") == 0
    return seen.get("broker") is None or (connected and taken)


def _fault(first: dict[str, Any], seen: dict[str, Any], name: str) -> str:
    within = f"within {LIMIT_S:g} s of its start"
    if seen.get("release") != name:
        return f"the service said nothing of itself {within}"
    if _of(seen, "frames") <= _of(first, "frames"):
        return f"no camera gave a frame {within}"
    if seen.get("broker") != "connected" and seen.get("broker") is not None:
        return f"the broker could not be reached {within}"
    if not _is_taken(seen):
        return f"the broker took no message {within}"
    return f"it did not last {GOOD_S:g} s {within}"


def _of(seen: dict[str, Any], key: str) -> float:
    value = seen.get(key)
    return float(value) if isinstance(value, (int, float)) else 0.0
