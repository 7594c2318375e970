"""Releases: each a folder that never changes; which one runs is a symbolic link."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from boards.device import configuration, files
from boards.device.files import STAMP, stamp
from boards.device.place import read_json
from boards.device.signatures import MANIFEST
from edge.errors import BoardError

if TYPE_CHECKING:
    from pathlib import Path

    from boards.device.bundle import Bundle
    from boards.device.place import Place

CONFIG = "device.toml"
MODELS = (".tflite", ".onnx", ".hef", ".engine")


@dataclass(slots=True)
class Draft:
    """What a release will hold.

    Attributes:
        environment: Name of its own.
        files: Path to what is to stand there: bytes, or a file and its sha256, empty if unknown.
    """

    environment: str
    files: dict[str, bytes | tuple[Path, str]]

    def text(self) -> str:
        """Return its configuration."""
        found = self.files.get(CONFIG, b"")
        data = found if isinstance(found, bytes) else found[0].read_bytes()
        return data.decode(errors="surrogateescape")

    def digest(self) -> str:
        """Return a digest of all of it."""
        lines = [self.environment]
        for path, content in sorted(self.files.items()):
            data = [content] if isinstance(content, bytes) else files.chunks(content[0])
            known = sha256()
            for chunk in data:
                known.update(chunk)
            lines.append(f"{path} {known.hexdigest()}")
        return sha256("\n".join(lines).encode()).hexdigest()


def draft(place: Place, bundle: Bundle, environment: str, *, config: Path | None = None) -> Draft:
    """Return what a bundle makes of the release that runs: what it does not bring stays.

    Args:
        place: The board.
        bundle: What it brings.
        environment: Name of its own.
        config: Goes before the bundle's; so does one that somebody put in place of the link.
    """
    new = Draft(environment, {})
    brought = {name: (bundle.folder / name, digest) for name, (_, digest) in bundle.files.items()}
    before = _held(place.current)
    for part in ("root/", "model/", CONFIG):
        own = {path: each for path, each in brought.items() if path.startswith(part)}
        new.files |= own or {path: each for path, each in before.items() if path.startswith(part)}
    brings_model = any(path.startswith("model/") for path in brought)
    if CONFIG in brought and not brings_model and not configuration.names_model(new.text()):
        new.files = {path: at for path, at in new.files.items() if not path.startswith("model/")}
    if brings_model and CONFIG not in brought:
        _use(new, [path for path in brought if path.startswith("model/")])
    theirs = place.etc / CONFIG
    if config:
        new.files[CONFIG] = config.read_bytes()
    elif files.is_file(theirs):
        new.files[CONFIG] = theirs.read_bytes()
        place.say(f"{place.own(theirs)} is a file of its own: it is the configuration from now on")
    if CONFIG not in new.files:
        raise BoardError(
            f"expected a configuration, found none in the bundle or at {place.own(theirs)}; name "
            "one: --config FILE"
        )
    return new


def take_model(new: Draft, model: Path) -> None:
    """Take a model, and name it in the configuration."""
    new.files = {path: at for path, at in new.files.items() if not path.startswith("model/")}
    new.files[f"model/{model.name}"] = (model, "")
    _use(new, [f"model/{model.name}"])


def stage(place: Place, bundle: Bundle, new: Draft) -> Path:
    """Write a release beside the others, forced to the disk, still under a name that none uses.

    Returns:
        Its folder: `finish` gives it its name.
    """
    digest = new.digest()
    name = bundle.id
    if (known := stamp(place.opt / "releases" / name)) and known != digest:
        name = f"{bundle.id}-{digest[:6]}"  # the same bundle, over another base
    folder = place.opt / "releases" / name
    if stamp(folder) == digest:
        return folder
    scratch = folder.with_name(name + files.SCRATCH)
    files.discard(folder)
    files.discard(scratch)
    for path, content in new.files.items():
        data = (
            content if isinstance(content, bytes) else files.chunks(content[0], expected=content[1])
        )
        mode = 0o755 if path.startswith("root/") and _is_script(content) else 0o644
        files.write_new(scratch / path, data, mode)
    manifest = (bundle.folder / MANIFEST).read_bytes()
    files.write_new(scratch / MANIFEST, manifest)
    files.point(scratch / "venv", f"../../venvs/{new.environment}")
    files.write_new(scratch / STAMP, digest.encode())
    files.sync_tree(scratch)
    files.sync(folder.parent)
    return scratch


def finish(staged: Path) -> str:
    """Give a staged release its name, and return that."""
    if staged.suffix != files.SCRATCH:
        return staged.name
    files.rename(staged, staged.with_suffix(""))
    return staged.with_suffix("").name


def running(link: Path) -> str:
    """Return the name of the release that a link points to; empty where that is none."""
    try:
        name = link.readlink().name
    except OSError:
        return ""
    return name if stamp(link.parent / "releases" / name) else ""


def version(place: Place, name: str) -> str:
    """Return the version and name of a release, for people."""
    fields = read_json(place.opt / "releases" / name / MANIFEST)
    return f"{fields.get('version', '?')} ({name})" if name else "none"


def switch(link: Path, name: str) -> None:
    """Let `current` or `previous` name a release; an empty name takes the link away."""
    if name:
        files.point(link, f"releases/{name}")
    else:
        files.delete(link)


def prune(place: Place) -> None:
    """Delete what is half-made, and what neither `current` nor `previous` needs."""
    kept = {running(place.current), running(place.previous)}
    folder = place.opt / "releases"
    for each in sorted(folder.glob("*")):
        if each.name not in kept:
            files.discard(each)
    needed = {(each / "venv").readlink().name for each in folder.glob("*")}
    for each in sorted((place.opt / "venvs").glob("*")):
        if each.name not in needed:
            files.discard(each)


def clean(place: Place) -> None:
    """Delete what is half-made."""
    files.delete(place.opt / f"download{files.SCRATCH}")
    for each in sorted(place.opt.glob("releases/*")):
        if not stamp(each) or each.suffix == files.SCRATCH:
            files.discard(each)
    for each in sorted(place.opt.glob("venvs/*")):
        if not stamp(each) or each.suffix == files.SCRATCH:
            files.discard(each)


def _use(new: Draft, model: list[str]) -> None:
    named = sorted(path for path in model if path.endswith(MODELS))
    if not named:
        raise BoardError(f"expected a model of {', '.join(MODELS)} in model/, found {model}")
    about = sorted(path for path in model if path.endswith(".toml"))
    keys = {"file": named[0], "description": about[0] if about else ""}
    text = configuration.with_keys(new.text(), "model", keys)
    new.files[CONFIG] = text.encode(errors="surrogateescape")


def _held(link: Path) -> dict[str, tuple[Path, str]]:
    """Return the files of the release that a link points to."""
    folder = link.parent / "releases" / running(link)
    if not running(link):
        return {}
    found = [*folder.glob("root/**/*"), *folder.glob("model/**/*"), folder / CONFIG]
    return {str(path.relative_to(folder)): (path, "") for path in found if path.is_file()}


def _is_script(content: bytes | tuple[Path, str]) -> bool:
    data = content[:2] if isinstance(content, bytes) else next(files.chunks(content[0]), b"")[:2]
    return data == b"#!"
