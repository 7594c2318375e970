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

    from typing_extensions import Self

VIRT = "-M virt -smp {smp} -m 1024 -dtb {dtb} -serial file:{serial} -device virtio-blk-device,drive=card -device virtio-net-device,netdev=net"


@dataclass(frozen=True)
class Kind:
    """A machine of QEMU's, and what on the card its firmware would take."""

    arguments: str
    console: str
    kernel: str
    pretends: tuple[str, ...] = ()


KINDS = {
    "raspi3b": Kind(
        "-M raspi3b -dtb {dtb} -device usb-net,netdev=net -serial null -serial file:{serial}", "ttyS1,115200", "8",
    ),
    "virt": Kind(
        f"{VIRT} -cpu cortex-a72", "ttyAMA0", "8", ("Raspberry Pi 4 Model B Rev 1.4", "raspberrypi,4-model-b", "brcm,bcm2711"),
    ),
    "virt16k": Kind(
        f"{VIRT} -cpu cortex-a76", "ttyAMA0", "_2712", ("Raspberry Pi 5 Model B Rev 1.0", "raspberrypi,5-model-b", "brcm,bcm2712"),
    ),
}  # fmt: skip


@dataclass
class Machine:
    """A board that is powered from `with` on; at its end, or at `cut`, the power goes.

    Args:
        kind: a key of KINDS.
        card: the image of its card, which it writes to.
        serial: the file for what it prints on its serial line.
        forwards: a relay on this machine for each port of 10.0.2.100, which is all that it can reach.
        writes: a file that gets a log of what it writes (see boardtest.cuts); a virtual machine's only.
    """

    kind: str
    card: Path
    serial: Path
    forwards: dict[int, Path]
    writes: Path | None = None
    cores: int = 2
    extra: str = ""
    _qemu: subprocess.Popen[bytes] | None = field(default=None, init=False)
    began: float = field(default=0.0, init=False)

    def __enter__(self) -> Self:
        self.serial.unlink(missing_ok=True)
        self._work = tempfile.TemporaryDirectory(prefix="board")
        command = self._command(Path(self._work.name))
        self.began = time.monotonic()
        self._qemu = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        self._work.cleanup()

    def cut(self) -> None:
        """Take the power away, as pulling the plug does."""
        if self._qemu:
            self._qemu.kill()
            self._qemu.communicate()

    @property
    def age_s(self) -> float:
        """Return the seconds since it was powered on."""
        return time.monotonic() - self.began

    def until(
        self, what: str, condition: Callable[[], object], *, patience_s: float = 900
    ) -> float:
        """Wait until something holds; return the age of the machine then."""
        while not condition():
            if self._qemu is None or self._qemu.poll() is not None:
                said = self._qemu.stderr.read().decode() if self._qemu and self._qemu.stderr else ""
                raise TestFailed(
                    f"{self.kind} ended while waiting for {what}: {said}\n{self.tail()}"
                )
            if self.age_s > patience_s or "Kernel panic" in self.text()[-5000:]:
                raise TestFailed(
                    f"not within {patience_s:g} s on {self.kind}: {what}\n{self.tail()}"
                )
            time.sleep(0.1)
        return self.age_s

    def text(self) -> str:
        """Return what it printed so far."""
        return self.serial.read_text(errors="replace") if self.serial.exists() else ""

    def tail(self) -> str:
        """Return the last lines that it printed."""
        return "\n".join(self.text().splitlines()[-25:])

    def probes(self) -> list[dict[str, object]]:
        """Return what the card's probe (probe.sh) said of itself, oldest first."""
        lines = re.findall(r"PROBE (up .*?)\r?$", self.text(), re.MULTILINE)
        return [_parsed(line) for line in lines]

    def _command(self, work: Path) -> list[str]:
        kind = KINDS[self.kind]
        boot = f"{self.card}@@{BOOT_AT_MIB}M"
        names = (
            f"kernel{kind.kernel}.img",
            f"initramfs{kind.kernel}",
            "cmdline.txt",
            "bcm2710-rpi-3-b.dtb",
        )
        run("mcopy", "-n", "-i", boot, *(f"::/{name}" for name in names), work)
        line = re.sub(r"console=\S+\s*", "", (work / "cmdline.txt").read_text().strip())
        dtb = work / names[3]
        if kind.pretends:
            dtb = work / "virt.dtb"
            made = f"-M virt,dumpdtb={dtb} -cpu {kind.arguments.split()[-1]} -smp {self.cores} -m 1024 -nodefaults -display none"
            run("qemu-system-aarch64", *made.split())
            run("fdtput", "-t", "s", dtb, "/", "model", kind.pretends[0])
            run("fdtput", "-t", "s", dtb, "/", "compatible", *kind.pretends[1:], "linux,dummy-virt")
        guests = ",".join(
            f"guestfwd=tcp:10.0.2.100:{port}-cmd:{relay}" for port, relay in self.forwards.items()
        )
        return [
            *["nice", "-n", "5", "qemu-system-aarch64", "-nodefaults", "-display", "none", "-accel", "tcg,thread=multi"],
            *kind.arguments.format(dtb=dtb, serial=self.serial, smp=self.cores).split(), *self._disk(),
            "-netdev", f"user,id=net,restrict=on,{guests}",
            "-kernel", str(work / names[0]), "-initrd", str(work / names[1]),
            "-append", f"{line} console={kind.console} systemd.show_status=0 {self.extra}",
        ]  # fmt: skip

    def _disk(self) -> list[str]:
        if self.kind == "raspi3b":
            return ["-drive", f"if=sd,file={self.card},format=raw,cache=writeback"]
        if self.writes is None:
            return ["-drive", f"if=none,id=card,file={self.card},format=raw,cache=writeback"]
        self.writes.write_bytes(b"")
        files = (
            f"file.driver=file,file.filename={self.card},log.driver=file,log.filename={self.writes}"
        )
        return ["-blockdev", f"driver=blklogwrites,node-name=card,{files}"]


def _parsed(line: str) -> dict[str, object]:
    words, _, health = line.partition(" health ")
    pairs = re.findall(r"(\w+) (\S*)(?: |$)", words)
    found: dict[str, object] = {
        key: float(value) if re.fullmatch(r"[\d.]+", value) else value for key, value in pairs
    }
    try:
        found["health"] = json.loads(health or "null")
    except ValueError:
        found["health"] = None
    return found
