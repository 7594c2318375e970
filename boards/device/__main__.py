"""`python -m boards.device`: what runs as root on a board, also before anything is installed."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from boards.device import bundle as bundles
from boards.device import download, files, firstboot, install, releases, requests, updates
from boards.device.place import Place, read_json
from boards.verbs.update import add_options
from edge.errors import EdgeError

FAILED = 1


def main(argv: list[str] | None = None) -> int:
    """Run a verb and return the exit status."""
    arguments = new_parser().parse_args(argv)
    place = Place(arguments.root.resolve())
    try:
        with files.told():
            arguments.verb(place, arguments)
    except EdgeError as error:
        sys.stderr.write(f"edge: {error}\n")
        return FAILED
    return 0


def new_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    parser = argparse.ArgumentParser(prog="boards.device", description=__doc__)
    parser.add_argument("--root", type=Path, default=Path("/"), help="a folder in place of /")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    one = verbs.add_parser("install", help="install a bundle, or update to it")
    one.add_argument("bundle", type=Path, help="a folder, or a .tar")
    one.add_argument("--config", type=Path, help="a configuration, in place of the bundle's")
    one.add_argument("--model", type=Path, help="a model, in place of the bundle's")
    one.add_argument("--dry-run", action="store_true", help="say what would be done")
    one.set_defaults(verb=_install)
    one = verbs.add_parser("uninstall", help="take everything away but what was configured")
    one.add_argument("--purge", action="store_true", help="that too")
    one.set_defaults(verb=lambda place, given: install.uninstall(place, purge=given.purge))
    one = verbs.add_parser("update", help="update from a bundle, a URL or the service's request")
    add_options(one)
    one.set_defaults(verb=update)
    one = verbs.add_parser("firstboot", help="install the bundle of a card, once")
    one.add_argument("folder", type=Path, help="the bundle's, on the boot partition")
    one.set_defaults(verb=lambda place, given: firstboot.firstboot(place, given.folder.absolute()))
    one = verbs.add_parser("status", help="name the release that runs, and the one before")
    one.set_defaults(verb=_status)
    return parser


def _install(place: Place, arguments: argparse.Namespace) -> None:
    given = install.Given(config=arguments.config, model=arguments.model)
    install_from(place, arguments.bundle, given, is_dry=arguments.dry_run)


def install_from(place: Place, path: Path, given: install.Given, *, is_dry: bool = False) -> None:
    """Install a bundle that lies somewhere, or say what that would do."""
    place.need_root()
    with files.locked(place.lock), bundles.opened(place, path) as bundle:
        if is_dry:
            for line in install.plan(place, bundle):
                place.say(f"would do: {line}")
        else:
            install.install(place, bundle, given)


def update(place: Place, arguments: argparse.Namespace) -> None:
    """Update as the arguments say."""
    place.need_root()
    if arguments.request:
        requests.answer(place)
    elif arguments.rollback:
        with files.locked(place.lock):
            updates.back(place)
    elif arguments.bundle.startswith(download.SCHEMES):
        with (
            files.locked(place.lock),
            download.fetched(place, arguments.bundle, digest=arguments.sha256) as path,
            bundles.opened(place, path) as bundle,
        ):
            install.install(place, bundle)
    else:
        install_from(place, Path(arguments.bundle), install.NOTHING)


def _status(place: Place, _: argparse.Namespace) -> None:
    for name, link in (("current", place.current), ("previous", place.previous)):
        place.say(f"{name}: {releases.version(place, releases.running(link))}")
    for name, value in read_json(place.state / updates.RESULT).items():
        place.say(f"{name}: {value}")


if __name__ == "__main__":
    sys.exit(main())
