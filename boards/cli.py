"""The `edge-board` command: which boards there are, and the files that each of them needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boards import bundle, carried, render
from boards import profile as profiles
from boards.detect import Board, detect
from boards.flash import cli as flashing
from edge.terminal.command import add_verb, new_parser, run

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from boards.profile import Profile

LABEL_WIDTH = 12
# What people call a profile's fields, and what the zeros among them.
ANY = {"cores": "any number", "threads": "one core is left to the rest"}
NAMES = {
    "core": "CPU", "ram_mib": "memory, MiB", "page_kib": "pages, KiB", "max_input_px": "input, px",
    "max_workers": "workers", "memory_percent": "memory, %", "thermal_zone": "heat",
}  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit status."""
    return run(new_command(), argv)


def new_command() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = new_parser(
        "edge-board", "Say which boards there are, and make the files that each of them needs."
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    listing = add_verb(
        verbs, "list", "List the board profiles.", run=_list, examples=["edge-board list"]
    )
    show = add_verb(
        verbs, "show", "Show one board profile.", run=_show, examples=["edge-board show pi5"]
    )
    show.add_argument("name", metavar="NAME", help="as `edge-board list` prints it")
    look = add_verb(
        verbs, "detect", "Tell from the device tree which board this is.", run=_detect,
        examples=["edge-board detect", "edge-board detect --root /mnt/card"],
    )  # fmt: skip
    look.add_argument(
        "--root", type=Path, default=Path("/"), metavar="DIR", help="look at the system in DIR"
    )
    writing = add_verb(
        verbs, "render", "Write the configuration, units and settings of the system for a board.",
        run=_render,
        examples=["edge-board render pi5 --out pi5", "edge-board render pi5 --out p --config C"],
    )  # fmt: skip
    packing = add_verb(
        verbs, "bundle", "Make a folder that installs or updates a board without a network.",
        run=_bundle,
        examples=["edge-board bundle pi5 --out pi5", "edge-board bundle pi5 --out p --model-only"],
    )  # fmt: skip
    for verb in (writing, packing):
        verb.add_argument("name", metavar="PROFILE", help="as `edge-board list` prints it")
        for option, metavar, text in (
            ("--out", "DIR", "a folder, new or empty"),
            ("--config", "FILE", "a TOML file (default: one of the profile's)"),
            ("--model", "FILE", "instead of the one that the configuration names"),
        ):
            is_out = option == "--out"
            verb.add_argument(option, type=Path, metavar=metavar, help=text, required=is_out)
    bundle.add_options(packing)
    for verb in (listing, show, look, writing, packing):
        verb.add_argument("--json", action="store_true", help="print JSON, for machines")
    flashing.add(verbs)
    return parser


def _render(arguments: argparse.Namespace) -> None:
    profile = profiles.load(arguments.name)
    found = render.render(profile, carried.carry(profile, arguments.config, arguments.model))
    render.write(arguments.out, found)
    if arguments.json:
        _print_json({"out": str(arguments.out), "files": sorted(found)})
    else:
        print("\n".join(str(arguments.out / place) for place in sorted(found)))


def _bundle(arguments: argparse.Namespace) -> None:
    made = bundle.make(profiles.load(arguments.name), bundle.wanted(arguments))
    if arguments.json:
        _print_json(made.fields())
    else:
        _print_rows(made.rows())


def _list(arguments: argparse.Namespace) -> None:
    found = profiles.load_all()
    if arguments.json:
        _print_json([profile.plain() for profile in found])
        return
    for profile in found:
        remark = " (not supported)" if profile.unsupported else ""
        print(f"{profile.name:{LABEL_WIDTH}} {profile.title}{remark}")


def _show(arguments: argparse.Namespace) -> None:
    profile = profiles.load(arguments.name)
    if arguments.json:
        _print_json(profile.plain())
    else:
        _print_rows(_profile_rows(profile))


def _detect(arguments: argparse.Namespace) -> None:
    board = detect(arguments.root, profiles.load_all())
    if arguments.json:
        _print_json(_board_fields(board))
    else:
        profile, ram = board.profile, board.ram_mib
        rows = [("board", board.name), ("because", board.reason)]
        rows += [("model", board.model or "unknown"), ("cores", str(board.cores))]
        rows += [("memory", f"{ram} MiB" if ram is not None else "unknown")]
        if profile:
            rows += [("threads", str(profile.threads or max(1, board.cores - 1)))]
        if profile and profile.unsupported:
            rows += [("unsupported", profile.unsupported)]
        _print_rows(rows)


def _profile_rows(profile: Profile) -> list[tuple[str, str]]:
    rows = []
    for key, value in profile.plain().items():
        if key == "sources":
            rows += [("source", f"{source}: {', '.join(facts)}") for source, facts in value.items()]
        elif key in ("notes", "power"):
            rows += [(key.removesuffix("s"), line) for line in value]
        elif value or key in ANY:
            text = ", ".join(map(str, value)) if isinstance(value, list) else value
            rows.append((key, text or ANY[key]))
    return [(NAMES.get(label, label), str(text)) for label, text in rows]


def _board_fields(board: Board) -> dict[str, Any]:
    plain = board.profile.plain() if board.profile else None
    names = ("reason", "compatible", "model", "cores", "ram_mib")
    return {"board": board.name, **{name: getattr(board, name) for name in names}, "profile": plain}


def _print_rows(rows: list[tuple[str, str]]) -> None:
    for label, text in rows:
        print(f"{label:{LABEL_WIDTH}} {text}")


def _print_json(fields: Any) -> None:  # noqa: ANN401
    print(json.dumps(fields, indent=2, ensure_ascii=False))
