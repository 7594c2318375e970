"""The verb `edge doctor`."""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.errors import ConfigError, EdgeError
from edge.terminal.command import DONE, FAILED, add_verb

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from edge.config.sections import Config
    from edge.doctor.host import Finding

# Where an installed board has its own, the release's before a link to it that a folder would lose.
CONFIGS = ("opt/edge/current/device.toml", "etc/edge/device.toml")
COLORS = {"ok": "32", "warning": "33", "wrong": "31", "not applicable": "2"}
NAME_WIDTH, STATE_WIDTH = 17, 8


def add(verbs: Any) -> None:  # noqa: ANN401
    """Add the verb to a command."""
    parser = add_verb(
        verbs,
        "doctor",
        "Look for what is missing or wrong on this board, and say what mends it.",
        run=run,
        examples=["sudo edge doctor", "edge doctor door.toml --json"],
    )
    parser.add_argument(
        "config", metavar="CONFIG", nargs="?", type=Path,
        help="a TOML file (default: /etc/edge/device.toml, where there is one)",
    )  # fmt: skip
    parser.add_argument(
        "--root", type=Path, default=Path("/"), metavar="DIR",
        help="look at the files of the system in DIR, and ask no program",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON, for machines")


def run(arguments: argparse.Namespace) -> int:
    """Print what each check found; the status is 1 where something is wrong."""
    from edge.doctor.checkup import CHECKS, look  # noqa: PLC0415 - `edge --help` needs none of it
    from edge.doctor.host import Host  # noqa: PLC0415

    if not arguments.root.is_dir():
        raise ConfigError(f"{arguments.root}: expected the root folder of a system, found none")
    root = arguments.root.resolve()
    config, faults = _config(root, arguments.config)
    host = Host(root, config, faults, path=None if root == Path("/") else "")
    found = look(host)
    if arguments.json:
        rows = [
            {"check": name, **asdict(finding), "why": CHECKS[name][1]}
            for name, finding in found.items()
        ]
        print(json.dumps({"checks": rows}, indent=1, ensure_ascii=False))
    else:
        print("\n".join(_lines(found, {name: why for name, (_, why) in CHECKS.items()})))
    return FAILED if any(finding.state == "wrong" for finding in found.values()) else DONE


def _config(root: Path, given: Path | None) -> tuple[Config | None, Callable[[], list[str]]]:
    """Return the configuration, as far as it is right, and what tells what is wrong with it."""
    paths = [given] if given else [root / name for name in CONFIGS]
    path = next((path for path in paths if path.exists()), given)
    if path is None:
        return None, list
    try:
        from edge.config import reading  # noqa: PLC0415 - without msgspec that is a finding
        from edge.doctor.broker import with_secret  # noqa: PLC0415
    except ImportError as error:
        said = f"{path}: not read, as {error.name} cannot be imported"
        return None, lambda: [said]
    try:
        config = reading.load(path, {})
    except EdgeError as error:
        faults = str(error).splitlines()
        return reading.load_sound_part(path), lambda: faults
    if config.mqtt and config.mqtt.password_file:
        config = config.replace(mqtt=with_secret(config.mqtt, root))
    return config, partial(_faults, config, is_live=root == Path("/"))


def _faults(config: Config, *, is_live: bool) -> list[str]:
    """Return what is wrong with a sound configuration on this system; of another nobody knows."""
    from edge.verbs.check import examine_around  # noqa: PLC0415

    return examine_around(config) if is_live else []


def _lines(found: dict[str, Finding], reasons: dict[str, str]) -> list[str]:
    """Return a line for each check, with why and what mends it below what is not right."""
    width = max(60, shutil.get_terminal_size((100, 24)).columns)
    margin = " " * (STATE_WIDTH + NAME_WIDTH)
    lines = []
    for name, finding in found.items():
        if finding.state == "not applicable":
            continue
        head = f"{finding.state:{STATE_WIDTH}}{name:{NAME_WIDTH}}"
        rows = textwrap.wrap(finding.found, width - len(margin))
        lines.append(f"{_colored(finding.state, head)}{rows[0] if rows else ''}")
        # Whole, as a command that is broken into lines could not be copied.
        more = [reasons[name], f"mend: {finding.mend}"] if finding.mend else []
        lines += [f"{margin}{row}" for row in [*rows[1:], *more]]
    absent = [name for name, finding in found.items() if finding.state == "not applicable"]
    if absent:
        lines += textwrap.wrap(f"not applicable: {', '.join(absent)}", width)
    return lines


def _colored(state: str, text: str) -> str:
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    return f"\033[{COLORS[state]}m{text}\033[0m"
