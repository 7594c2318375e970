"""An emulated board: what its firmware would load is read from the card, as there."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from boardtest.debian import BOOT_AT_MIB
from boardtest.steps import TestFailed, run

if TYPE_CHECKING:
    from collections.abc import Callable

VIRT = (
    "-M virt -smp 2 -m 1024 -serial file:{serial} "
    "-device virtio-blk-device,drive=card -device virtio-net-device,netdev=net"
)
# Two of its four processors, as many as this may have: one that waits to be started spins, and each
# flush of a TLB waits for all (50 s of the boot).
RASPI = (
    "-M raspi3b -global bcm2837.enabled-cpus=2 -device usb-net,netdev=net "
    "-serial null -serial file:{serial}"
)


@dataclass(frozen=True)
class Kind:
    """A machine of QEMU's, what its firmware would take, and what its device tree says it is."""

    arguments: str
    console: str
    kernel: str
    cpu: str = ""
    more: str = ""
    is_said_to_be: tuple[str, ...] = ()


# What a bundle is for has to be what the device tree says: it is refused elsewhere.
PI_3 = ("Raspberry Pi 3 Model B Rev 1.2", "raspberrypi,3-model-b", "brcm,bcm2837")
PI_5 = ("Raspberry Pi 5 Model B Rev 1.0", "raspberrypi,5-model-b", "brcm,bcm2712")
# Linux at a random address hides itself from programs (KPTI), for which emulation flushes a TLB at
# each system call: without, a second boot takes 71 s of processor time instead of 106.
FIXED = " nokaslr kpti=off"
KINDS = {
    # QEMU's bcm2835_powermgt has no timer: starting the watchdog, as systemd is told to once we are
    # installed, resets that machine at once.
    "raspi3b": Kind(RASPI, "ttyS1,115200", "8", more=" maxcpus=2 module_blacklist=bcm2835_wdt"),
    "virt": Kind(VIRT, "ttyAMA0", "8", "cortex-a53", more=FIXED, is_said_to_be=PI_3),
    "virt16k": Kind(VIRT, "ttyAMA0", "_2712", "cortex-a76", more=FIXED, is_said_to_be=PI_5),
}


@dataclass
class Machine:
    """A board that is powered from `with` on; at its end the power goes, as by pulling the plug.

    Args:
        kind: A key of KINDS.
        card: The image of its card, which it writes to.
        serial: The file for what it prints on its serial line.
        forwards: A relay on this machine for each port of 10.0.2.100, all that it can reach.
        writes: A file that gets a log of what it writes (boardtest.cuts).
    """

    kind: str
    card: Path
    serial: Path
    forwards: dict[int, Path]
    writes: Path | None = None
    began: float = field(default=0.0, init=False)

    def __enter__(self) -> Machine:  # noqa: PYI034 - nobody subclasses it
        self.serial.unlink(missing_ok=True)
        self._work = tempfile.TemporaryDirectory(prefix="board")
        command = self._command(Path(self._work.name))
        self.began = time.monotonic()
        self._qemu = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        return self

    def __exit__(self, *_: object) -> None:
        self._qemu.kill()
        self._qemu.communicate()
        self._work.cleanup()

    def until(self, what: str, holds: Callable[[], object], *, patience_s: float = 1200) -> float:
        """Wait until something holds; return the seconds since the power came on."""
        while not holds():
            age_s = time.monotonic() - self.began
            fault = f"not within {patience_s:g} s" if age_s > patience_s else ""
            if self._qemu.poll() is not None:
                fault = f"QEMU ended: {self._qemu.stderr and self._qemu.stderr.read().decode()}"
            if fault or "Kernel panic" in self.text():
                tail = "\n".join(self.text().splitlines()[-25:])
                raise TestFailed(f"{self.kind}, {what}: {fault}\n{tail}")
            time.sleep(0.1)
        return time.monotonic() - self.began

    def text(self) -> str:
        """Return what it printed so far."""
        return self.serial.read_text(errors="replace") if self.serial.exists() else ""

    def probes(self) -> list[dict[str, float]]:
        """Return what the card's probe (card/root/usr/local/sbin) said once it was up, in order."""
        found = []
        for line in re.findall(r"PROBE (up .*?})\r?$", self.text(), re.MULTILINE):
            words, _, health = line.partition(" health ")
            pairs = re.findall(r"(\w+) ([\d.]+)", words)
            found.append({key: float(value) for key, value in pairs} | json.loads(health))
        return found

    def _command(self, work: Path) -> list[str]:
        kind = KINDS[self.kind]
        names = (
            f"kernel{kind.kernel}.img",
            f"initramfs{kind.kernel}",
            "cmdline.txt",
            "bcm2710-rpi-3-b.dtb",
        )
        sources = [f"::/{name}" for name in names]
        run("mcopy", "-n", "-i", f"{self.card}@@{BOOT_AT_MIB}M", *sources, work)
        kernel, initrd, line, dtb = (work / name for name in names)
        said = re.sub(r"console=\S+\s*", "", line.read_text().strip())
        if kind.is_said_to_be:
            model, *compatible = kind.is_said_to_be
            made = f"-M virt,dumpdtb={dtb} -cpu {kind.cpu} -smp 2 -m 1024 -nodefaults -display none"
            run("qemu-system-aarch64", *made.split())
            run("fdtput", "-t", "s", dtb, "/", "model", model)
            run("fdtput", "-t", "s", dtb, "/", "compatible", *compatible, "linux,dummy-virt")
        guests = [
            f"guestfwd=tcp:10.0.2.100:{port}-cmd:{relay}" for port, relay in self.forwards.items()
        ]
        more = f"-cpu {kind.cpu}" if kind.cpu else ""
        fixed = "qemu-system-aarch64 -nodefaults -display none -accel tcg,thread=multi"
        return [
            *fixed.split(), *kind.arguments.format(serial=self.serial).split(), *more.split(),
            *self._disk(), "-netdev", ",".join(["user,id=net,restrict=on", *guests]),
            "-dtb", str(dtb), "-kernel", str(kernel), "-initrd", str(initrd),
            "-append", f"{said} console={kind.console} systemd.show_status=0{kind.more}",
        ]  # fmt: skip

    def _disk(self) -> list[str]:
        place = "if=sd" if self.kind == "raspi3b" else "if=none,id=card"
        if not self.writes:
            return ["-drive", f"{place},file={self.card},format=raw,cache=writeback"]
        self.writes.write_bytes(b"")
        log = f"log.driver=file,log.filename={self.writes}"
        card = f"file.driver=file,file.filename={self.card}"
        return ["-drive", f"{place},driver=blklogwrites,{card},{log}"]
