"""A board profile: what one kind of board is, and what the runtime should expect of it."""

from __future__ import annotations

from importlib.resources import files
from typing import Annotated, Literal

from msgspec import Meta

from edge.config import toml
from edge.errors import ConfigError
from edge.record import PositiveInt, Record, Unsound, read

PROFILES = files("boards") / "profiles"

Text = Annotated[str, Meta(min_length=1)]
Count = Annotated[int, Meta(ge=0)]


class Profile(Record, frozen=True, kw_only=True):
    """One kind of board.

    Attributes:
        name: The name that people type; the file's.
        title: The maker's name for it.
        compatible: Device-tree strings that name this board.
        match: `exact` compares the first string of the board's device tree; `contains` looks for
            each of `compatible` inside all of them, since a Jetson's depends on its carrier board.
        soc: Device-tree strings of the chip, for boards that no profile names; each chip stands in
            one profile only, the most modest that fits.
        cores: CPU cores, of the largest variant; 0 where any number is possible.
        core: The cores' design.
        ram_mib: Of each variant that is sold; none where any size is possible.
        machine: As `uname -m` prints it.
        page_kib: Memory pages of its kernel: native libraries must be aligned to that.
        system: The operating system this was written for.
        carrier: How files reach a blank board: the FAT partition of a `card`, NVIDIA's folder
            `Linux_for_Tegra` (`l4t`), or `none` where only a running system is installed on.
        cmdline: What the kernel must be told, beside what it is told already.
        python: Python versions of that system, newest first.
        glibc: The oldest of its releases: wheels for it and for older ones install.
        runtime: The package that invokes models there.
        threads: Default number of threads of an invoke; 0 leaves one core to the rest.
        max_workers: Most interpreters that are worth it.
        max_input_px: Longest side of a model's input that the board is quick enough for.
        memory_percent: Of the board's memory, what the service may take before it is ended.
        camera: Source of a configuration that names none.
        cameras: Kinds of live source that work there, as `edge run --source` names them.
        delegates: What may run models, the quickest first, as `[model] delegate` names it.
        thermal_zone: Type of the zone that is the processor's, under /sys/class/thermal.
        throttling: Who tells that the board slows itself down: `vcgencmd`, or `none`.
        power: Commands that set the board to its full clock.
        unsupported: Why edge-vision does not run there; empty where it does.
        notes: What a user should know, a sentence each.
        sources: Where these facts come from, to the fields that do.
    """

    name: Text
    title: Text
    compatible: tuple[Text, ...] = ()
    match: Literal["exact", "contains"]
    soc: tuple[Text, ...] = ()
    cores: Count
    core: Text
    ram_mib: tuple[PositiveInt, ...] = ()
    machine: Literal["aarch64", "x86_64"]
    page_kib: Literal[4, 16, 64]
    system: Text
    carrier: Literal["card", "l4t", "none"]
    cmdline: tuple[Text, ...] = ()
    python: tuple[Annotated[str, Meta(pattern=r"^3\.\d+$")], ...]
    glibc: Annotated[str, Meta(pattern=r"^2\.\d+$")]
    runtime: Literal["ai-edge-litert", "tflite-runtime", "none"]
    threads: Count
    max_workers: PositiveInt
    max_input_px: PositiveInt
    memory_percent: Annotated[int, Meta(ge=10, le=90)]
    camera: Text
    cameras: tuple[Text, ...] = ()
    delegates: tuple[Text, ...]
    thermal_zone: Text
    throttling: Literal["vcgencmd", "none"]
    power: tuple[Text, ...] = ()
    unsupported: str = ""
    notes: tuple[Text, ...] = ()
    sources: dict[str, tuple[Text, ...]]


def names() -> tuple[str, ...]:
    """Return the names of all profiles, sorted."""
    found = (entry.name for entry in PROFILES.iterdir())
    return tuple(sorted(name[: -len(".toml")] for name in found if name.endswith(".toml")))


def load(name: str) -> Profile:
    """Return the profile of this name.

    Raises:
        ConfigError: There is none, or its file has faults.
    """
    if name not in names():
        raise ConfigError(
            f"expected the name of a board profile, found {name!r}; known are: {', '.join(names())}"
        )
    return parse(name, (PROFILES / f"{name}.toml").read_text(encoding="utf-8"))


def load_all() -> tuple[Profile, ...]:
    """Return every profile, sorted by name."""
    return tuple(load(name) for name in names())


def parse(name: str, text: str) -> Profile:
    """Return the profile that this TOML text describes.

    Raises:
        ConfigError: All faults of the text, a line each.
    """
    try:
        return read(Profile, {"name": name} | toml.loads(text))
    except toml.DecodeError as error:
        raise ConfigError(f"{name}.toml: not TOML: {error}") from error
    except Unsound as error:
        faults = (f"{name}.toml: {fault}" for fault in error.faults)
        raise ConfigError("\n".join(faults)) from error
