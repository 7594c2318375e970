"""The board half of the tests in another Debian: on arm64, emulated, and on the next Python.

What is installed there comes from folders of wheels, without a network.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from boards.device.unpack import lay_out
from boardtest.debian import MIRROR, unpack
from boardtest.pi import SOURCES, edge_board
from boardtest.steps import CACHE, ROOT, TestFailed, check, figure, made, run

if TYPE_CHECKING:
    from pathlib import Path

    Found = dict[str, dict[str, list[float]]]

PACKAGES = (
    "python3 python3-venv libstdc++6 mosquitto procps tzdata coreutils dash bash sed grep tar gzip "
    "findutils git base-passwd python3-libcamera gcc libc6-dev libc-bin util-linux "
    "systemd libseccomp2 mawk"
)
# picamera: runs on picamera2's real classes and libcamera's virtual camera. What it wants beside
# these has no wheels: its tests make that up.
PICAMERA2 = ("av", "piexif", "Pillow", "simplejpeg", "tqdm", "videodev2")
MACHINES = {"aarch64": ("aarch64", "arm64"), "x86-64": ("x86_64", "amd64")}
UNITS = {
    "heads": "a raw head, quanta",
    "scores": "a score",
    "boxes": "a box, pixels",
    "scores_unsized": "a score, of images that the board resizes",
    "boxes_unsized": "a box, of images that the board resizes, pixels",
}
# Two libraries of mathematics, in float32.
SAME_SCORE, SAME_BOX_PX = 1e-5, 0.01
# Cores that LiteRT has other kernels for: without and with the dot product of int8.
PROCESSORS = {"Raspberry Pi 3": "cortex-a53", "Raspberry Pi 5": "cortex-a76"}
TAGS = ("2_17", "2_24", "2_26", "2_27", "2_28", "2_31", "2_34")
# Emulated, a test takes over ten times as long: these are kernels, where a processor counts, that
# the comparison does not reach. Nothing else is other code there; `--whole` takes it all in.
ARM64_SELECTION = (
    "--hypothesis-profile=few -k 'not ten_thousand' "
    "tests/edge/test_preprocess.py tests/edge/decode tests/edge/results tests/edge/draw"
)
# On another Python: what stands on its library, and what other programs of that Debian say.
NEXT_SELECTION = (
    "tests/edge/web tests/edge/terminal tests/edge/config tests/edge/messages tests/edge/model "
    "tests/edge/decode tests/edge/results tests/edge/capture/test_picamera_contract.py "
    "tests/edge/test_preprocess.py tests/boards/test_render.py tests/boards/device"
)
SETTINGS = ("/usr/bin/env", "-i", "PATH=/usr/sbin:/usr/bin", "HOME=/root", "LANG=C.UTF-8")
# QEMU 7.2 shows an emulated program the /proc/cpuinfo of this machine; 10.0.13 does not. LiteRT
# takes the kinds of cores from there, knows none of them, and ends by SIGSEGV at a first invoke.
CPUINFO = """processor\t: {}
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd03
CPU revision\t: 4

"""
MOUNTS = """
mkdir -p "$0/proc" "$0/sys" "$0/dev" "$0/tmp"
mount -t proc proc "$0/proc"; mount -t tmpfs tmp "$0/tmp"
for d in sys dev; do mount --rbind "/$d" "$0/$d"; done
if [ -e "$0/cpuinfo" ]; then mount --bind "$0/cpuinfo" "$0/proc/cpuinfo"; fi
chroot "$@" || exit $?  # not by exec: a process 1 takes no signal that it does not handle
"""
# The environment that the first boot of a card makes, by the bundle's own code.
INSTALL = """
from pathlib import Path
from boards.device import bundle, environments
from boards.device.place import Place
place = Place(say=lambda text: None)
with bundle.opened(place, Path("/edge/bundle")) as it:
    it.verify(); environments.fit(it); print(environments.from_bundle(place, it))
"""
COPY = """
git -C "$1" ls-files -z | tar -C "$1" --null -T - -c | tar -C "$2/tree" -x; cp -r "$3/bundle" "$2"
"""
COMPARE = "scripts/boardtest/compare_detections.py"


def inside(root: Path, line: str, *settings: str) -> str:
    """Run a line of shell in a root with /proc, /sys, /dev and /tmp, which end with it."""
    whole = ("unshare", "--mount", "--pid", "--fork", "bash", "-euc", MOUNTS, root, root,
             *SETTINGS, *settings, "/bin/sh", "-ec", line)  # fmt: skip
    done = subprocess.run(whole, capture_output=True, text=True, check=False)
    if done.returncode:
        raise TestFailed(f"{line}: {(done.stdout + done.stderr)[-6000:]}")
    return done.stdout.strip()


def _tests(folder: Path, machine: str, version: str) -> None:
    """Download what the tests need beside a bundle; pip's settings of this machine hold."""
    platforms = [part for tag in TAGS for part in ("--platform", f"manylinux_{tag}_{machine}")]
    download = (sys.executable, "-m", "pip", "download", "-q", "--dest", folder,
                "--only-binary=:all:", "--python-version", version, *platforms)  # fmt: skip
    run(*download, f"{ROOT}[test]", *PICAMERA2)
    run(*download, "--no-deps", "picamera2")
    for ours in folder.glob("edge_vision-*.whl"):
        ours.unlink()


