"""The board half of the tests in another Debian: on arm64, emulated, and on the next Python.

What is installed there comes from folders of wheels, without a network.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from boardtest.debian import MIRROR, unpack
from boardtest.steps import CACHE, ROOT, TestFailed, check, figure, made, run

if TYPE_CHECKING:
    from pathlib import Path

PACKAGES = (
    "python3 python3-venv libstdc++6 mosquitto procps tzdata coreutils dash bash sed grep tar gzip "
    "findutils git base-passwd python3-libcamera gcc libc6-dev"
)
# picamera: runs on picamera2's real classes and libcamera's virtual camera. What it wants beside
# these has no wheels: its tests make that up.
PICAMERA2 = ("av", "piexif", "Pillow", "simplejpeg", "tqdm", "videodev2")
MACHINES = {"aarch64": ("aarch64", "arm64"), "x86-64": ("x86_64", "amd64")}
TAGS = ("2_17", "2_24", "2_26", "2_27", "2_28", "2_31", "2_34")
# Emulated, all of the half takes too long: these are what a processor can change. Left out is what
# is the same Python anywhere: doctor, messages, sinks, pages, verbs. `--whole` takes it in.
SELECTION = (
    "tests/edge/model tests/edge/decode tests/edge/results tests/edge/regions tests/edge/stages "
    "tests/edge/draw tests/edge/test_preprocess.py tests/boards/device"
)
SETTINGS = ("/usr/bin/env", "-i", "PATH=/usr/sbin:/usr/bin", "HOME=/root", "LANG=C.UTF-8")
MOUNTS = """
for d in proc sys dev; do mkdir -p "$0/$d"; mount --rbind "/$d" "$0/$d"; done
mkdir -p "$0/tmp"; mount -t tmpfs tmp "$0/tmp"; exec chroot "$@"
"""
COPY = """
git -C "$1" ls-files -z | tar -C "$1" --null -T - -c | tar -C "$2/tree" -x
cp -r "$3/bundle" "$2"; cp -r "$4" "$2/tests"
"""
COMPARE = "scripts/boardtest/compare_detections.py"


def inside(root: Path, line: str) -> str:
    """Run a line of shell in a root with /proc, /sys, /dev and /tmp, which end with it."""
    shell = (
        "nice",
        "-n",
        "5",
        "bash",
        "-euc",
        MOUNTS,
        root,
        root,
        *SETTINGS,
        "/bin/sh",
        "-ec",
        line,
    )
    whole = ["unshare", "--mount", "--pid", "--fork", *shell]
    done = subprocess.run(whole, capture_output=True, text=True, check=False)
    if done.returncode:
        raise TestFailed(f"{line}: {(done.stdout + done.stderr)[-6000:]}")
    return done.stdout.strip()


def _bundle(folder: Path, profile: str, version: str) -> None:
    run(sys.executable, "-m", "boards", "bundle", profile, "--python", version,
        "--out", folder / "bundle", cwd=ROOT)  # fmt: skip


def _tests(folder: Path, machine: str, version: str) -> None:
    """Download what the tests need beside a bundle; pip's settings of this machine hold."""
    platforms = [part for tag in TAGS for part in ("--platform", f"manylinux_{tag}_{machine}")]
    download = (sys.executable, "-m", "pip", "download", "-q", "--dest", folder,
                "--only-binary=:all:", "--python-version", version, *platforms)  # fmt: skip
    run(*download, f"{ROOT}[test]", *PICAMERA2, "pip")
    run(*download, "--no-deps", "picamera2")
    for ours in folder.glob("edge_vision-*.whl"):
        ours.unlink()


