"""An emulated Raspberry Pi, from a blank image file to detections at a broker, and at rest."""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from boardtest import cuts, debian, host
from boardtest.machine import Machine
from boardtest.steps import CACHE, ROOT, TestFailed, check, figure, made, run, say

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSWORD = "a secret of the test"  # noqa: S105 - of a broker on the loopback
CONFIG = """
[device]
name = "wall"
[camera]
name = "north"
source = "v4l2:/dev/video0"
[model]
threads = 2
{more}
[mqtt]
url = "mqtt://edge@10.0.2.100:{port}"
password_file = "/run/credentials/edge.service/mqtt"
commands = true
"""
# What a card gets; an update with another threshold; and one whose broker isn't there.
BUNDLES = {
    "pi3": (1883, ""),
    "pi5": (1883, ""),
    "good": (1883, "score_threshold = 0.4"),
    "bad": (1884, ""),
}
SOURCES = [ROOT / name for name in ("edge", "boards", "converter", "calibration", "pyproject.toml")]
FLASH_S, FIRST_S, SECOND_S, INSTALLED_MIB, RSS_MIB = 60, 300, 120, 350, 120
STEADY_S = 60


def edge_board(*arguments: str | Path) -> str:
    """Run `edge-board` of this tree."""
    # Modules are compiled for the board by its own Python where that is here.
    python = os.environ.get("PYTHON313", "")
    path = os.pathsep.join([str(Path(python).parent), os.environ["PATH"]])
    return run(
        sys.executable, "-m", "boards", *arguments, cwd=ROOT, env=os.environ | {"PATH": path}
    )


def _bundles(folder: Path) -> None:
    key = folder / "key"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
    for name, (port, more) in BUNDLES.items():
        config = folder / f"{name}.toml"
        config.write_text(CONFIG.format(more=more, port=port))
        is_first = name.startswith("pi")
        wheels = ["--python", "3.13"] if is_first else ["--no-wheels"]
        given = ["--config", config, "--sign", key, "--out", folder / name, "--tar", *wheels]
        edge_board("bundle", name if is_first else "pi3", *given)
    public = " ".join(key.with_suffix(".pub").read_text().split()[:2])
    line = f'edge-vision namespaces="edge-vision" {public}\n'
    (folder / "allowed_signers").write_text(line)


@dataclass(frozen=True)
class Recording:
    """All that was written to a card while something went on, and what a power cut may leave.

    Args:
        what: went on.
        before: the card when the power came on.
        log: of what was written since (boardtest.cuts).
        span: of the log, in which it went on: from a request until before another.
        allowed: names of releases, and `none`.
    """

    what: str
    before: Path
    log: Path
    span: tuple[int, int]
    allowed: set[str]


@dataclass
class Rig:
    """A broker and a web server, with relays to both, and the images that a test works on."""

    work: Path
    image: Path
    bundles: Path
    messages: host.Messages
    relays: dict[int, Path]
    recordings: list[Recording] = field(default_factory=list)

    def board(self, kind: str, card: Path, *, writes: Path | None = None) -> Machine:
        """Return a machine with this card, not yet powered."""
        return Machine(kind, card, self.work / f"{card.stem}.log", self.relays, writes)

    @contextmanager
    def recorded(self, what: str, machine: Machine, allowed: set[str]) -> Iterator[None]:
        """Keep what a machine with a log writes during the block, for power cuts."""
        before, log = self._before(machine.card), self._log(machine.card)
        begin = len(cuts.read_log(log))
        yield
        span = begin, len(cuts.read_log(log))
        self.recordings.append(Recording(what, before, log, span, allowed))

    def logged(self, kind: str, card: Path) -> Machine:
        """Return a machine that logs what it writes, and keep its card as it is now."""
        copy(card, self._before(card))
        return self.board(kind, card, writes=self._log(card))

    def _before(self, card: Path) -> Path:
        return card.with_name(f"{card.stem}-before.img")

    def _log(self, card: Path) -> Path:
        return card.with_suffix(".writes")

    def arrives(self, machine: Machine, ending: str = "/detections", *, since: float = 0) -> float:
        """Wait for a message; return the seconds from power on to it."""
        since = since or machine.began
        machine.until(f"a message on …{ending}", lambda: self.messages.since(since, ending))
        return self.messages.since(since, ending)[0][0] - machine.began

    def release(self, name: str) -> str:
        """Return the name that a bundle's release has on a board."""
        return run("sha256sum", self.bundles / name / "bundle.json")[:12]


def prepared() -> tuple[Path, Path]:
    """Make what does not change: the image of a card, and bundles."""
    system = made("system", debian.INPUTS, debian.system)
    inputs = [system.name, debian.CARD_MIB, debian.BOOT_MIB]
    image = made("image", inputs, lambda folder: debian.image(folder, system))
    return image / "card.img", made("bundles", [CONFIG, BUNDLES, *SOURCES], _bundles)


