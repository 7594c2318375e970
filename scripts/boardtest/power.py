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
    from boardtest.pi import Rig


def update(it: Rig, machine: Machine, name: str, *, ends: str) -> float:
    """Order an update over MQTT and wait for what it says at its end; return when that was."""
    it.arrives(machine)
    digest = run("sha256sum", it.bundles / f"{name}.tar").split()[0]
    order = {"url": f"http://10.0.2.100/{name}.tar", "sha256": digest, "id": name}
    began = time.monotonic()
    it.messages.send("edge/wall/command/update", json.dumps(order))

    def is_over() -> bool:
        return any(ends in body.decode() for _, _, body in it.messages.since(began, "/install"))

    machine.until(f"an update that says {ends}", is_over)
    figure(f"{name} update over MQTT: {ends} after, s", round(time.monotonic() - began, 1))
    return began


def updates(it: Rig, installed: Path) -> None:
    """A good update is kept, and a bad one is taken back."""
    card = copy(installed, "updated.img")
    with it.board("virt", card) as machine:
        update(it, machine, "good", ends="done")
        update(it, machine, "bad", ends="rolled back")
        it.arrives(machine, since=time.monotonic())
    with cuts.mounted(card) as root:
        check("the good one runs again", holds=cuts.state(root) == it.release("good"))


def power_cuts(it: Rig, stock: Path, counts: list[int]) -> None:
    """Cut the power in a first boot, in an update and while running."""
    first, good = it.release("pi3"), it.release("good")
    log, used, installed = (it.work / name for name in ("writes", "used.img", "installed.img"))
    first_boot(it, "virt", copy(stock, used.name), writes=log)
    last = len(cuts.read_log(log))
    points = sorted(it.rng.sample(range(1, last), counts[0]))
    times = [comes_back(it, stock, log, at=at, allowed={"none", first}) for at in points]
    cuts.cut(stock, log, installed, at=last, rng=it.rng)
    with it.board("virt", copy(installed, used.name), writes=log) as machine:
        it.arrives(machine)
        begin = len(cuts.read_log(log))
        update(it, machine, "good", ends="done")
    points = sorted(it.rng.sample(range(begin, len(cuts.read_log(log))), counts[1]))
    times += [comes_back(it, installed, log, at=at, allowed={first, good}) for at in points]
    times += running(it, installed, log, counts[2])
    figure("power cuts, each followed by a boot to detections", f"{len(times)}: {counts}")
    figure("back to detections after a cut, s", f"{min(times):.0f} to {max(times):.0f}")


def running(it: Rig, installed: Path, log: Path, count: int) -> list[float]:
    """Cut the power a while after the first message, again and again: each boot follows a cut."""
    card, times = copy(installed, "cut.img"), []
    for number in range(count + 1):
        with it.board("virt", copy(card, "used.img"), writes=log) as machine:
            times.append(it.arrives(machine))
            time.sleep(it.rng.uniform(0, 10))
        lost = cuts.cut(card, log, it.work / "after.img", at=len(cuts.read_log(log)), rng=it.rng)
        (it.work / "after.img").replace(card)
        with cuts.mounted(card) as root:
            left = cuts.state(root)
        check(f"running, {number}: {lost} blocks lost", holds=left == it.release("pi3"))
        say(f"        detections {times[-1]:.0f} s after power on")
    return times[1:]


def comes_back(it: Rig, before: Path, log: Path, *, at: int, allowed: set[str]) -> float:
    """Cut the power at a request of a log, look at the card, boot it; return how long that took."""
    card = it.work / "cut.img"
    lost = cuts.cut(before, log, card, at=at, rng=it.rng)
    with cuts.mounted(card) as root:
        left = cuts.state(root)
    where = f"cut at request {at} of {len(cuts.read_log(log))}, {lost} blocks lost"
    check(f"{where}: on the card", holds=left in allowed, figure=left)
    with it.board("virt", card) as machine:
        took_s = it.arrives(machine)
        machine.until("its release", lambda: _runs(machine) in allowed - {"none"})
        say(f"        back after {took_s:.0f} s with {_runs(machine)}")
    return took_s


def _runs(machine: Machine) -> str:
    probes = machine.probes()
    return str(probes[-1].get("release", "")) if probes else ""
