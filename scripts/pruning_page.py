"""The tables of `scripts/pruning_table`."""

from __future__ import annotations

from typing import Any

COLUMNS = ("net", "way", "distance", "input", "int8, ms", "times as fast", "float32 ÷ int8",
           "GMACs", "MiB", "mAP50-95", "off whole int8", "off float32 [95 %]")  # fmt: skip
GIGA, POINTS = 1e9, 100


def tables(results: dict[str, dict[str, Any]]) -> str:
    """Return the Markdown table of name to result, and what making the models took."""
    lines = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    for name, result in results.items():
        first = result["rows"][0]
        lines.append(
            f"| {name} | whole, float32 | | {first['input']} | ({result['float_ms']:.2f}) | "
            f"| 1.00 | {first['macs'] / GIGA:.2f} | | {first['reference'] * POINTS:.1f} | | |"
        )
        lines += _rows(result)
    return "\n".join([*lines, "", *(_note(name, result) for name, result in results.items())])


def off(row: dict[str, Any], kind: str) -> str:
    """Return how far a value is off the whole float model, with the interval, in points."""
    low, high = (POINTS * edge for edge in row["interval"])
    return f"{POINTS * (row[kind] - row['reference']):+.1f} [{low:+.1f}, {high:+.1f}]"


def _rows(result: dict[str, Any]) -> list[str]:
    """Return a line a model, and where a lever does not reach a speed, how far it goes."""
    log = {row["asked"]: row for row in result["log"]}
    lines = {row["what"]: _line(row, log.get(row["what"], {}), result) for row in result["rows"]}
    lines |= {
        asked: f"| | {asked} | | | | {_short(row['refused'])} | | | | | | |"
        for asked, row in log.items() if "refused" in row
    }  # fmt: skip
    # As they were made; last what others cut.
    return [lines[key] for key in dict.fromkeys(["whole", *log, *lines])]


def _line(row: dict[str, Any], made: dict[str, Any], result: dict[str, Any]) -> str:
    distance = made.get("distance")
    return (
        f"| | {row['what']} | {'' if distance is None else f'{distance:.3f}'} | {row['input']} "
        f"| {row['ms']:.2f} | {row['speed']:.2f} | {result['float_ms'] / row['ms']:.2f} "
        f"| {row['macs'] / GIGA:.2f} | {row['mib']:.2f} | {row['value'] * POINTS:.1f} "
        f"| {POINTS * (row['value'] - row['from_whole']):+.1f} | {off(row, 'value')} |"
    )


def _short(refused: str) -> str:
    """Return what a lever reaches, or where that is not told, why it reaches nothing."""
    found = refused.partition("found ")[2] or refused
    return found.partition(";")[0].partition(":")[0]


def _note(name: str, result: dict[str, Any]) -> str:
    images = result["images"]
    took = [row for row in result["log"] if "cpu_s" in row]
    made = (
        f"{max(row['cpu_s'] for row in took):.0f} s of CPU at most for a speed, "
        f"{sum(row['cpu_s'] for row in took):.0f} s for all, "
        f"{max(row['peak_gib'] for row in took):.2f} GiB at most without the child that quantises; "
    ) if took else ""  # fmt: skip
    return (
        f"{name}: {made}{images['fitted and calibrated']} images served, {images['judged']} "
        "others judged."
    )