@contextmanager
def rig(name: str, image: Path, bundles: Path) -> Iterator[Rig]:
    """Start what stands around one board; its cards end with it, unless something failed."""
    work = CACHE / "work" / name
    work.mkdir(parents=True, exist_ok=True)
    port = host.free_port()
    with host.broker(work, port, "edge", PASSWORD) as messages, host.served(bundles) as web:
        relays = {1883: host.relay(work, port), 80: host.relay(work, web)}
        yield Rig(work, image, bundles, messages, relays)
    for card in (*work.glob("*.img"), *work.glob("*.writes")):
        card.unlink()


def flash(it: Rig, profile: str = "pi3") -> Path:
    """Write the image to a blank file, as to a card, and time it beside a plain copy."""
    card, secret, plain = (it.work / name for name in (f"{profile}.img", "password", "plain.img"))
    secret.write_text(PASSWORD)
    secret.chmod(0o600)
    card.write_bytes(b"")
    os.truncate(card, debian.CARD_MIB << 20)
    given = ["--profile", profile, "--bundle", it.bundles / profile, "--hostname", "wall"]
    began = time.monotonic()
    edge_board(
        "flash", *given, "--image", it.image, "--to", card, "--mqtt-password-file", secret, "--yes"
    )
    took_s = time.monotonic() - began
    run("dd", f"if={it.image}", f"of={plain}", "bs=4M", "conv=fsync", "status=none")
    copying_s = time.monotonic() - began - took_s
    plain.unlink()
    figure("a plain copy of the image, s", round(copying_s, 1))
    judge("flashed and verified, s", took_s, FLASH_S + copying_s)
    run("mcopy", "-o", "-i", _boot(card), it.bundles / "allowed_signers", "::/edge/")
    return card


def judge(what: str, value: float, limit: float) -> None:
    """Hold a time to its limit; where others work on this machine as well, only tell it."""
    is_loaded = os.getloadavg()[1] > 2 * (os.cpu_count() or 1)
    figure(what, round(value, 1))
    told = f"{value:.0f} of {limit:.0f}"
    if value > limit and is_loaded:
        say(f"late    {what}: {told}; the load is {os.getloadavg()[1]:.0f}")
    else:
        check(what, holds=value <= limit, figure=told)


def first_boot(it: Rig, machine: Machine) -> float:
    """Wait for detections of a machine that has a flashed card, and for its first boot's end."""
    took_s = it.arrives(machine)
    machine.until("the end of the first boot", lambda: "is over" in _report(machine.card))
    say(next(line for line in machine.text().splitlines() if "PROBE model" in line))
    return took_s


def _boot(card: Path) -> str:
    return f"{card}@@{debian.BOOT_AT_MIB}M"


def _report(card: Path) -> str:
    """Return what the first boot wrote on the boot partition."""
    try:
        return run("mtype", "-i", _boot(card), "::/edge-firstboot.txt")
    except TestFailed:
        return ""


def installs(it: Rig, kind: str, stock: Path) -> Path:
    """Take a card through its first boot, and look at what is on it; return it."""
    card, release = copy(stock, it.work / f"{kind}.img"), it.release(stock.stem)
    with it.board(kind, card) as machine:
        took_s = first_boot(it, machine)
    judge(f"{kind}: power on to first detections, first boot, s", took_s, FIRST_S)
    with cuts.mounted(card) as root:
        check("the release is whole", holds=cuts.state(root) == release)
        installed_mib = int(run("du", "-sm", root / "opt/edge").split()[0])
        judge(f"{kind}: installed on the board, MiB", installed_mib, INSTALLED_MIB)
        secret = (root / "etc/edge/secrets/mqtt").stat()
        check("the password is root's alone", holds=secret.st_mode & 0o77 == 0 == secret.st_uid)
    listed = run("mdir", "-b", "-/", "-i", _boot(card), "::/edge")
    check("and is off the boot partition", holds="secrets/mqtt" not in listed)
    return card


def runs(it: Rig, kind: str, card: Path, release: str) -> None:
    """Power an installed card on; wait for detections, and for a minute of rest."""
    with it.logged(kind, card) as machine, it.recorded("running", machine, {release}):
        took_s = it.arrives(machine)
        judge(f"{kind}: power on to first detections, second boot, s", took_s, SECOND_S)
        rests(machine)


def rests(machine: Machine) -> None:
    """Wait for a minute in which the card was left alone, and count frames and memory in it."""
    last = list[dict[str, float]]()

    def is_minute() -> bool:
        seen = [each for each in machine.probes() if "frames" in each]
        last[:] = [each for each in seen if each["written"] == seen[-1]["written"]]
        return bool(last) and last[-1]["up"] - last[0]["up"] >= STEADY_S

    machine.until("a minute without a write", is_minute)
    check("frames came out", holds=last[-1]["frames"] > last[0]["frames"])
    figure(f"{machine.kind}: frames in a minute of rest", last[-1]["frames"] - last[0]["frames"])
    figure(f"{machine.kind}: written to the card meanwhile, bytes", 0)
    judge(
        f"{machine.kind}: RSS of the service, MiB",
        max(each["rss"] for each in last) / 1024,
        RSS_MIB,
    )


def copy(card: Path, target: Path) -> Path:
    """Return a copy of a card."""
    run("cp", "--sparse=always", card, target)
    return target
