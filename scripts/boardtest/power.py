"""Updates over MQTT, and the power that goes: in a first boot, in an update, while running."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from boardtest import cuts
from boardtest.pi import copy, first_boot, rig
from boardtest.steps import NAME, check, figure, run, say

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from pathlib import Path

    from boardtest.machine import Machine
    from boardtest.pi import Recording, Rig


def update(it: Rig, machine: Machine, name: str, *, ends: str) -> None:
    """Order an update over MQTT and wait for what it says at its end."""
    digest = run("sha256sum", it.bundles / f"{name}.tar").split()[0]
    order = {"url": f"http://10.0.2.100/{name}.tar", "sha256": digest, "id": name}
    began = time.monotonic()
    it.messages.send("edge/wall/command/update", json.dumps(order))

    def is_over() -> bool:
        return any(ends in body.decode() for _, _, body in it.messages.since(began, "/install"))

    machine.until(f"an update that says {ends}", is_over)
    figure(f"{name} update over MQTT: {ends} after, s", round(time.monotonic() - began, 1))


def updates(it: Rig, stock: Path) -> None:
    """A good update is kept, and a bad one is taken back; a first boot is recorded as well."""
    card = copy(stock, it.work / "updated.img")
    first, good, bad = (it.release(name) for name in ("pi3", "good", "bad"))
    with it.logged("virt", card) as machine:
        with it.recorded("a first boot", machine, {"none", first}):
            first_boot(it, machine)
        with it.recorded("an update", machine, {first, good, bad}):
            update(it, machine, "good", ends="done")
            update(it, machine, "bad", ends="rolled back")
            it.arrives(machine, since=time.monotonic())
    with cuts.mounted(card) as root:
        check("the good one runs again", holds=cuts.state(root) == good)


@dataclass
class Cuts:
    """Cards that power cuts left: what was seen of them, of each content once.

    Args:
        prepared: The image and the bundles, for a rig to each card.
        seed: Decides where the power is cut, and what is lost.
        boots: Boot so many cards of each recording, at most.
    """

    prepared: tuple[Path, Path]
    seed: int
    boots: int
    whole: int = field(default=0, init=False)
    times: list[float] = field(default_factory=list, init=False)
    # Of each recording, how many cards have the same content; the first ones are booted.
    _contents: dict[str, Counter[str]] = field(default_factory=dict, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def judge(self, recording: Recording, number: int, at: int) -> None:
        """Cut the power at a request; hold the card to what may be on it, and boot it."""
        NAME.set("cuts")
        # Of its own, so that cards are the same in whatever order they come.
        rng = random.Random(f"{self.seed} {recording.what} {number}")  # noqa: S311 - a test's
        with rig(f"cut-{recording.what.split()[-1]}-{number}", *self.prepared) as it:
            card = it.work / "cut.img"
            lost = cuts.cut(recording.before, recording.log, card, at=at, rng=rng)
            with cuts.mounted(card) as root:
                left, content = cuts.state(root), cuts.content(card, root)
            where = f"{recording.what}, cut at request {at}, {lost} blocks lost"
            check(f"{where}: on the card", holds=left in recording.allowed, figure=left)
            is_new = self._is_new(recording, content)
            if is_new:
                took_s = _boots(it, card, recording, where)
            with self._lock:
                self.whole += 1
                self.times += [took_s] if is_new else []

    @property
    def distinct(self) -> int:
        """How many cards were unlike the others of their recording."""
        return sum(map(len, self._contents.values()))

    @property
    def covered(self) -> int:
        """How many cards are one that was booted, or have the same content as one."""
        each = (list(counts.values())[: self.boots] for counts in self._contents.values())
        return sum(map(sum, each))

    def _is_new(self, recording: Recording, content: str) -> bool:
        """Return whether to boot a card: none with the same content was, and not yet as many."""
        with self._lock:
            seen = self._contents.setdefault(recording.what, Counter())
            is_new = content not in seen and len(seen) < self.boots
            seen[content] += 1
        return is_new


def power_cuts(them: Cuts, pool: Executor, recordings: list[Recording], counts: list[int]) -> None:
    """Cut the power while what was recorded went on; look at each card, boot those that differ."""
    jobs = []
    for recording, count in zip(recordings, counts, strict=True):
        rng = random.Random(f"{them.seed} {recording.what}")  # noqa: S311 - a test's
        for number, at in enumerate(cuts.points(recording.log, recording.span, count, rng)):
            jobs.append(pool.submit(them.judge, recording, number, at))
    faults = [fault for job in jobs if (fault := job.exception())]
    figure("power cuts that left the old or the new whole", f"{them.whole} of {sum(counts)}")
    figure("cards of these that differ", them.distinct)
    if faults:
        raise faults[0]
    if them.times:
        took = f"{len(them.times)}, after {min(them.times):.0f} to {max(them.times):.0f} s"
        figure("of these booted, and back to detections", took)
        figure("cards that these boots stand for", f"{them.covered} of {sum(counts)}")


def _boots(it: Rig, card: Path, recording: Recording, where: str) -> float:
    """Power a cut card on; return how long detections took."""
    with it.board("virt", card) as machine:
        took_s = it.arrives(machine)
        machine.until("its release", lambda: _runs(machine) in recording.allowed - {"none"})
        say(f"ok      {where}: back after {took_s:.0f} s with {_runs(machine)}")
    return took_s


def _runs(machine: Machine) -> str:
    probes = machine.probes()
    return str(probes[-1].get("release", "")) if probes else ""
