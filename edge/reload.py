"""From the configuration that holds to another one, while frames run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.app import DRAIN_S
from edge.model import delegates
from edge.parts import decoder_thresholds

if TYPE_CHECKING:
    from pathlib import Path

    from edge.config.sections import Config, Model
    from edge.parts import Parts
    from edge.swap import ModelSwap

# What holds until the next start: section, key (empty for all of it), and why.
FIXED = (
    ("device", "name", "it is a level of every topic"),
    ("model", "threads", "the cores are divided at the start"),
    ("model", "workers", "the cores are divided at the start"),
    ("model", "delegate", "its device is opened at the start"),
    ("web", "", "it begins with a run"),
)
# Sections that begin with a run, and then follow what changes in them.
BEGINNING = ("homeassistant",)


def follow(parts: Parts, wanted: Config, swap: ModelSwap, *, anew: bool = False) -> str:
    """Take over what may change while frames run; return what has changed, and what can't.

    Args:
        parts: What runs.
        wanted: What is to hold.
        swap: Puts another model in.
        anew: The model's file may be another one under the same name.

    Raises:
        EdgeError: It does not fit; nothing has changed.
    """
    holds = parts.config
    wanted, fixed = _without_fixed(holds, wanted)
    news = _news(holds, wanted)
    faults: list[str] = []
    if _model(holds) != _model(wanted) or (anew and swap.differs(wanted)):
        news.append(swap.to(wanted))
    else:
        decoder_thresholds(wanted, parts.model.description)
    if holds.cameras != wanted.cameras:
        cameras, faults = parts.cameras.follow(wanted.cameras)
        wanted = wanted.replace(cameras=cameras)
    if parts.sinks and holds.sinks != wanted.sinks:
        faults += parts.sinks.follow(wanted.sinks, timeout_s=DRAIN_S)
    if news:
        parts.behave(wanted)
    said = [f"new: {', '.join(news)}" if news else "nothing has changed", *faults, *fixed]
    return "; ".join(said)


def _model(config: Config) -> tuple[object, ...]:
    """Return what makes a model another one, or has it look otherwise."""
    return config.model.file, config.model.description, config.regions


def _without_fixed(holds: Config, wanted: Config) -> tuple[Config, list[str]]:
    """Return what may hold now, and a sentence for each thing that can't."""
    said = []
    fixed = list(FIXED)
    if _model(holds) != _model(wanted) and delegates.parse(holds.model.delegate).kind.is_one_device:
        fixed += [("model", key, "one device runs one model") for key in ("file", "description")]
    for section in BEGINNING:
        ours, theirs = (getattr(each, section, None) for each in (holds, wanted))
        if (ours is None) != (theirs is None):
            fixed.append((section, "", "it begins with a run"))
    for section, key, why in fixed:
        ours, theirs = getattr(holds, section), getattr(wanted, section)
        old, new = (getattr(each, key) if key else each for each in (ours, theirs))
        if old != new:
            said.append(f"restart for [{section}] {key}: {why}".replace(" :", ":"))
            wanted = wanted.replace(**{section: theirs.replace(**{key: old}) if key else ours})
    return wanted, said


def _news(holds: Config, wanted: Config) -> list[str]:
    """Return what differs, in a few words each."""
    news = []
    for name, written in zip(holds.__struct_fields__, holds.__struct_encode_fields__, strict=True):
        ours, theirs = getattr(holds, name), getattr(wanted, name)
        if ours == theirs:
            continue
        if name == "model":
            pairs = ((key, getattr(theirs, key), getattr(ours, key)) for key in _keys(ours))
            words = (
                (key, "its default" if new is None else new)
                for key, new, old in pairs
                if new != old
            )
            news += [f"{key} = {new}" for key, new in words]
        elif name == "cameras":
            old, new = ({each.name: each for each in cameras} for cameras in (ours, theirs))
            news += [f"camera {each}" for each in old | new if old.get(each) != new.get(each)]
        else:
            news.append(f"[{written}]")
    return news


def _keys(record: Model) -> tuple[str, ...]:
    return record.__struct_fields__


class FileWatch:
    """Notices that a file is another one, once it has been the same for two looks."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = self._last = self._look()

    def has_changed(self) -> bool:
        """Whether it has; said once."""
        last, self._last = self._last, self._look()
        if self._last != last or self._last in (None, self._known):
            return False
        self._known = self._last
        return True

    def _look(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:  # an editor writes it anew
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
