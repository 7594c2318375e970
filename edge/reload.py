"""From the configuration that holds to another one, while frames run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge.app import DRAIN_S
from edge.errors import ConfigError
from edge.messages.envelope import Message
from edge.messages.snapshot import WHOLE_FRAME
from edge.model import delegates

if TYPE_CHECKING:
    from pathlib import Path

    from edge.config.sections import Config
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
    news = _news(parts, wanted)
    if _model(holds) != _model(wanted) or (anew and swap.differs(wanted)):
        news.append(swap.to(wanted))
    elif news:
        parts.behave(wanted)
    faults = parts.cameras.follow(wanted.cameras)
    if parts.sinks:
        faults += parts.sinks.follow(wanted.sinks, timeout_s=DRAIN_S)
    if wanted.tells_states and not holds.tells_states:
        fixed.append("restart for [output] stats_s: nobody could be told at the start")
    said = [f"new: {', '.join(news)}" if news else "nothing has changed", *faults, *fixed]
    return "; ".join(said)


def retract(parts: Parts) -> None:
    """Take back from the broker what it keeps, and nobody tells any more; call it now and then.

    Frames that were at hand when a camera or a section went may have told it once more.
    """
    config, publisher = parts.config, parts.publisher
    if publisher is None or parts.sinks is None:
        return
    names = [camera.name for camera in config.cameras]
    for name in [each for each in tuple(publisher.frames) if each not in names]:
        del publisher.frames[name]
    kinds = {
        "counts": config.tells_events,
        "health": config.selfcheck,
        "snapshot": config.snapshots,
    }
    for topic in parts.sinks.fanout.kept():
        camera, _, told = topic.removeprefix(f"edge/{config.device.name}/").partition("/")
        kind, _, label = told.partition("/")
        is_told = camera in names and (kinds.get(kind) or label == WHOLE_FRAME)
        if kind in kinds and not is_told:
            publisher.send(Message(topic, b"", retain=True, policy="state"))


def _model(config: Config) -> tuple[object, ...]:
    """Return what makes a model another one, or has it look otherwise."""
    return config.model.file, config.model.description, config.regions


def _without_fixed(holds: Config, wanted: Config) -> tuple[Config, list[str]]:
    """Return what may hold now, and a sentence for each thing that can't."""
    fixed = list(FIXED)
    if _model(holds) != _model(wanted) and delegates.parse(holds.model.delegate).kind.is_one_device:
        fixed += [("model", key, "one device runs one model") for key in ("file", "description")]
    for section in BEGINNING:
        if (getattr(holds, section) is None) != (getattr(wanted, section) is None):
            fixed.append((section, "", "it begins with a run"))
    said: list[str] = []
    kept: dict[str, dict[str, Any]] = {}
    for section, key, why in fixed:
        ours, theirs = (getattr(each, section) for each in (holds, wanted))
        if ours != theirs and (not key or getattr(ours, key) != getattr(theirs, key)):
            said.append(f"restart for [{section}]{' ' * bool(key)}{key}: {why}")
            kept.setdefault(section, {})[key] = getattr(ours, key) if key else ours
    try:
        changes = {
            section: keys[""] if "" in keys else getattr(wanted, section).replace(**keys)
            for section, keys in kept.items()
        }
        return wanted.replace(**changes), said
    except ValueError as error:
        raise ConfigError(f"{'; '.join(said)}; until then: {error}") from error


def _news(parts: Parts, wanted: Config) -> list[str]:
    """Return what differs, in a few words each."""
    holds = parts.config
    old, new = (
        {each.name: each for each in some} for some in (parts.cameras.opened, wanted.cameras)
    )
    news = [f"camera {each}" for each in old | new if old.get(each) != new.get(each)]
    for name, written in zip(holds.__struct_fields__, holds.__struct_encode_fields__, strict=True):
        ours, theirs = getattr(holds, name), getattr(wanted, name)
        if name == "model":
            news += [
                f"{key} = {'its default' if value is None else value}"
                for key in ours.__struct_fields__
                if (value := getattr(theirs, key)) != getattr(ours, key)
            ]
        elif ours != theirs and name != "cameras":
            news.append(f"[{written}]")
    return news


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
        # Of its status too: a file that could not be read may be readable now.
        return found.st_ctime_ns, found.st_size, found.st_ino
