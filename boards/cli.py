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
        verbs,
        "detect",
        "Tell from the device tree which board this is.",
        run=_detect,
        examples=["edge-board detect", "edge-board detect --root /mnt/card"],
    )
    look.add_argument(
        "--root", type=Path, default=Path("/"), metavar="DIR", help="look at the system in DIR"
    )
    writing = add_verb(
        verbs,
        "render",
        "Write the configuration, the units and the settings of the system for a board.",
        run=_render,
        examples=["edge-board render pi5 --out pi5", "edge-board render pi5 --out p --config C"],
    )
    packing = add_verb(
        verbs,
        "bundle",
        "Make a folder that installs or updates a board without a network.",
        run=_bundle,
        examples=["edge-board bundle pi5 --out pi5", "edge-board bundle pi5 --out p --model-only"],
    )
    for verb in (writing, packing):
        _add_payload(verb)
    bundle.add_options(packing)
    for verb in (listing, show, look, writing, packing):
        verb.add_argument("--json", action="store_true", help="print JSON, for machines")
    flashing.add(verbs)
    return parser


def _add_payload(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="PROFILE", help="as `edge-board list` prints it")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="a folder, new or empty"
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="a TOML file (default: one of the profile's)"
    )
    parser.add_argument(
        "--model", type=Path, metavar="FILE", help="instead of the one that the configuration names"
    )


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
        _print_rows(_board_rows(board))


def _profile_rows(profile: Profile) -> list[tuple[str, str]]:
    rows = [
        ("name", profile.name),
        ("title", profile.title),
        ("CPU", f"{profile.cores or 'any number of'} x {profile.core}, {profile.machine}"),
        ("memory", " or ".join(map(str, profile.ram_mib)) + " MiB" if profile.ram_mib else "any"),
        ("pages", f"up to {profile.page_kib} KiB"),
        ("system", profile.system),
        ("Python", ", ".join(profile.python)),
        ("runtime", profile.runtime),
        ("delegates", ", ".join(profile.delegates)),
        ("threads", str(profile.threads or "one core is left to the rest")),
        ("limits", f"{profile.max_workers} workers, model inputs to {profile.max_input_px} px"),
        ("cameras", ", ".join(profile.cameras) or "none"),
        ("heat", f"zone {profile.thermal_zone}; throttling told by {profile.throttling}"),
        ("told by", ", ".join(profile.compatible) or "its machine, where no other profile fits"),
    ]
    rows += [("cmdline", " ".join(profile.cmdline))] if profile.cmdline else []
    rows += [("power", command) for command in profile.power]
    if profile.unsupported:
        rows.append(("unsupported", profile.unsupported))
    rows += [("note", note) for note in profile.notes]
    sources = ((source, ", ".join(facts)) for source, facts in profile.sources.items())
    return rows + [("source", f"{source}: {facts}") for source, facts in sources]


def _board_rows(board: Board) -> list[tuple[str, str]]:
    rows = [
        ("board", board.name),
        ("because", board.reason),
        ("model", board.model or "unknown"),
        ("cores", str(board.cores)),
        ("memory", f"{board.ram_mib} MiB" if board.ram_mib is not None else "unknown"),
    ]
    if board.profile:
        rows += [("threads", str(board.profile.threads or max(1, board.cores - 1)))]
    if board.profile and board.profile.unsupported:
        rows += [("unsupported", board.profile.unsupported)]
    return rows


def _board_fields(board: Board) -> dict[str, Any]:
    return {
        "board": board.name,
        "reason": board.reason,
        "compatible": list(board.compatible),
        "model": board.model,
        "cores": board.cores,
        "ram_mib": board.ram_mib,
        "profile": board.profile.plain() if board.profile else None,
    }


def _print_rows(rows: list[tuple[str, str]]) -> None:
    for label, text in rows:
        print(f"{label:{LABEL_WIDTH}} {text}")


def _print_json(fields: Any) -> None:  # noqa: ANN401
    print(json.dumps(fields, indent=2, ensure_ascii=False))
