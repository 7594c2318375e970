"""What the board says of its heat, clocks and power: files of Linux, and a Pi's `vcgencmd`.

A sensor that is missing, or silent for a moment, is left out; the rest goes on. psutil knows
neither power nor throttling, and would cost a board 30 ms and 4 MiB at each start.
"""

from __future__ import annotations

import math
import re
import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from edge.cores import Cores, available_cores, confined
from edge.record import Record

if TYPE_CHECKING:
    from typing_extensions import Self

# Source: Documentation/ABI/testing/sysfs-class-thermal, m°C; zones that are off read as negative or
# 0, or not at all (EAGAIN).
MILLI = 1e-3
# Source: Documentation/admin-guide/pm/cpufreq.rst, `scaling_cur_freq`, kHz.
KHZ_PER_MHZ = 1e3
# Source: Documentation/hwmon/sysfs-interface.rst, `power[1-*]_input`, µW; `in*` mV, `curr*` mA.
UW_PER_W = 1e6
# Source: drivers/firmware/raspberrypi.c of the Raspberry Pi kernel: the bits as hex without 0x.
THROTTLED_FILE = "sys/devices/platform/soc/soc:firmware/get_throttled"
COMMAND_TIMEOUT_S = 2.0
# Source: Raspberry Pi documentation, "vcgencmd", get_throttled.
THROTTLE_FLAGS = {
    0x1: "under-voltage",
    0x2: "frequency capped",
    0x4: "throttled",
    0x8: "soft temperature limit",
}
SINCE_BOOT_SHIFT = 16
NOW_MASK = sum(THROTTLE_FLAGS)
PERIOD_S = 1.0
# Every so often also what costs a process: 10 ms in 5 s are 0.2 % of one core.
COMMANDS_EVERY = 5
# One line of `vcgencmd pmic_read_adc` on a Pi 5: ` VDD_CORE_A current(7)=1.41378000A`.
PMIC_LINE = re.compile(r"\s*(\w+)_([AV])\s+\w+\(\d+\)=([\d.]+)[AV]")
# Not a rail but the sum of the shunts' voltages. Source: Documentation/hwmon/ina3221.rst.
SHUNT_SUM = 7


class Sample(Record, frozen=True, kw_only=True):
    """What the board's sensors said; `None` where there is no such sensor.

    Attributes:
        at_s: Seconds since the run began.
        temperature_c: Of the hottest zone.
        frequency_mhz: Of the fastest core.
        power_w: Of all rails that are measured, together.
        throttled: Bits as `vcgencmd get_throttled` has them.
    """

    at_s: float
    temperature_c: float | None = None
    frequency_mhz: float | None = None
    power_w: float | None = None
    throttled: int | None = None


