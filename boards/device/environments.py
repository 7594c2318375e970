"""Python environments: made once for each list of wheels, in place, and stamped when whole."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from boards.device import files, unpack
from boards.device.place import run
from edge.errors import BoardError

if TYPE_CHECKING:
    from boards.device.bundle import Bundle
    from boards.device.place import Place

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
# 73 MB of wheels became 206 MB of files, and their byte code 12 more.
GROWTH = 4
# What a person types on a board, and the module that it is.
COMMANDS = {"edge": "edge.__main__", "edge-board": "boards.__main__"}
# The unit's ProtectHome.
HIDDEN = ("/home", "/root", "/run/user")
# What is imported as the service runs; tests that packages bring are not.
NOT_COMPILED = r"/tests?/"
BYTECODE = "edge_vision_bytecode"


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
    wheels = _chosen(bundle)
    name = _name([f"{path} {digest}" for path, digest in wheels.items()])
    folder = place.opt / "venvs" / name
    if _is_there(folder):
        return name
    place.need_room(GROWTH * sum(bundle.files[path][0] for path in wheels))
    place.say(f"environment: unpacks {len(wheels)} wheels for Python {PYTHON}")
    _begin(place, folder)
    python = place.own(folder / "bin/python")
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # unpacking lets the GIL go
        done = [
            pool.submit(unpack.lay_out, bundle.folder / path, folder, python=python)
            for path in wheels
        ]
        for each in done:
            each.result()
    if not any(path.startswith(f"wheels/{BYTECODE}-") for path in wheels):
        _compile(place, folder)
    _end(folder)
    return name


def from_installed(place: Place) -> str:
    """Make an environment of what the running Python has installed; return its name."""
    own = Path(sys.prefix).resolve()
    if own.parent == (place.opt / "venvs").resolve() and _is_there(own):
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
    if _is_there(folder):
        return name
    place.need_room(sum(each.stat().st_size for each in site.rglob("*") if each.is_file()))
    place.say(f"environment: copies the {len(found)} packages of {site}")
    _begin(place, folder)
    new = folder / f"lib/python{PYTHON}/site-packages"
    shutil.copytree(site, new, symlinks=True, dirs_exist_ok=True)
    python = place.own(folder / "bin/python")
    for command, module in COMMANDS.items():
        program = folder / "bin" / command
        unpack.write_program(program, python=python, module=module, name="main")
    _end(folder)
    return name


def is_whole(folder: Path) -> bool:
    """Return whether an environment was finished, for the Python that this system has now.

    And has lost no file since, as it may on a worn card; older stamps do not count them.
    """
    python, _, count = files.stamp(folder).strip().partition(" ")
    return python == PYTHON and (count or "0").isdecimal() and _count(folder) >= int(count or 0)


def _is_there(folder: Path) -> bool:
    """Return whether an environment is there and whole.

    Raises:
        BoardError: It is not, and this program runs in it, which cannot make itself anew.
    """
    if is_whole(folder):
        return True
    if Path(sys.prefix).resolve() == folder.resolve():
        raise BoardError(
            f"{folder}: expected what runs to be whole, found files missing; install a bundle "
            "with wheels by its own program: sudo ./install.sh"
        )
    return False


def _count(folder: Path) -> int:
    """Return how many files an environment has, but for those that Python writes as it runs."""
    names = (name for _, _, found in os.walk(folder) for name in found)
    return sum(not name.endswith(".pyc") and name != files.STAMP for name in names)


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
    files.write(folder / files.STAMP, f"{PYTHON} {_count(folder)}\n".encode())


def _name(lines: list[str]) -> str:
    return sha256("\n".join(sorted(lines)).encode()).hexdigest()[:12]


def _chosen(bundle: Bundle) -> dict[str, str]:
    """Return the wheels of this Python, and their sha256."""
    wheels, of_python = bundle.below("wheels"), bundle.fields.get("wheels")
    chosen = of_python.get(PYTHON) if isinstance(of_python, dict) else None
    names = chosen if isinstance(chosen, list) else []
    found = {f"wheels/{name}": wheels.get(f"wheels/{name}", "") for name in names}
    if not all(found.values()) or not any("/edge_vision-" in path for path in found):
        raise BoardError(
            f"{bundle.folder}: expected edge_vision among the wheels of Python {PYTHON}, and "
            "all of them in the list, found none; make the bundle again with `edge-board bundle`"
        )
    return found


def _compile(place: Place, folder: Path) -> None:
    """Compile its modules: the service may not write there, and would do it at each start.

    Some packages bring files that no Python compiles: the self-test says what is needed.
    """
    place.say("environment: compiles its modules, which the bundle does not bring compiled")
    options = ("-q", "-j", "0", "-x", NOT_COMPILED, "--invalidation-mode", "unchecked-hash")
    run(str(folder / "bin/python"), "-m", "compileall", *options, str(folder / "lib"))
