"""Installing: an environment, a release that passed its self-test, the switch, the start."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from importlib.resources import files as resources
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from boards import detect
from boards.device import environments, files, releases, system, updates
from boards.device.place import CREDENTIALS, SERVICE, read_json, run
from boards.device.signatures import MANIFEST
from edge.errors import BoardError

if TYPE_CHECKING:
    from boards.device.bundle import Bundle
    from boards.device.place import Place

CHECK_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class Given:
    """What was asked for beside a bundle.

    Attributes:
        config: A configuration in the place of the bundle's.
        model: A model in the place of the bundle's.
        is_own: The environment is that of the program that runs.
        is_asked: The service asked for it; its request is taken away last.
        allow_older: It may have been made before what runs.
    """

    config: Path | None = None
    model: Path | None = None
    is_own: bool = False
    is_asked: bool = False
    allow_older: bool = False


NOTHING = Given()
# The keys of a profile that tell a board, and their defaults; each is a line of JSON, too.
TELLING: dict[str, Any] = {"compatible": [], "soc": [], "match": "", "machine": ""}


def install(place: Place, bundle: Bundle, given: Given = NOTHING) -> str:
    """Install a bundle, or update to it; the caller holds the lock.

    Returns:
        Name of the release that runs.

    Raises:
        BoardError: It was refused, and nothing has changed; or it was taken back, and why.
    """
    place.need_root()
    updates.resume(place)
    releases.clean(place)
    was_whole = environments.is_whole((place.current / "venv").resolve())
    try:
        name = releases.finish(_staged(place, bundle, given))
    except Exception:
        releases.clean(place)  # a full disk is given back what was half-written
        if releases.running(place.current):
            releases.prune(place)  # and the environment that only what was refused needs
        raise
    before = releases.running(place.current)
    if name == before:
        place.say(f"{releases.version(place, name)} is installed already")
        system.prepare(place, name)
        system.adopt(place)
        system.reload(place)
        if not was_whole and (said := system.restart(place)):
            raise BoardError(f"its environment was made anew, but it could not be started: {said}")
        return name
    updates.switch(place, name, is_asked=given.is_asked)
    return name


def uninstall(place: Place, *, purge: bool = False) -> None:
    """Take everything away but the configuration, its secrets, and what the service has kept.

    A card's bundle stays on its boot partition, and what keeps it from being installed again.

    Args:
        place: From where.
        purge: Those too.
    """
    place.need_root()
    was_there = place.opt.exists()
    done, unit = place.state / system.FIRSTBOOT_DONE, place.root / system.FIRSTBOOT
    with files.locked(place.lock):
        if is_from_card := done.exists() or unit.exists():
            files.write(done, b"")
            place.say(f"to install what lies on the card again, delete {place.own(done)}")
        system.stop(place)
        config = place.current / releases.CONFIG
        if config.is_file() and not purge:
            files.write(place.etc / releases.CONFIG, config.read_bytes())
        system.unlink_others(place, "")
        commands = [place.root / "usr/local/bin" / command for command in environments.COMMANDS]
        for each in (*filter(Path.is_symlink, commands), *unit.parent.glob(f"*.wants/{unit.name}")):
            files.delete(each)
        files.delete(unit)
        place.run_live("systemctl", "daemon-reload")
        files.delete(place.current)
        for folder in [place.opt, *([place.etc, place.service_state] if purge else [])]:
            files.discard(folder)
    if purge and is_from_card:
        for each in place.state.iterdir():
            if each != done:
                files.discard(each)
    elif purge:
        files.discard(place.state)
    etc, state = place.own(place.etc), place.own(place.service_state)
    kept = "" if purge else f"; {etc} and {state} stay (--purge takes them too)"
    place.say(f"edge-vision is off this board{kept}" if was_there else "found nothing to take off")


def plan(place: Place, bundle: Bundle, given: Given = NOTHING) -> list[str]:
    """Return what `install` would do, a sentence each; nothing is changed."""
    check(place, bundle, given)
    wheels = bundle.below("wheels")
    before = releases.version(place, releases.running(place.current))
    root = [path for path in bundle.below("root") if path.startswith("root/")]
    said = [f"release {bundle.name} for {bundle.fields['profile']} in {place.opt}; now: {before}"]
    said += (
        [f"environment of {len(wheels)} wheels for Python {environments.PYTHON}"] if wheels else []
    )
    said += [f"/{path.removeprefix('root/')} -> {place.opt}/current/{path}" for path in root]
    return [*said, f"{place.current} is switched, and {SERVICE} started"]


def check(place: Place, bundle: Bundle, given: Given) -> None:
    """Refuse a bundle for another machine, Python or board, or one that is older than what runs.

    Raises:
        BoardError: It is. What was signed once is signed for ever, and may be sent again by others.
    """
    environments.fit(bundle)
    check_board(place, bundle)
    made = bundle.fields["created_utc"]
    runs = str(read_json(place.current / MANIFEST).get("created_utc", ""))
    if made < runs and not given.allow_older:
        raise BoardError(
            f"expected a bundle that is newer than what runs, of {runs}, found one of {made}; add "
            "--allow-older, or run the release before again: edge update --rollback"
        )


def check_board(place: Place, bundle: Bundle) -> None:
    """Refuse a bundle that was made for another board than this one.

    Raises:
        BoardError: Its device tree says so.
    """
    wanted = bundle.fields["profile"]
    compatible = detect.strings(place.root / detect.COMPATIBLE)
    known = _known()
    generic = [each.name for each in known if not each.compatible]
    found, reason = detect.choose(compatible, known)  # type: ignore[arg-type] # of a profile
    if found and found.compatible and found.name != wanted and wanted not in generic:
        raise BoardError(
            f"the bundle is for {wanted}, this board is a {found.name}, as {reason}; make one for "
            f"it: edge-board bundle {found.name}"
        )


def _staged(place: Place, bundle: Bundle, given: Given) -> Path:
    check(place, bundle, given)
    place.say(f"checks the {len(bundle.files)} files of {bundle.name}")
    bundle.verify()
    place.need_room(2 * sum(size for size, _ in bundle.files.values()))
    if bundle.below("wheels"):
        environment = environments.from_bundle(place, bundle)
    elif given.is_own:
        environment = environments.from_installed(place)
    else:
        environment = _environment(place)
    new = releases.draft(place, bundle, environment, config=given.config)
    if given.model:
        releases.take_model(new, given.model)
    runs = place.opt / "releases" / releases.running(place.current)
    if given.is_own and files.stamp(runs) == new.digest():
        return runs  # its list was made now, and is another each time
    staged = releases.stage(place, bundle, new)
    _selftest(place, staged)
    return staged


def _environment(place: Place) -> str:
    """Return the name of the environment that is kept."""
    kept = (place.current / "venv").resolve()
    if not environments.is_whole(kept):
        raise BoardError(
            "the bundle has no wheels, and there is no environment for Python "
            f"{environments.PYTHON} to keep; install a bundle with wheels"
        )
    return kept.name


def _selftest(place: Place, staged: Path) -> None:
    """Have the new release check its configuration, and load and invoke its model, once.

    The credentials of the unit are there only while it runs: their files stand in for them.
    """
    if staged.suffix != files.SCRATCH:
        return  # it has passed, or it would not have its name
    place.say("self-test: reads the configuration, loads and invokes the model")
    config, state = staged / "selftest.toml", staged / "selftest"
    text = (staged / releases.CONFIG).read_bytes()
    secrets = os.fsencode(place.etc / "secrets") + b"/"
    files.write_new(config, text.replace(CREDENTIALS.encode(), secrets))
    python = str(staged / "venv/bin/python")
    said = run(python, "-m", "boards.device", "--help") or run(
        python, "-m", "edge", "check", str(config),
        env={"STATE_DIRECTORY": str(state)}, timeout_s=CHECK_TIMEOUT_S,
    )  # fmt: skip
    files.delete(config)
    files.discard(state)
    if said:
        said = said.replace(str(staged), "NEW")
        raise BoardError(f"the new release fails its self-test, and nothing has changed: {said}")


def _known() -> list[SimpleNamespace]:
    """Return of each profile what tells its board; Python 3.10 reads no TOML by itself."""
    found = []
    for path in (resources("boards") / "profiles").iterdir():
        lines = (line.partition(" = ") for line in path.read_text(encoding="utf-8").splitlines())
        told = {key: json.loads(text) for key, _, text in lines if key in TELLING}
        found.append(SimpleNamespace(name=path.name.removesuffix(".toml"), **TELLING | told))
    return found
