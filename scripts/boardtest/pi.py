"""An emulated Raspberry Pi from a blank image file to detections at a broker; updates; power cuts."""

from __future__ import annotations

import json
import os
import random
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from boardtest import cuts, debian, host
from boardtest.debian import BOOT_AT_MIB
from boardtest.machine import Machine
from boardtest.steps import CACHE, ROOT, TestFailed, check, figure, made, run, say

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PASSWORD = "a secret of the test"  # noqa: S105 - of a broker on the loopback
CONFIG = """
[device]
name = "wall"
[camera]
name = "north"
source = "{source}"
[model]
threads = 2
{more}
[mqtt]
url = "mqtt://edge@10.0.2.100:{port}"
password_file = "/run/credentials/edge.service/mqtt"
commands = true
"""
# vivid, a driver of Linux that is a camera by all that V4L2 shows.
CAMERA = "v4l2:/dev/video0"
FIRST_S, SECOND_S, FLASH_S, INSTALLED_MIB, RSS_MIB = 300, 120, 60, 350, 120
STEADY_PROBES = 12
SOURCES = [ROOT / name for name in ("edge", "boards", "converter", "calibration", "pyproject.toml")]


def edge_board(*arguments: str | Path) -> str:
    """Run `edge-board` of this tree."""
    return run(sys.executable, "-m", "boards", *arguments, cwd=ROOT)


def bundles(folder: Path) -> None:
    """Make the bundles: what a card gets, a good update, and one whose broker is not there."""
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key")
    kinds = {"first": (1883, ""), "good": (1883, "score_threshold = 0.4"), "bad": (1884, "")}
    for name, (port, more) in kinds.items():
        config = folder / f"{name}.toml"
        config.write_text(CONFIG.format(source=CAMERA, more=more, port=port))
        wheels = ["--python", "3.13"] if name == "first" else ["--no-wheels"]
        edge_board(
            "bundle",
            "pi3",
            "--config",
            config,
            "--out",
            folder / name,
            "--sign",
            folder / "key",
            "--tar",
            *wheels,
        )
    key = (folder / "key.pub").read_text().split()
    (folder / "allowed_signers").write_text(
        f'edge-vision namespaces="edge-vision" {key[0]} {key[1]}\n'
    )


@dataclass
class Rig:
    """A broker and a web server, with relays to both, and the images that a test works on."""

    work: Path
    image: Path
    bundles: Path
    messages: host.Messages
    relays: dict[int, Path]
    rng: random.Random

    def board(self, kind: str, card: Path, **more: object) -> Machine:
        """Return a machine with this card, not yet powered."""
        return Machine(kind, card, self.work / f"{card.stem}-{kind}.log", self.relays, **more)  # type: ignore[arg-type]

    def arrives(
        self, machine: Machine, ending: str = "/detections", *, since: float = 0.0
    ) -> float:
        """Wait for a message of the board; return the seconds from its power on."""
        machine.until(
            f"a message on …{ending}", lambda: self.messages.since(since or machine.began, ending)
        )
        return self.messages.since(since or machine.began, ending)[0][0] - machine.began


@contextmanager
def rig(seed: int) -> Iterator[Rig]:
    """Make what does not change, and start what stands around a board."""
    kernels = made("kernels", ["linux 6.12, busybox", debian.MIRROR], debian.packages)
    inputs = [
        debian.PACKAGES,
        debian.MODULES,
        debian.ENABLED,
        debian.FILES,
        debian.HERE / "probe.sh",
    ]
    system = made("system", [kernels.name, *inputs], lambda folder: debian.system(folder, kernels))
    inputs = [system.name, debian.SEEDS, debian.HERE / "initrd_init.sh", debian.CARD_MIB]
    image = made("image", inputs, lambda folder: debian.image(folder, system / "root", kernels))
    bundled = made("bundles", [CONFIG, CAMERA, *SOURCES], bundles)
    work = CACHE / "work"
    work.mkdir(exist_ok=True)
    with host.broker(work, "edge", PASSWORD) as messages, host.served(bundled) as port:
        relays = {1883: host.relay(work, host.BROKER_PORT), 80: host.relay(work, port)}
        yield Rig(work, image / "card.img", bundled, messages, relays, random.Random(seed))  # noqa: S311 - a test's