def installed(suite: str, profile: str) -> tuple[Path, str]:
    """Install a bundle and the tests in another Debian; return its root, and what it is."""
    machine, architecture = MACHINES[profile]
    packages = [PACKAGES, suite, architecture, MIRROR]

    def make(folder: Path) -> None:
        root = unpack(folder, suite=suite, architecture=architecture, packages=PACKAGES)
        (root / "usr/bin/cc").symlink_to("gcc")

    root = made(f"half-{architecture}", packages, make) / "root"
    version = inside(root, "python3 -c 'import sys; print(\"%d.%d\" % sys.version_info[:2])'")
    name = f"{suite} {architecture}, Python {version}"
    needs = [version, PICAMERA2, ROOT / "pyproject.toml"]
    others = made(f"tests-{architecture}", needs, lambda each: _tests(each, machine, version))
    inputs = [*needs, ROOT / "edge", ROOT / "boards"]
    bundle = made(f"bundle-{architecture}", inputs, lambda each: _bundle(each, profile, version))
    run("rm", "-rf", "--one-file-system", root / "edge")
    (root / "edge/tree").mkdir(parents=True)
    run("sh", "-c", COPY, "sh", ROOT, root / "edge", bundle, others)
    began = time.monotonic()
    pip = "$(echo /edge/tests/pip-*.whl)/pip install -q --no-compile --no-index -f ."
    pip = f"/edge/venv/bin/python {pip}"
    inside(root, "python3 -m venv --without-pip --system-site-packages /edge/venv; "
           f"cd /edge/bundle/wheels; {pip} edge-vision")  # fmt: skip
    figure(f"{name}: a bundle's wheels installed offline, s", round(time.monotonic() - began, 1))
    inside(root, f"cd /edge/bundle/wheels; {pip} -f /edge/tests --no-deps picamera2; "
           f"{pip} -f /edge/tests 'edge-vision[test]' {' '.join(PICAMERA2)}")  # fmt: skip
    return root, name


def passes(root: Path, name: str, tests: str) -> None:
    """Run the board half of the tests, or some of it, and say of how many."""
    began = time.monotonic()
    said = inside(root, "cd /edge/tree; exec /edge/venv/bin/python -m pytest -q "
                  f"-p no:cacheprovider -m board {tests}")  # fmt: skip
    counted = re.sub(r"=| in .*", "", said.splitlines()[-1]).strip()
    took = f"{time.monotonic() - began:.0f} s"
    figure(f"{name}: {'a selection' if tests else 'all'} of the tests", f"{counted}; {took}")
    check(f"they pass on {name}", holds="passed" in counted, figure=took)


def arm64(*, is_whole: bool) -> None:
    """The board half on arm64, and the built-in model's detections there beside those here."""
    root, name = installed("trixie", "aarch64")
    inside(root, f"cd /edge/tree; PYTHONPATH=. /edge/venv/bin/python {COMPARE} /edge/found.json")
    here = CACHE / "found.json"
    run(sys.executable, ROOT / COMPARE, here, cwd=ROOT)
    _compare(*(json.loads(path.read_text()) for path in (here, root / "edge/found.json")))
    passes(root, name, "" if is_whole else SELECTION)


def _compare(
    here: dict[str, dict[str, list[float]]], there: dict[str, dict[str, list[float]]]
) -> None:
    """Hold what two machines say of the same images to one quantum."""
    largest = dict[str, float]()
    for name, ours in here.items():
        theirs = there[name]
        check(f"{name}: the same objects", holds=ours["classes"] == theirs["classes"])
        for key, values in ours.items():
            pairs = zip(values, theirs[key], strict=True)
            largest[key] = max([largest.get(key, 0), *(abs(one - two) for one, two in pairs)])
    for key in ("heads", "scores", "boxes"):
        unit = {"heads": "a raw head, quanta", "scores": "a score", "boxes": "a box, pixels"}[key]
        figure(f"arm64 against x86-64: largest difference of {unit}", round(largest[key], 5))
    check("within one quantum", holds=largest["heads"] <= 1, figure=largest["heads"])


def next_python() -> None:
    """The whole board half on the Python of Debian's next release, on this architecture."""
    passes(*installed("forky", "x86-64"), "")
