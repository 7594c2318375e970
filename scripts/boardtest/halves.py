"""The board half of the tests in another Debian: arm64 under QEMU's user emulation, and the next Python.

The Debians are unpacked, never configured; what is installed in them comes from folders of wheels, without a network.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from boardtest import debian
from boardtest.steps import CACHE, ROOT, TestFailed, check, figure, made, run, say

if TYPE_CHECKING:
    from pathlib import Path

PACKAGES = [
    "python3",
    "python3-venv",
    "libstdc++6",
    "mosquitto",
    "ca-certificates",
    "procps",
    "tzdata",
    "coreutils",
    "bash",
    "findutils",
]
TAGS = ("2_17", "2_24", "2_26", "2_27", "2_28", "2_31", "2_34")
# Emulated, the whole half takes too long for 25 minutes in all: what a processor can change, and what a
# board starts with. Left out, as they are the same bytes of Python anywhere: doctor, boards, pages, messages' schemas,
# sinks, Home Assistant, terminal, verbs. `--whole` takes them in.
SELECTION = (
    "tests/edge/model", "tests/edge/decode", "tests/edge/capture", "tests/edge/regions", "tests/edge/results", "tests/edge/stages",
    "tests/edge/draw", "tests/edge/config", "tests/calibration", "tests/edge/test_preprocess.py", "tests/edge/test_pipeline.py",
)  # fmt: skip


@dataclass(frozen=True)
class Half:
    """A Debian and its Python, and which tests run there."""

    suite: str
    machine: str
    architecture: str
    tests: tuple[str, ...]

    @property
    def name(self) -> str:
        """Return what tells it from the others."""
        return f"{self.suite}-{self.architecture}"


def inside(root: Path, *command: str, seconds: float = 1500) -> str:
    """Run a program in a root with a /proc, /sys and /dev, which end with it."""
    line = 'for d in proc sys dev; do mkdir -p "$0/$d"; mount --rbind "/$d" "$0/$d"; done; mount -t tmpfs tmp "$0/tmp"; exec chroot "$@"'
    settings = ("/usr/bin/env", "-i", "PATH=/usr/sbin:/usr/bin", "HOME=/root", "LANG=C.UTF-8")
    whole = [
        "unshare",
        "--mount",
        "--pid",
        "--fork",
        "nice",
        "-n",
        "5",
        "bash",
        "-euc",
        line,
        root,
        root,
        *settings,
        *command,
    ]
    done = subprocess.run(whole, capture_output=True, text=True, timeout=seconds, check=False)
    if done.returncode:
        raise TestFailed(f"{' '.join(command)}: {(done.stdout + done.stderr)[-4000:]}")
    return done.stdout


def _unpack(folder: Path, half: Half) -> None:
    links = 'for d in lib bin sbin lib64; do mkdir -p "$1/usr/$d"; ln -s usr/$d "$1/$d"; done'
    run("mmdebstrap", f"--architectures={half.architecture}", "--variant=extract", f"--include={','.join(PACKAGES)}",
        f"--setup-hook={links}", half.suite, folder / "root", debian.MIRROR)  # fmt: skip
    for name in ("passwd", "group"):
        source = folder / f"root/usr/share/base-passwd/{name}.master"
        (folder / "root/etc" / name).write_bytes(source.read_bytes())


def _wheels(folder: Path, half: Half, version: str) -> None:
    """Download what edge-vision and its tests need; pip's settings of this machine hold."""
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, ROOT)
    platforms = [part for tag in TAGS for part in ("--platform", f"manylinux_{tag}_{half.machine}")]
    wheel = next(folder.glob("edge_vision-*.whl"))
    run(sys.executable, "-m", "pip", "download", "-q", "--dest", folder, "--only-binary=:all:", "--python-version", version,
        *platforms, "--find-links", folder, "--ignore-requires-python", f"{wheel}[test]", "pip")  # fmt: skip