def flash(it: Rig) -> Path:
    """Write the image to a blank file, as to a card, and time it beside a plain copy."""
    card, secret = it.work / "flashed.img", it.work / "mqtt-password"
    secret.write_text(PASSWORD)
    secret.chmod(0o600)
    card.write_bytes(b"")
    os.truncate(card, debian.CARD_MIB << 20)
    began = time.monotonic()
    edge_board("flash", "--profile", "pi3", "--image", it.image, "--to", card, "--bundle", it.bundles / "first",
               "--hostname", "wall", "--mqtt-password-file", secret, "--yes")  # fmt: skip
    took_s = time.monotonic() - began
    began = time.monotonic()
    run(
        "dd", f"if={it.image}", f"of={it.work / 'copied.img'}", "bs=4M", "conv=fsync", "status=none"
    )
    copying_s = time.monotonic() - began
    (it.work / "copied.img").unlink()
    figure("flashed and verified, s", round(took_s, 1))
    figure("a plain copy of that image, s", round(copying_s, 1))
    check(
        f"flashed in {FLASH_S} s plus copying",
        holds=took_s <= FLASH_S + copying_s,
        figure=f"{took_s:.0f} s",
    )
    run("mcopy", "-o", "-i", f"{card}@@{BOOT_AT_MIB}M", it.bundles / "allowed_signers", "::/edge/")
    return card


def first_boot(it: Rig, kind: str, card: Path, **more: object) -> float:
    """Power a flashed card on and wait for detections, and until the first boot says that it is over."""
    with it.board(kind, card, **more) as machine:
        took_s = it.arrives(machine)
        machine.until("the end of the first boot", lambda: _report(card).get("state") == "done")
        say(
            f"        {kind}: {next(line for line in machine.text().splitlines() if 'PROBE model' in line)}"
        )
    return took_s


def _report(card: Path) -> dict[str, str]:
    """Return what the first boot wrote on the boot partition."""
    try:
        text = run("mtype", "-i", f"{card}@@{BOOT_AT_MIB}M", "::/edge-firstboot.txt")
    except TestFailed:
        return {}
    return {"state": "done"} if "is over" in text else {"state": text[-300:]}


def boots(it: Rig, kind: str, stock: Path) -> Path:
    """Take a card through its first boot and a second one; return it."""
    card = cuts.copied(stock, f"{kind}.img")
    took_s = first_boot(it, kind, card)
    figure(f"{kind}: power on to first detections, first boot, s", round(took_s, 1))
    check(
        f"{kind}: first boot",
        holds=took_s <= FIRST_S or _is_loaded(),
        figure=f"{took_s:.0f} s of {FIRST_S}",
    )
    with cuts.mounted(card) as root:
        check(
            f"{kind}: what is installed is whole after the power cut",
            holds=cuts.state(root) != "none",
        )
        size = int(run("du", "-sm", root / "opt/edge").split()[0])
        figure("installed on the board, MiB", size)
        check(
            f"installed in {INSTALLED_MIB} MiB", holds=size <= INSTALLED_MIB, figure=f"{size} MiB"
        )
        secret = root / "etc/edge/secrets/mqtt"
        check("the password is root's alone", holds=secret.stat().st_mode & 0o777 == 0o600)  # noqa: PLR2004
    listed = run("mdir", "-b", "-/", "-i", f"{card}@@{BOOT_AT_MIB}M", "::/edge")
    check("and is off the boot partition", holds="secrets/mqtt" not in listed)
    second_boot(it, kind, card)
    return card


