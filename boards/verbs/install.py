"""The verbs `edge install` and `edge uninstall`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.errors import BoardError
from edge.terminal.command import add_verb

if TYPE_CHECKING:
    import argparse

    from boards.device.place import Place


def add(verbs: Any) -> None:  # noqa: ANN401
    """Add the verbs to a command."""
    parser = add_verb(
        verbs, "install", "Install the service on this board, or update it.", run=run,
        examples=[
            "sudo edge install --config porch.toml",
            "sudo edge install --from /media/usb/bundle --dry-run",
        ],
    )  # fmt: skip
    parser.add_argument(
        "--profile", default="auto", metavar="NAME",
        help="as `edge-board list` prints it (default: auto, by the device tree)",
    )  # fmt: skip
    parser.add_argument("--config", type=Path, metavar="FILE", help="a TOML file")
    parser.add_argument("--model", type=Path, metavar="FILE", help="a model of edge-convert")
    parser.add_argument(
        "--from", dest="bundle", type=Path, metavar="BUNDLE",
        help="what `edge-board bundle` made (default: a copy of this program's own packages)",
    )  # fmt: skip
    parser = _with_root(parser)
    parser.add_argument("--dry-run", action="store_true", help="say what would be done")
    parser = add_verb(
        verbs, "uninstall", "Take the service off this board.", run=uninstall,
        examples=["sudo edge uninstall", "sudo edge uninstall --purge"],
    )  # fmt: skip
    _with_root(parser).add_argument(
        "--purge", action="store_true", help="take configuration, secrets and saved state as well"
    )


def run(arguments: argparse.Namespace) -> None:
    """Install a bundle, or what this program and its profiles are themselves."""
    import tempfile  # noqa: PLC0415 - `edge --help` needs none of these

    from boards.device.__main__ import install_from  # noqa: PLC0415
    from boards.device.files import told  # noqa: PLC0415
    from boards.device.install import Given  # noqa: PLC0415
    from boards.device.place import Place  # noqa: PLC0415

    place = Place(arguments.root.resolve())
    place.need_root()
    with told():
        if arguments.bundle:
            given = Given(config=arguments.config, model=arguments.model)
            install_from(place, arguments.bundle, given, is_dry=arguments.dry_run)
            return
        with tempfile.TemporaryDirectory() as folder:
            bundle = _own_bundle(place, arguments, Path(folder) / "bundle")
            install_from(place, bundle, Given(is_own=True), is_dry=arguments.dry_run)


def _own_bundle(place: Place, arguments: argparse.Namespace, out: Path) -> Path:
    """Make a bundle without wheels: of the profile, and of the configuration given or kept."""
    from boards import bundle, profile  # noqa: PLC0415
    from boards.detect import detect  # noqa: PLC0415

    if arguments.profile == "auto":
        board = detect(place.root, profile.load_all())
        if board.profile is None:
            raise BoardError(f"expected a board that a profile fits: {board.reason}")
        place.say(f"profile: {board.name}, as {board.reason}")
        chosen = board.profile
    else:
        chosen = profile.load(arguments.profile)
    kept = place.etc / "device.toml"
    config = arguments.config or (kept.resolve() if kept.exists() else None)
    wanted = bundle.Wanted(out, config=config, model=arguments.model, has_wheels=False)
    return bundle.make(chosen, wanted).out


def uninstall(arguments: argparse.Namespace) -> None:
    """Take everything away but what was configured."""
    from boards.device import install  # noqa: PLC0415
    from boards.device.files import told  # noqa: PLC0415
    from boards.device.place import Place  # noqa: PLC0415

    with told():
        install.uninstall(Place(arguments.root.resolve()), purge=arguments.purge)


def _with_root(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument(
        "--root", type=Path, default=Path("/"), metavar="DIR", help="a folder in place of /"
    )
    return parser