def prepared(half: Half) -> tuple[Path, str]:
    """Return a root with the tree and an environment at /edge, and its version of Python."""
    unpacked = made(f"half-{half.name}", [PACKAGES], lambda folder: _unpack(folder, half)) / "root"
    version = inside(
        unpacked, "/usr/bin/python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"
    ).strip()
    wheels = made(
        f"wheels-{half.name}",
        [version, ROOT / "pyproject.toml"],
        lambda folder: _wheels(folder, half, version),
    )
    edge = unpacked / "edge"
    subprocess.run(["rm", "-rf", "--one-file-system", edge], check=True)
    (edge / "tree").mkdir(parents=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True
    ).stdout
    packed = subprocess.run(
        ["tar", "--null", "-T", "-", "-c"], cwd=ROOT, input=listed, capture_output=True, check=True
    ).stdout
    subprocess.run(["tar", "-x", "-C", edge / "tree"], input=packed, check=True)
    run("cp", "-r", wheels, edge / "wheels")
    began = time.monotonic()
    inside(unpacked, "/usr/bin/python3", "-m", "venv", "--without-pip", "/edge/venv")
    pip = next((edge / "wheels").glob("pip-*.whl")).name
    inside(unpacked, "/edge/venv/bin/python", f"/edge/wheels/{pip}/pip", "install", "-q", "--no-compile", "--no-index",
           "--find-links", "/edge/wheels", "edge-vision[test]")  # fmt: skip
    figure(f"{half.name}: the wheels installed offline, s", round(time.monotonic() - began, 1))
    return unpacked, version


def tested(half: Half) -> Path:
    """Run the tests; return the root they ran in."""
    root, version = prepared(half)
    began = time.monotonic()
    # `-p no:cacheprovider`: what a run leaves behind would change the next one.
    said = inside(root, "/bin/sh", "-c", "cd /edge/tree; exec /edge/venv/bin/python -m pytest -q -p no:cacheprovider -m 'board and not slow' "
                  + " ".join(half.tests))  # fmt: skip
    summary = said.strip().splitlines()[-1]
    figure(f"{half.name}, Python {version}: tests", re.sub(r"=| in .*", "", summary).strip())
    check(f"the board half{' (a selection)' if half.tests else ''} passes on {half.name}, Python {version}",
          holds=" failed" not in summary, figure=f"{time.monotonic() - began:.0f} s")  # fmt: skip
    return root


def arm64(*, whole: bool) -> None:
    """The board half on arm64, and the built-in model's detections there beside those here."""
    root = tested(Half("trixie", "aarch64", "arm64", () if whole else SELECTION))
    if not whole:
        say(f"        not all of the board half: {', '.join(SELECTION)}")
    script = "scripts/boardtest/compare_detections.py"
    inside(
        root,
        "/bin/sh",
        "-c",
        f"cd /edge/tree; PYTHONPATH=. /edge/venv/bin/python {script} /edge/found.json",
    )
    here = CACHE / "found.json"
    run(sys.executable, ROOT / script, here, cwd=ROOT)
    compare(json.loads(here.read_text()), json.loads((root / "edge/found.json").read_text()))


def compare(
    here: dict[str, dict[str, dict[str, list[float]]]],
    there: dict[str, dict[str, dict[str, list[float]]]],
) -> None:
    """Hold what two machines say of the same images to one quantum."""
    quanta, scores, boxes = 0.0, 0.0, 0.0
    for name, ours in here["images"].items():
        theirs = there["images"][name]
        check(
            f"{name}: the same objects on both",
            holds=ours["classes"] == theirs["classes"],
            figure=len(ours["classes"]),
        )
        scores = max([scores, *_differences(ours["scores"], theirs["scores"])])
        for one, other in zip(ours["boxes"], theirs["boxes"], strict=True):
            boxes = max([boxes, *_differences(one, other)])  # type: ignore[arg-type]
        for head, values in ours["heads"].items():  # type: ignore[attr-defined]
            quanta = max([quanta, *_differences(values, theirs["heads"][head])])  # type: ignore[call-overload]
    figure("arm64 against x86-64: largest difference of a raw head, quanta", quanta)
    figure("arm64 against x86-64: largest difference of a score", round(scores, 6))
    figure("arm64 against x86-64: largest difference of a box, pixels", round(boxes, 3))
    check("within one quantum", holds=quanta <= 1, figure=quanta)


def _differences(ours: list[float], theirs: list[float]) -> list[float]:
    return [abs(one - other) for one, other in zip(ours, theirs, strict=True)]


def next_python() -> None:
    """The whole board half on the Python of Debian's next release, on this architecture."""
    tested(Half("forky", "x86_64", "amd64", ()))
