"""What of a release the system must find: its files as links through `current`, its units enabled.

As they are links, one rename of `current` switches units and rules together with everything else.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from boards.device import environments, files, releases
from boards.device.place import SERVICE
from edge.errors import BoardError

if TYPE_CHECKING:
    from boards.device.place import Place

UNITS = "etc/systemd/system"
# The first of these is started and stopped; they are what a release may bring.
FIRSTBOOT = f"{UNITS}/edge-firstboot.service"  # lies on the card, and ends itself
FIRSTBOOT_DONE = "firstboot.done"
# Rendered for the boot partition, or the board's own from then on.
NOT_LINKED = ("boot/", "etc/edge/", FIRSTBOOT)
CONFIG_LINK = "../../opt/edge/current/device.toml"


def rendered(place: Place, name: str) -> list[str]:
    """Return the paths, below `/`, of the files that a release brings to the system."""
    root = place.opt / "releases" / name / "root"
    found = [str(path.relative_to(root)) for path in root.glob("**/*") if files.is_file(path)]
    return sorted(path for path in found if not path.startswith(NOT_LINKED))


def prepare(place: Place, name: str) -> None:
    """Link what a release brings, before it is `current`: what is new leads nowhere until then."""
    if said := _sysusers(place, name):
        raise BoardError(f"the user of the service could not be made: {said}")
    for path in rendered(place, name):
        _link(place, place.root / path, place.current / "root" / path)
        for target in _wanted_by(place, name, path):
            folder = place.root / UNITS / f"{target}.wants"
            files.make_folder(folder)
            files.point(folder / Path(path).name, f"../{Path(path).name}")
    own = place.opt / "releases" / name / "root/etc/edge"
    for each in sorted(own.glob("*")):
        files.make_folder(place.etc)
        files.write(place.etc / each.name, each.read_bytes())
    files.make_folder(place.etc / "secrets", 0o700)
    for command in environments.COMMANDS:
        link = place.root / "usr/local/bin" / command
        files.make_folder(link.parent)
        _link(place, link, place.current / "venv/bin" / command)


def adopt(place: Place) -> None:
    """Let `/etc/edge/device.toml` be the configuration of whichever release runs."""
    link = place.etc / releases.CONFIG
    files.make_folder(place.etc)
    if files.is_file(link):
        files.rename(link, link.with_suffix(".toml.before"))
    files.point(link, CONFIG_LINK)


def unlink_others(place: Place, name: str) -> None:
    """Take away the links of releases before that this one does not bring; all with no name."""
    kept = set(rendered(place, name)) if name else set()
    for folder in ("etc", "usr/lib", "usr/local/lib"):
        for path in filter(Path.is_symlink, _links(place.root / folder)):
            target = os.path.normpath(path.parent.resolve() / path.readlink())
            inside = Path(target).is_relative_to(place.opt.resolve() / "current/root")
            if inside and str(path.relative_to(place.root)) not in kept:
                for wants in (place.root / UNITS).glob(f"*.wants/{path.name}"):
                    files.delete(wants)
                files.delete(path)


def reload(place: Place) -> None:
    """Have the system read what was switched."""
    if said := place.run_live("systemctl", "daemon-reload"):
        raise BoardError(f"systemd could not read its units anew: {said}")
    name = releases.running(place.current)
    own = [str(place.root / path) for path in rendered(place, name)]
    for command in (
        ["udevadm", "control", "--reload"],
        ["udevadm", "trigger", "--action=change"],
        ["systemd-tmpfiles", "--create", *(path for path in own if "tmpfiles.d" in path)],
        *(["sysctl", "-q", "-p", path] for path in own if "sysctl.d" in path),
    ):
        if said := place.run_live(*command):
            place.say(f"{command[0]}: {said}; it is done at the next boot")


def restart(place: Place) -> str:
    """Start the service anew and wait until it is ready; return why it is not."""
    # The others wait for requests, and may be what runs this.
    for unit in _units(place):
        if unit.endswith((".path", ".timer")) and (
            said := place.run_live("systemctl", "start", unit)
        ):
            return said
    return place.run_live("systemctl", "restart", SERVICE)


def stop(place: Place) -> None:
    """Stop and forget all units."""
    for unit in (Path(FIRSTBOOT).name, *sorted(_units(place), reverse=True)):
        if said := place.run_live("systemctl", "stop", unit):
            place.say(f"{unit}: could not be stopped: {said}")


def _units(place: Place) -> list[str]:
    paths = rendered(place, releases.running(place.current))
    return [Path(path).name for path in paths if str(Path(path).parent) == UNITS]


def _sysusers(place: Place, name: str) -> str:
    root = place.opt / "releases" / name / "root"
    own = [str(root / path) for path in rendered(place, name) if "/sysusers.d/" in path]
    return place.run_live("systemd-sysusers", *own) if own else ""


def _wanted_by(place: Place, name: str, path: str) -> list[str]:
    if str(Path(path).parent) != UNITS:
        return []
    text = (place.opt / "releases" / name / "root" / path).read_text(encoding="utf-8")
    lines = [line.partition("=") for line in text.splitlines()]
    return [each for key, _, value in lines if key == "WantedBy" for each in value.split()]


def _link(place: Place, link: Path, target: Path) -> None:
    """Link relatively, so that it also holds below a root that is not `/`; what is there stays."""
    files.make_folder(link.parent)
    if files.is_file(link):
        aside = link.with_name(f"{link.name}.before")
        files.rename(link, aside)
        place.say(f"{place.own(link)} was there already: it is {aside.name} now")
    files.point(link, os.path.relpath(target, link.parent.resolve()))


def _links(folder: Path) -> list[Path]:
    found = []
    for path, folders, names in os.walk(folder):
        found += [
            Path(path) / name for name in [*names, *folders] if (Path(path) / name).is_symlink()
        ]
    return sorted(found)
