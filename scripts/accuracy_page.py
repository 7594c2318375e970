"""The tables of `scripts/accuracy_table` and the page that holds them."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accuracy_entries import ENTRIES

from edge.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

MIB = 2**20
MAX_PEAK_MIB = 2048
NO_VALUE = "—"


def tables(results: dict[str, dict[str, Any]]) -> str:
    """Return the Markdown tables of name to result."""
    losses = [row for name, result in results.items() for row in _accuracy_rows(name, result)]
    costs = [_cost_row(name, result) for name, result in results.items()]
    ways = [_way_row(name, result) for name, result in results.items()]
    parts = [
        _table(
            ["model", "judged on", "metric", "float32", "int8", "difference [95 %]",
             "distance", "gate"], losses,
        ),
        _table(
            ["model", "file, MiB", "float ops inside", "invoke float32, ms", "int8, ms",
             "ratio (goal)", "CPU, s", "peak memory, MiB", "same bytes twice"], costs,
        ),
        _table(["model", "calibration", "what was done"], ways),
    ]  # fmt: skip
    return "\n\n".join(parts)


def page(path: Path, results: dict[str, dict[str, Any]]) -> None:
    """Write the tables into the page, between its markers.

    Raises:
        ConfigError: There is no such page, or it has no markers.
    """
    parts = [tables(results), _circumstances(results), _commands(results)]
    write_between(path, "\n\n".join(parts), script="accuracy_table")


def write_between(path: Path, text: str, *, script: str) -> None:
    """Write the text between a script's markers on a page.

    Raises:
        ConfigError: There is no such page, or it has no markers.
    """
    marks = [f"<!-- scripts/{script}: {place} -->" for place in ("begin", "end")]
    page_text = path.read_text("utf-8") if path.is_file() else ""
    before, begin, rest = page_text.partition(marks[0])
    _, end, after = rest.partition(marks[1])
    if not (begin and end):
        raise ConfigError(f"{path}: expected a page with the lines {' and '.join(marks)}")
    path.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", "utf-8")


def _accuracy_rows(name: str, result: dict[str, Any]) -> list[list[str]]:
    images = f"{result['images']} images"
    found = f"{result['distance']:.3f}, {result['limit']:.3f} allowed"
    gate = result["verdict"]
    rows = []
    for row in result["accuracy"]:
        low, high = row["interval"]
        change = f"{row['difference']:+.4f} [{low:+.4f}, {high:+.4f}]"
        values = [f"{row[key]:.4f}" for key in ("reference", "candidate")]
        rows.append([name, f"{row['dataset']}, {row['images']} images", row["metric"], *values,
                     change, found, gate])  # fmt: skip
        # Said once.
        name = found = gate = ""
    return rows or [[name, f"{images}, no labels", *[NO_VALUE] * 4, found, gate]]


def _cost_row(name: str, result: dict[str, Any]) -> list[str]:
    times = [result["latency"][key]["median_ms"] for key in ("float", "int8")]
    entry = ENTRIES[name]
    ratio = times[0] / times[1]
    sizes = [result[key] / MIB for key in ("reference_bytes", "candidate_bytes")]
    same = {True: "yes", False: "no", None: NO_VALUE}[result["is_same"]]
    return [
        name,
        f"{sizes[0]:.2f} → {sizes[1]:.2f}",
        f"{result['float_ops']} of {result['ops']}",
        *(f"{time_ms:.2f}" for time_ms in times),
        f"{ratio:.2f} ({'met' if ratio >= entry.goal else 'missed'}: {entry.goal} on {entry.kind})",
        f"{result['cpu_s']:.0f}",
        f"{result['peak_mib']:.0f} ({'met' if result['peak_mib'] <= MAX_PEAK_MIB else 'missed'})",
        same,
    ]


def _way_row(name: str, result: dict[str, Any]) -> list[str]:
    tried = len(result["attempts"])
    words = f"{result['recipe']}: {result['changes']}"
    if tried > 1:
        words += f" ({tried} ways tried)"
    if result["verdict"] != "passes":
        words += f"; **{result['verdict']}**: {'; '.join(result['reasons'])}"
    return [name, f"{result['calibration_images']} images, {result['calibrator']}", words]


def _circumstances(results: dict[str, dict[str, Any]]) -> str:
    tools = {key: value for row in results.values() for key, value in row["tools"].items()}
    dates = sorted({row["dated"] for row in results.values()})
    versions = ", ".join(f"{name} {version}" for name, version in sorted(tools.items()))
    return (
        f"Measured on {' and '.join(dates)}, on a machine with {os.cpu_count()} cores "
        f"({platform.machine()}, {_extensions()}), Python {platform.python_version()}, one "
        f"interpreter thread; {versions}."
    )


def _extensions() -> str:
    """Return which of the vector extensions that int8 kernels need the processor has."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return "processor unknown"
    flags = {word for line in lines if line.startswith("flags") for word in line.split()}
    wanted = {"avx2": "AVX2", "avx512f": "AVX-512", "avx512_vnni": "VNNI"}
    return ", ".join(text for flag, text in wanted.items() if flag in flags) or "no AVX2"


def _commands(results: dict[str, dict[str, Any]]) -> str:
    lines = [f"{row['command']} --json --no-report -o {name}.tflite"
             for name, row in results.items()]  # fmt: skip
    return "The commands, paths relative to the assets:\n\n```\n" + "\n".join(lines) + "\n```"


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
