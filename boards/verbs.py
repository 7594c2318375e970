"""Verbs of a board: `edge install`, `uninstall` and `update`, also of `python -m boards.device`."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.errors import BoardError
from edge.terminal.command import add_verb

if TYPE_CHECKING:
    from boards.device.install import Given
    from boards.device.place import Place


def add(verbs: Any) -> None:  # noqa: ANN401
    """Add the verbs to a command."""
    installing = add_verb(
        verbs, "install", "Install the service on this board, or update it.", run=_install,
        examples=[
            "sudo edge install --config porch.toml",
            "sudo edge install --from /media/usb/bundle --dry-run",
        ],
    )  # fmt: skip
    installing.add_argument(
        "--profile", default="auto", metavar="NAME",
        help="as `edge-board list` prints it (default: auto, by the device tree)",
    )  # fmt: skip
    installing.add_argument("--config", type=Path, metavar="FILE", help="a TOML file")
    installing.add_argument("--model", type=Path, metavar="FILE", help="a model of edge-convert")
    installing.add_argument(
        "--from", dest="bundle", type=Path, metavar="BUNDLE",
        help="what `edge-board bundle` made (default: a copy of this program's own packages)",
    )  # fmt: skip
    installing.add_argument("--dry-run", action="store_true", help="say what would be done")
    removing = add_verb(
        verbs, "uninstall", "Take the service off this board.", run=_uninstall,
        examples=["sudo edge uninstall", "sudo edge uninstall --purge"],
    )  # fmt: skip
    removing.add_argument(
        "--purge", action="store_true", help="take configuration, secrets and saved state as well"
    )
    updating = add_verb(
        verbs, "update", "Update this board; undone if it does not go well.", run=_update,
        examples=["sudo edge update http://fleet.local/porch.tar", "sudo edge update --rollback"],
    )  # fmt: skip
    what = updating.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "bundle", nargs="?", metavar="BUNDLE|URL", help="a folder, a .tar, or its URL"
    )
    what.add_argument("--rollback", action="store_true", help="run the release before again")
    what.add_argument(
        "--request", action="store_true", help="carry out what was asked for over MQTT"
    )
    updating.add_argument("--sha256", type=sha256_hex, metavar="HEX", help="of the URL's file")
    for verb in (installing, updating):
        verb.add_argument(
            "--allow-older", action="store_true", help="take a bundle made before what runs"
        )
    for verb in (installing, removing, updating):
        add_root(verb)


def add_root(parser: argparse.ArgumentParser) -> None:
    """Add the option that `place` reads."""
    parser.add_argument(
        "--root", type=Path, default=Path("/"), metavar="DIR", help="a folder in place of /"
    )


def sha256_hex(text: str) -> str:
    """Return an argument that must be a SHA-256; for argparse's `type`."""
    if not re.fullmatch("[0-9A-Fa-f]{64}", text):
        raise argparse.ArgumentTypeError(f"expected 64 hexadecimal digits, found {text!r}")
    return text


def place(arguments: argparse.Namespace) -> Place:
    """Return the board that is meant."""
    from boards.device.place import Place  # noqa: PLC0415 - `edge --help` needs none of these

    return Place(arguments.root.resolve())


def _install(arguments: argparse.Namespace) -> None:
    """Install a bundle, or what this program and its profiles are themselves."""
    import tempfile  # noqa: PLC0415

    from boards.device.files import told  # noqa: PLC0415
    from boards.device.install import Given  # noqa: PLC0415

    board = place(arguments)
    board.need_root()
    with told(), tempfile.TemporaryDirectory() as folder:
        if arguments.bundle:
            older = arguments.allow_older
            given = Given(arguments.config, arguments.model, allow_older=older)
            bundle = arguments.bundle
        else:
            given = Given(is_own=True, allow_older=True)
            bundle = _own_bundle(board, arguments, Path(folder) / "bundle")
        _install_from(board, bundle, given, is_dry=arguments.dry_run)


def _install_from(board: Place, path: Path, given: Given, *, is_dry: bool = False) -> None:
    from boards.device import bundle, files, install  # noqa: PLC0415

    with files.locked(board.lock), bundle.opened(board, path) as opened:
        if is_dry:
            for line in install.plan(board, opened, given):
                board.say(f"would do: {line}")
        else:
            install.install(board, opened, given)


def _own_bundle(board: Place, arguments: argparse.Namespace, out: Path) -> Path:
    """Make a bundle without wheels: of the profile, and of the configuration given or kept."""
    from boards import bundle, profile  # noqa: PLC0415
    from boards.detect import detect  # noqa: PLC0415

    if arguments.profile == "auto":
        found = detect(board.root, profile.load_all())
        if found.profile is None:
            raise BoardError(f"expected a board that a profile fits: {found.reason}")
        board.say(f"profile: {found.name}, as {found.reason}")
        chosen = found.profile
    else:
        chosen = profile.load(arguments.profile)
    kept = board.etc / "device.toml"
    config = arguments.config or (kept.resolve() if kept.exists() else None)
    wanted = bundle.Wanted(out, config=config, model=arguments.model, has_wheels=False)
    return bundle.make(chosen, wanted).out


def _uninstall(arguments: argparse.Namespace) -> None:
    from boards.device import files, install  # noqa: PLC0415

    with files.told():
        install.uninstall(place(arguments), purge=arguments.purge)


def _update(arguments: argparse.Namespace) -> None:
    from boards.device import download, files, requests, updates  # noqa: PLC0415
    from boards.device.install import Given  # noqa: PLC0415

    board, given = place(arguments), Given(allow_older=arguments.allow_older)
    board.need_root()
    with files.told():
        if arguments.request:
            requests.answer(board)
        elif arguments.rollback:
            with files.locked(board.lock):
                updates.back(board)
        elif "://" in arguments.bundle:
            with download.fetched(board, arguments.bundle, digest=arguments.sha256 or "") as path:
                _install_from(board, path, given)
        else:
            _install_from(board, Path(arguments.bundle), given)