def second_boot(it: Rig, kind: str, card: Path) -> None:
    """Time a boot of an installed board, then watch it at work."""
    with it.board(kind, card) as machine:
        took_s = it.arrives(machine)
        figure(f"{kind}: power on to first detections, second boot, s", round(took_s, 1))
        check(
            f"{kind}: second boot",
            holds=took_s <= SECOND_S or _is_loaded(),
            figure=f"{took_s:.0f} s of {SECOND_S}",
        )
        _steady(machine)


def _steady(machine: Machine) -> None:
    """Wait until a minute has passed in which the card was left alone; count frames in it."""

    def quiet() -> list[dict[str, object]]:
        probes = [each for each in machine.probes() if each.get("health")][-STEADY_PROBES:]
        return (
            probes
            if len(probes) == STEADY_PROBES and probes[0]["written"] == probes[-1]["written"]
            else []
        )

    try:
        machine.until("a minute without a write", quiet, patience_s=machine.age_s + 600)
    except TestFailed:
        probes = [each for each in machine.probes() if each.get("health")]
        say(f"        sectors written: {[each['written'] for each in probes]}")
        raise
    probes = quiet() or machine.probes()[-STEADY_PROBES:]
    frames = [json.loads(json.dumps(each["health"]))["frames"] for each in probes]
    rss = max(float(str(each["rss"])) / 1024 for each in probes)
    figure(f"{machine.kind}: RSS of the service, MiB", round(rss, 1))
    figure(f"{machine.kind}: written to the card, bytes a frame", 0)
    figure(f"{machine.kind}: over frames", frames[-1] - frames[0])
    check("frames came out meanwhile", holds=frames[-1] > frames[0], figure=frames[-1] - frames[0])
    check(f"RSS within {RSS_MIB} MiB", holds=rss <= RSS_MIB, figure=f"{rss:.0f} MiB")


def _is_loaded() -> bool:
    """Return whether this machine has other work, so that times are told and not judged."""
    return os.getloadavg()[1] > 2 * (os.cpu_count() or 1)


def ask(it: Rig, machine: Machine, name: str) -> float:
    """Command an update over MQTT; return when."""
    digest = run("sha256sum", it.bundles / f"{name}.tar").split()[0]
    order = {"url": f"http://10.0.2.100/{name}.tar", "sha256": digest, "id": name}
    machine.until("the service", lambda: it.messages.since(machine.began, "/detections"))
    it.messages.send("edge/wall/command/update", json.dumps(order))
    return time.monotonic()


def updates(it: Rig, installed: Path) -> None:
    """A good update is kept, and a bad one is taken back, both ordered over MQTT."""
    card = cuts.copied(installed, "updated.img")
    with it.board("virt", card) as machine:
        for name, state in (("good", "done"), ("bad", "rolled back")):
            began = ask(it, machine, name)
            machine.until(
                f"{name}: {state}",
                lambda began=began, state=state: any(
                    state in payload.decode()
                    for _, _, payload in it.messages.since(began, "/update")
                ),
            )
            figure(f"update, {name}: {state} after, s", round(time.monotonic() - began, 1))
            it.arrives(machine, since=time.monotonic())
    with cuts.mounted(card) as root:
        check(
            "after the bad update the good one runs", holds=cuts.state(root) == release(it, "good")
        )


def release(it: Rig, name: str) -> str:
    """Return the name of a bundle's release on a board."""
    return run("sha256sum", it.bundles / name / "bundle.json")[:12]


def recorded(it: Rig, name: str, before: Path, *, order: str = "") -> tuple[int, int]:
    """Record what a first boot, or an update, writes; return the first and last request of its part."""
    log, card = it.work / f"{name}.writes", cuts.copied(before, f"{name}.img")
    first = 1
    if order:
        with it.board("virt", card, writes=log) as machine:
            began = ask(it, machine, order)
            first = len(cuts.read_log(log))
            machine.until("its end", lambda: any(
                b'"done"' in payload for _, _, payload in it.messages.since(began, "/update")))  # fmt: skip
            time.sleep(2)
    else:
        first_boot(it, "virt", card, writes=log)
    card.unlink()
    return first, len(cuts.read_log(log))


