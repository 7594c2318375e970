"""Updates over MQTT, and the power that goes: in a first boot, in an update, while running."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from boardtest import cuts
from boardtest.pi import copy, first_boot
from boardtest.steps import check, figure, run, say

if TYPE_CHECKING:
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
    card = copy(stock, "updated.img")
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


def power_cuts(it: Rig, counts: list[int], boots: int) -> None:
    """Cut the power while what was recorded went on; look at each card, boot some."""
    whole, times = 0, list[float]()
    for recording, count in zip(it.recordings, counts, strict=True):
        for number, at in enumerate(cuts.points(recording.log, recording.span, count, it.rng)):
            card = _cut(it, recording, at)
            whole += 1
            if number < boots:
                times.append(_boots(it, card, recording))
    figure("power cuts that left the old or the new whole", f"{whole} of {sum(counts)}")
    if times:
        took = f"{len(times)}, after {min(times):.0f} to {max(times):.0f} s"
        figure("of these booted, and back to detections", took)


def _cut(it: Rig, recording: Recording, at: int) -> Path:
    """Return the card that a cut leaves, after what is on it was held to what may be there."""
    card = it.work / "cut.img"
    lost = cuts.cut(recording.before, recording.log, card, at=at, rng=it.rng)
    with cuts.mounted(card) as root:
        left = cuts.state(root)
    where = f"{recording.what}, cut at request {at}, {lost} blocks lost"
    check(f"{where}: on the card", holds=left in recording.allowed, figure=left)
    return card


def _boots(it: Rig, card: Path, recording: Recording) -> float:
    """Power a cut card on; return how long detections took."""
    with it.board("virt", card) as machine:
        took_s = it.arrives(machine)
        machine.until("its release", lambda: _runs(machine) in recording.allowed - {"none"})
        say(f"        back after {took_s:.0f} s with {_runs(machine)}")
    return took_s


def _runs(machine: Machine) -> str:
    probes = machine.probes()
    return str(probes[-1].get("release", "")) if probes else ""
