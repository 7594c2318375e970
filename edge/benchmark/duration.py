"""Durations as people type them: `60s`, `10m`, `1.5h`, `500ms`."""

from __future__ import annotations

import argparse
import re

UNITS_S = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
# A day: more is a slip of the finger.
MAX_S = 86400.0
PATTERN = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|h)", re.ASCII)


def parse(text: str) -> float:
    """Return the seconds of an argument; for argparse's `type`."""
    match = PATTERN.fullmatch(text.strip())
    duration_s = float(match[1]) * UNITS_S[match[2]] if match else 0.0
    if not 0 < duration_s <= MAX_S:
        raise argparse.ArgumentTypeError(
            f"expected a duration of up to a day such as 60s or 10m, found {text!r}"
        )
    return duration_s


def show(duration_s: float) -> str:
    """Return seconds as `parse` reads them, in the largest unit that keeps them whole."""
    for unit in ("h", "m", "s"):
        count = duration_s / UNITS_S[unit]
        if count >= 1 and count == int(count):
            return f"{int(count)}{unit}"
    if duration_s < 1:
        return f"{duration_s * 1e3:.3g}ms"
    return f"{duration_s:.2f}".rstrip("0").rstrip(".") + "s"