def cut_and_boot(
    it: Rig, name: str, before: Path, points: list[int], allowed: set[str]
) -> list[float]:
    """Cut the power at points of a recorded run; each time the board must come back to what is allowed."""
    times = []
    for number, at in enumerate(points):
        card = it.work / f"{name}-cut.img"
        lost = cuts.cut(before, it.work / f"{name}.writes", card, at=at, rng=it.rng)
        with cuts.mounted(card) as root:
            left = cuts.state(root)
        check(
            f"{name} cut {number + 1} of {len(points)}, at request {at}, {lost} blocks lost: on the card",
            holds=left in allowed,
            figure=left,
        )
        with it.board("virt", card) as machine:
            times.append(it.arrives(machine))
            machine.until("health", lambda machine=machine: _release(machine) in allowed - {"none"})
            say(f"        back after {times[-1]:.0f} s, with {_release(machine)}")
        card.unlink()
    return times


def _release(machine: Machine) -> str:
    probes = machine.probes()
    health = probes[-1].get("health") if probes else None
    return str(health.get("release")) if isinstance(health, dict) else ""


def power_cuts(it: Rig, stock: Path, counts: list[int]) -> Path:
    """Cut the power in a first boot, in an update and while running."""
    names = {name: release(it, name) for name in ("first", "good")}
    _, last = recorded(it, "first", stock)
    points = sorted(it.rng.sample(range(1, last), counts[0]))
    times = cut_and_boot(it, "first", stock, points, {"none", names["first"]})
    installed = it.work / "installed.img"
    cuts.cut(stock, it.work / "first.writes", installed, at=last, rng=it.rng)
    first, last = recorded(it, "update", installed, order="good")
    points = sorted(it.rng.sample(range(first, last), counts[1]))
    times += cut_and_boot(it, "update", installed, points, set(names.values()))
    times += cut_while_running(it, installed, counts[2])
    figure("power cuts, each followed by a boot to detections", len(times))
    figure("came back to old or new", len(times))
    figure("back after a cut, s (shortest, longest)", f"{min(times):.0f}, {max(times):.0f}")
    return installed


def cut_while_running(it: Rig, installed: Path, count: int) -> list[float]:
    """Cut the power again and again at a random time after the first message; each boot follows a cut."""
    card, log = cuts.copied(installed, "running.img"), it.work / "running.writes"
    times = []
    for number in range(count + 1):
        used = cuts.copied(card, "running-used.img")
        with it.board("virt", used, writes=log) as machine:
            took_s = it.arrives(machine)
            time.sleep(it.rng.uniform(0, 10))
        if number:
            times.append(took_s)
            say(f"ok      running cut {number} of {count}: back after {took_s:.0f} s")
        after = it.work / "running-cut.img"
        lost = cuts.cut(card, log, after, at=len(cuts.read_log(log)), rng=it.rng)
        after.replace(card)
        with cuts.mounted(card) as root:
            check(f"running cut {number + 1}, {lost} blocks lost", holds=cuts.state(root) != "none")
    return times


def go(it: Rig, steps: list[str], counts: list[int]) -> None:
    """Go through the steps of the emulated board, each on a copy of the card that was flashed once."""
    stock, installed = flash(it), None
    if "pi" in steps:
        installed = boots(it, "raspi3b", stock)
    if "pages" in steps:
        boots(it, "virt16k", stock)
    if "update" in steps:
        if installed is None:
            installed = cuts.copied(stock, "virt.img")
            first_boot(it, "virt", installed)
        updates(it, installed)
    if "cuts" in steps:
        power_cuts(it, stock, counts)
    for card in it.work.glob("*.img"):
        card.unlink()