def installed(suite: str, profile: str) -> tuple[Path, str, str]:
    """Install a bundle as a board does, and what the tests need.

    Returns:
        The root of that Debian, what it is, and its folder of the environment's programs.
    """
    machine, architecture = MACHINES[profile]
    packages = [PACKAGES, suite, architecture, MIRROR]

    def make(folder: Path) -> None:
        root = unpack(folder, suite=suite, architecture=architecture, packages=PACKAGES)
        for name, other in (("cc", "gcc"), ("awk", "mawk")):
            (root / "usr/bin" / name).symlink_to(other)
        inside(root, "ldconfig")  # some libraries have their names by it alone

    root = made(f"half-{architecture}", packages, make) / "root"
    if machine != platform.machine():
        (root / "cpuinfo").write_text("".join(map(CPUINFO.format, range(os.cpu_count() or 1))))
    version = inside(root, "python3 -c 'import sys; print(\"%d.%d\" % sys.version_info[:2])'")
    name = f"{suite} {architecture}, Python {version}"
    needs = [version, PICAMERA2, ROOT / "pyproject.toml"]
    others = made(f"tests-{architecture}", needs, lambda each: _tests(each, machine, version))
    bundle = made(f"bundle-{architecture}", [version, *SOURCES], lambda each: edge_board(
        "bundle", profile, "--python", version, "--out", each / "bundle"))  # fmt: skip
    for folder in ("edge", "opt"):
        run("rm", "-rf", "--one-file-system", root / folder)
    (root / "edge/tree").mkdir(parents=True)
    run("sh", "-c", COPY, "sh", ROOT, root / "edge", bundle)
    began, wheel = time.monotonic(), "/edge/bundle/wheels/edge_vision-*.whl"
    made_there = inside(root, f"PYTHONPATH=$(echo {wheel}) python3 -c '{INSTALL}'")
    figure(f"{name}: a bundle's wheels installed offline, s", round(time.monotonic() - began, 1))
    venv = f"opt/edge/venvs/{made_there}"
    own = {_package(each) for each in bundle.glob("*/*/*.whl")}
    for each in others.glob("*.whl"):
        if _package(each) not in own:
            lay_out(each, root / venv, python=f"/{venv}/bin/python")
    return root, name, f"/{venv}/bin"


def _package(wheel: Path) -> str:
    return wheel.name.partition("-")[0]


def passes(root: Path, name: str, programs: str, tests: str, *settings: str) -> None:
    """Run the board half of the tests, or some of it, against the wheels; say of how many."""
    began = time.monotonic()
    # What it says so far can be read there.
    inside(root, f"cd /edge/tree; {programs}/pytest -q -rfE --durations=15 -p no:cacheprovider "
           f"-m board {tests} >/edge/tests.log || {{ tail -n 60 /edge/tests.log; exit 1; }}",
           "PYTHONUNBUFFERED=1", *settings)  # fmt: skip
    counted = re.sub(r"=| in .*", "", (root / "edge/tests.log").read_text().splitlines()[-1])
    took = f"{time.monotonic() - began:.0f} s"
    figure(f"{name}: {'a selection' if tests else 'all'} of the tests", f"{counted}; {took}")
    check(f"they pass on {name}", holds="passed" in counted, figure=took)


def arm64(*, is_whole: bool) -> None:
    """The board half on arm64, and the built-in model's detections there beside those here."""
    root, name, programs = installed("trixie", "aarch64")
    here, there = CACHE / "found.json", root / "edge/found.json"
    run(sys.executable, ROOT / COMPARE, here, cwd=ROOT)
    for board, processor in PROCESSORS.items():
        inside(root, f"{programs}/python /edge/tree/{COMPARE} /edge/found.json",
               f"QEMU_CPU={processor}")  # fmt: skip
        _compare(board, *(json.loads(path.read_text()) for path in (here, there)))
    # Without a name QEMU has all that a core can have: NumPy's products are wrong on its SVE (7.2).
    newest = f"QEMU_CPU={list(PROCESSORS.values())[-1]}"
    passes(root, name, programs, "" if is_whole else ARM64_SELECTION, newest)


def _compare(board: str, here: Found, there: Found) -> None:
    """Hold what two machines say of the same images to one quantum."""
    largest = dict[str, float]()
    for name, ours in here.items():
        theirs = there[name]
        check(
            f"{board}, {name}: the same objects",
            holds=all(ours[key] == theirs[key] for key in ("classes", "classes_unsized")),
        )
        for key, values in ours.items():
            pairs = zip(values, theirs[key], strict=True)
            largest[key] = max([largest.get(key, 0), *(abs(one - two) for one, two in pairs)])
    for key, what in UNITS.items():
        figure(f"{board} against x86-64: largest difference of {what}", round(largest[key], 5))
    check(f"{board}: within one quantum", holds=largest["heads"] <= 1, figure=largest["heads"])
    same = largest["scores"] < SAME_SCORE and largest["boxes"] < SAME_BOX_PX
    check(f"{board}: equal heads are equal detections", holds=largest["heads"] or same)


def next_python(*, is_whole: bool) -> None:
    """The board half on the Python of Debian's next release, on this architecture."""
    passes(*installed("forky", "x86-64"), "" if is_whole else NEXT_SELECTION)
