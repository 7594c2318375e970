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
from boardtest.steps import CACHE, ROOT, TestFailed, check, figure, made, run, say

if TYPE_CHECKING:
    from pathlib import Path

PACKAGES = (
    "python3 python3-venv libstdc++6 mosquitto procps tzdata coreutils dash bash sed grep tar gzip "
    "findutils git"
)
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
        "-c",
        line,
    )
    whole = ["unshare", "--mount", "--pid", "--fork", *shell]
    done = subprocess.run(whole, capture_output=True, text=True, check=False)
    if done.returncode:
        raise TestFailed(f"{line}: {(done.stdout + done.stderr)[-6000:]}")
    return done.stdout.strip()


def _wheels(folder: Path, machine: str, version: str) -> None:
    """Download what edge-vision and its tests need; pip's settings of this machine hold."""
    pip = (sys.executable, "-m", "pip")
    run(*pip, "wheel", "-q", "--no-deps", "-w", folder, ROOT)
    platforms = [part for tag in TAGS for part in ("--platform", f"manylinux_{tag}_{machine}")]
    wheel = next(folder.glob("edge_vision-*.whl"))
    how = ["--only-binary=:all:", "--ignore-requires-python", "--python-version", version]
    run(*pip, "download", "-q", "--dest", folder, *how, *platforms, f"{wheel}[test]", "pip")


def half(suite: str, machine: str, architecture: str, tests: str) -> Path:
    """Run the board half of the tests, or some of it; return the root that it ran in."""
    packages = [PACKAGES, suite, architecture, MIRROR]

    def make(folder: Path) -> None:
        unpack(folder, suite=suite, architecture=architecture, packages=PACKAGES)

    root = made(f"half-{architecture}", packages, make) / "root"
    version = inside(root, "python3 -c 'import sys; print(\"%d.%d\" % sys.version_info[:2])'")
    name = f"{suite} {architecture}, Python {version}"
    inputs = [version, *(ROOT / each for each in ("pyproject.toml", "edge", "boards"))]
    wheels = made(
        f"wheels-{architecture}", inputs, lambda folder: _wheels(folder, machine, version)
    )
    run("rm", "-rf", "--one-file-system", root / "edge")
    (root / "edge/tree").mkdir(parents=True)
    line = 'git -C "$1" ls-files -z | tar -C "$1" --null -T - -c | tar -C "$2" -x; cp -r "$3" "$4"'
    run("sh", "-c", line, "sh", ROOT, root / "edge/tree", wheels, root / "edge/wheels")
    began = time.monotonic()
    inside(root, "python3 -m venv --without-pip /edge/venv; cd /edge/wheels; "
           "/edge/venv/bin/python pip-*.whl/pip install -q --no-compile --no-index "
           "--find-links . 'edge-vision[test]'")  # fmt: skip
    figure(f"{name}: wheels installed offline, s", round(time.monotonic() - began, 1))
    began = time.monotonic()
    said = inside(root, "cd /edge/tree; exec /edge/venv/bin/python -m pytest -q "
                  f"-p no:cacheprovider -m 'board and not slow' {tests}")  # fmt: skip
    counted = re.sub(r"=| in .*", "", said.splitlines()[-1]).strip()
    figure(f"{name}: tests{' of a selection' if tests else ''}", counted)
    check(
        f"they pass on {name}",
        holds="passed" in counted,
        figure=f"{time.monotonic() - began:.0f} s",
    )
    return root


def arm64(*, is_whole: bool) -> None:
    """The board half on arm64, and the built-in model's detections there beside those here."""
    root = half("trixie", "aarch64", "arm64", "" if is_whole else SELECTION)
    if not is_whole:
        say(f"        not all of the board half: {SELECTION}")
    inside(root, f"cd /edge/tree; PYTHONPATH=. /edge/venv/bin/python {COMPARE} /edge/found.json")
    here = CACHE / "found.json"
    run(sys.executable, ROOT / COMPARE, here, cwd=ROOT)
    _compare(*(json.loads(path.read_text()) for path in (here, root / "edge/found.json")))


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
    half("forky", "x86_64", "amd64", "")
