"""Python environments: made once for each list of wheels, in place, and stamped when whole."""

from __future__ import annotations

import platform
import shutil
import sys
import sysconfig
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from boards.device import files
from boards.device.place import run
from edge.errors import BoardError

if TYPE_CHECKING:
    from boards.device.bundle import Bundle
    from boards.device.place import Place

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
# 73 MB of wheels became 206 MB of files, and their byte code 60 more.
GROWTH = 4
# What a person types on a board, and the module that it is.
COMMANDS = {"edge": "edge.__main__", "edge-board": "boards.__main__"}
# The unit's ProtectHome.
HIDDEN = ("/home", "/root", "/run/user")
PIP = (
    "install", "--isolated", "--no-index", "--no-cache-dir", "--disable-pip-version-check",
    "--no-warn-script-location", "--root-user-action=ignore",
    # What the system has beside it may change with the next apt upgrade.
    "--ignore-installed",
)  # fmt: skip


def fit(bundle: Bundle) -> None:
    """Refuse what is not this machine's, or wheels that are not its Python's.

    Raises:
        BoardError: With what was expected.
    """
    wheels, machine = bundle.below("wheels"), bundle.fields["machine"]
    known = bundle.fields["python"]
    profile = bundle.fields["profile"]
    if machine not in {"any", platform.machine()}:
        raise BoardError(
            f"the bundle is for {machine} ({profile}), this machine is {platform.machine()}; make "
            "one for it with `edge-board bundle`"
        )
    if wheels and PYTHON not in known:
        raise BoardError(
            f"the bundle has wheels for Python {', '.join(known)}, this system has Python "
            f"{PYTHON}; make one for it: edge-board bundle {profile} --python {PYTHON}"
        )


def from_bundle(place: Place, bundle: Bundle) -> str:
    """Make the environment of a bundle's wheels, unless it is there; return its name."""
    wheels = bundle.below("wheels")
    name = _name([f"{path} {digest}" for path, digest in wheels.items()])
    folder = place.opt / "venvs" / name
    if is_whole(folder):
        return name
    place.need_room(GROWTH * sum(bundle.files[path][0] for path in wheels))
    own, pip = (_wheel(wheels, each) for each in ("edge_vision", "pip"))
    place.say(f"environment: installs {len(wheels)} wheels for Python {PYTHON}")
    _begin(place, folder)
    version = own.split("-")[1]
    source = bundle.folder / "wheels"
    said = run(
        str(folder / "bin/python"), str(source / pip / "pip"), *PIP,
        "--find-links", str(source), f"edge-vision=={version}",
    )  # fmt: skip
    if said:
        lacks = f"the wheels do not make an environment for Python {PYTHON}"
        if "No space left" in said:
            lacks = "the disk is full"
        raise BoardError(f"{bundle.folder}: {lacks}; pip says: {said}")
    _end(folder)
    return name


def from_installed(place: Place) -> str:
    """Make an environment of what the running Python has installed; return its name."""
    own = Path(sys.prefix).resolve()
    if own.parent == (place.opt / "venvs").resolve() and is_whole(own):
        return own.name
    site = Path(sysconfig.get_path("purelib"))
    if not list(site.glob("edge_vision-*.dist-info")) or not (site / "edge").is_dir():
        raise BoardError(
            f"expected edge-vision installed below {site}, found it elsewhere, as of a checkout; "
            "install a bundle: sudo edge install --from BUNDLE"
        )
    # A record has the digest of each file, for a package that changed under its version.
    found = [path for path in site.glob("*.dist-info/RECORD") if path.is_file()]
    name = _name([f"{each.parent.name} {sha256(each.read_bytes()).hexdigest()}" for each in found])
    folder = place.opt / "venvs" / name
    if is_whole(folder):
        return name
    place.need_room(sum(each.stat().st_size for each in site.rglob("*") if each.is_file()))
    place.say(f"environment: copies the {len(found)} packages of {site}")
    _begin(place, folder)
    new = folder / f"lib/python{PYTHON}/site-packages"
    shutil.copytree(site, new, symlinks=True, dirs_exist_ok=True)
    python = place.own(folder / "bin/python")
    for command, module in COMMANDS.items():
        text = f"#!{python}\nfrom {module} import main\n\nraise SystemExit(main())\n"
        files.write_new(folder / "bin" / command, text.encode(), 0o755)
    _end(folder)
    return name


def is_whole(folder: Path) -> bool:
    """Return whether an environment was finished, for the Python that this system has now."""
    return files.stamp(folder).strip() == PYTHON


def _begin(place: Place, folder: Path) -> None:
    hidden = next((each for each in HIDDEN if Path(sys.base_prefix).is_relative_to(each)), "")
    if hidden and place.root == Path("/"):
        raise BoardError(
            f"expected a Python of the system, found {sys.base_prefix}: the unit hides {hidden} "
            "from the service; make the environment anew: /usr/bin/python3 -m venv FOLDER"
        )
    files.discard(folder)
    files.make_folder(folder.parent)
    # Without pip, as Debian keeps ensurepip in a package of its own; picamera2 is the system's.
    options = ("--without-pip", "--system-site-packages", str(folder))
    if said := run(sys.executable, "-m", "venv", *options):
        raise BoardError(f"{folder}: no environment could be made: {said}")


def _end(folder: Path) -> None:
    files.sync_all(folder)
    files.write(folder / files.STAMP, f"{PYTHON}\n".encode())


def _name(lines: list[str]) -> str:
    return sha256("\n".join(sorted(lines)).encode()).hexdigest()[:12]


def _wheel(wheels: dict[str, str], package: str) -> str:
    found = [path.split("/")[1] for path in wheels if path.startswith(f"wheels/{package}-")]
    if not found:
        raise BoardError(
            f"expected a wheel of {package} in the bundle, found none; make the bundle again with "
            "`edge-board bundle`"
        )
    return found[0]