class Sensors:
    """The sensors that this board has.

    Args:
        root: Where `sys` lies.
        path: Folders to look for `vcgencmd` in, as PATH has them; `None` takes the environment's.
    """

    def __init__(self, root: Path = Path("/"), *, path: str | None = None) -> None:
        self._zones = sorted(root.glob("sys/class/thermal/thermal_zone*/temp"))
        cpu = root / "sys/devices/system/cpu"
        self._clocks = sorted(cpu.glob("cpufreq/policy*/scaling_cur_freq")) or sorted(
            cpu.glob("cpu*/cpufreq/scaling_cur_freq")
        )
        self._rails = _rails(root)
        self._throttled = root / THROTTLED_FILE
        self._vcgencmd = shutil.which("vcgencmd", path=path)
        self._has_pmic = bool(self._pmic_w())

    def read(self, at_s: float) -> Sample:
        """Return what can be read from files; some 0.1 ms.

        Args:
            at_s: When, for the sample.
        """
        degrees = [value * MILLI for value in map(_number, self._zones) if value and value > 0]
        clocks = [value / KHZ_PER_MHZ for value in map(_number, self._clocks) if value]
        rails = [[_number(path) for path in files] for files in self._rails]
        powers = [
            math.prod(value or 0.0 for value in values) for values in rails if None not in values
        ]
        # Of a pair mV times mA, which is µW as well.
        return Sample(
            at_s=at_s,
            temperature_c=max(degrees, default=None),
            frequency_mhz=max(clocks, default=None),
            power_w=sum(powers) / UW_PER_W if powers else None,
            throttled=self._throttled_bits(),
        )

    def read_all(self, at_s: float, *, power: bool = True) -> Sample:
        """Return also what only `vcgencmd` knows: a process each, some 10 ms of CPU time.

        Args:
            at_s: When, for the sample.
            power: Ask it for that too.
        """
        sample = self.read(at_s)
        changes: dict[str, float | int | None] = {}
        if sample.throttled is None:
            changes["throttled"] = self._commanded_bits()
        if power and sample.power_w is None and self._has_pmic:
            changes["power_w"] = self._pmic_w()
        return sample.replace(**changes)

    def absent(self) -> tuple[str, ...]:
        """Return, in words, what this board does not tell."""
        sample = self.read_all(0.0)
        words = {
            "no temperature sensor": sample.temperature_c,
            "no clock frequency": sample.frequency_mhz,
            "no power sensor": sample.power_w,
            "no throttle flags": sample.throttled,
        }
        return tuple(text for text, value in words.items() if value is None)

    def _throttled_bits(self) -> int | None:
        text = text_of(self._throttled)
        return int(text, 16) if re.fullmatch("(0x)?[0-9a-f]{1,8}", text) else None

    def _commanded_bits(self) -> int | None:
        match = re.search(r"throttled=0x([0-9a-f]{1,8})", self._ask("get_throttled"))
        return int(match[1], 16) if match else None

    def _pmic_w(self) -> float | None:
        rails: dict[str, dict[str, float]] = {}
        for name, unit, value in PMIC_LINE.findall(self._ask("pmic_read_adc")):
            rails.setdefault(name, {})[unit] = float(value)
        powers = [rail["A"] * rail["V"] for rail in rails.values() if rail.keys() == {"A", "V"}]
        return sum(powers) if powers else None

    def _ask(self, question: str) -> str:
        if self._vcgencmd is None:
            return ""
        try:
            done = subprocess.run(
                [self._vcgencmd, question],
                capture_output=True,
                text=True,
                timeout=COMMAND_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return done.stdout


def governors(root: Path = Path("/")) -> tuple[str, ...]:
    """Return the frequency governors of the cores, each once; empty where Linux names none."""
    cpu = root / "sys/devices/system/cpu"
    groups = ("cpufreq/policy*", "cpu*/cpufreq")
    files = [path for group in groups for path in cpu.glob(f"{group}/scaling_governor")]
    return tuple(sorted({text for text in map(text_of, files) if text}))


def _rails(root: Path) -> list[tuple[Path, ...]]:
    """Return the files of each measured supply: its power, or else its voltage and current."""
    rails: list[tuple[Path, ...]] = []
    for device in sorted(root.glob("sys/class/hwmon/hwmon*")):
        powers = sorted(device.glob("power*_input"))
        rails += [(power,) for power in powers]
        for current in [] if powers else sorted(device.glob("curr*_input")):
            channel = int(re.sub(r"\D", "", current.name) or 0)
            voltage = device / f"in{channel}_input"
            if voltage.exists() and channel != SHUNT_SUM:
                rails.append((voltage, current))
    return rails


def _number(path: Path) -> float | None:
    text = text_of(path)
    return float(text) if re.fullmatch(r"-?\d{1,15}", text) else None


def text_of(path: Path) -> str:
    """Return what a file says, or nothing: a sensor that is off answers with an error.

    A device tree's text ends with a NUL.
    """
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0 \t\r\n")
    except OSError:
        return ""


class Sampler:
    """Samples on a thread of its own while its `with` lasts, and at both ends.

    Attributes:
        samples: So far, oldest first.
        started_s: Monotonic clock, where the samples' time begins.
    """

    def __init__(self, sensors: Sensors, *, period_s: float = PERIOD_S) -> None:
        self.samples: list[Sample] = []
        self.started_s = time.monotonic()
        self._sensors = sensors
        self._period_s = period_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="edge-sensors", daemon=True)

    def __enter__(self) -> Self:
        self._look()
        # Off the interpreter's core, like everything else.
        with confined(Cores.divide(available_cores(), threads=1).others):
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        self._look()

    def _look(self) -> None:
        self.samples.append(self._sensors.read_all(time.monotonic() - self.started_s))

    def _run(self) -> None:
        count = 1
        while not self._stopping.wait(self._period_s):
            if count % COMMANDS_EVERY:
                self.samples.append(self._sensors.read(time.monotonic() - self.started_s))
            else:
                self._look()
            count += 1


def throttle_words(bits: int) -> list[str]:
    """Return what each bit says; those up to 0x8 hold now, the others have since the boot."""
    since, known = bits >> SINCE_BOOT_SHIFT, NOW_MASK | NOW_MASK << SINCE_BOOT_SHIFT
    return [
        *(f"{text} now" for flag, text in THROTTLE_FLAGS.items() if bits & flag),
        *(f"{text} since boot" for flag, text in THROTTLE_FLAGS.items() if since & flag),
        *([f"unknown bits {bits & ~known:#x}"] if bits & ~known else []),
    ]


def throttled_during(seen: list[int]) -> list[str]:
    """Return what happened while these bits were read: seen at the time, or new since the first."""
    before, held = seen[0] >> SINCE_BOOT_SHIFT, 0
    for bits in seen:
        held |= bits | bits >> SINCE_BOOT_SHIFT & ~before
    return [text for flag, text in THROTTLE_FLAGS.items() if held & flag]
