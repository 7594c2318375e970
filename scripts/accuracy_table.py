"""Convert the real models as a user would, and say what int8 costs: docs/accuracy.md.

Each model of `scripts/accuracy_entries.py` goes through `edge-convert run` in a process of its own.
Needs the `converter` extra and the development assets (EDGE_ASSETS, or shared/assets beside the
repository). Exit status 1: a conversion failed or was refused by the gate.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from accuracy_entries import ENTRIES, Entry, options_of  # noqa: E402
from accuracy_page import page, tables  # noqa: E402

from converter.graph.reading import read  # noqa: E402
from converter.judge.latency import measure  # noqa: E402
from edge.errors import ConfigError, EdgeError, ModelError, SourceError  # noqa: E402
from edge.model import model_file  # noqa: E402

MISUSED = 2
SAMPLE_S = 0.1
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
MIB = 2**20


@dataclass(frozen=True, slots=True)
class Process:
    """What one run of the command took.

    Attributes:
        cpu_s: User and system time of the process and of its children.
        peak_mib: Resident memory of all of them together, sampled every `SAMPLE_S`.
    """

    status: int
    stdout: str
    stderr: str
    cpu_s: float
    elapsed_s: float
    peak_mib: float


def main() -> int:
    """Convert, print the tables, write the page."""
    arguments = _parser().parse_args()
    try:
        with tempfile.TemporaryDirectory() as folder:
            work = (arguments.work or Path(folder)).resolve()
            work.mkdir(parents=True, exist_ok=True)
            results = _results(arguments, work)
    except EdgeError as error:
        print(f"accuracy_table: {error}", file=sys.stderr)
        return 1
    print(tables(results))
    if arguments.write:
        page(arguments.write, results)
    return int(any(result["verdict"] == "refused" for result in results.values()))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/accuracy_table", description=__doc__)
    parser.add_argument("--assets", metavar="DIR", type=Path, help="the development assets")
    parser.add_argument(
        "--only", metavar="NAME", action="append", choices=tuple(ENTRIES),
        help=f"one of {', '.join(ENTRIES)}; may be given more than once",
    )  # fmt: skip
    parser.add_argument(
        "--work", metavar="DIR", type=Path,
        help="keep the files here, and add the results of earlier runs that lie here",
    )  # fmt: skip
    parser.add_argument("--write", metavar="FILE", type=Path, help="the page, docs/accuracy.md")
    parser.add_argument(
        "--stored", action="store_true", help="convert nothing, tabulate the results in --work"
    )
    parser.add_argument("--once", action="store_true", help="leave out the second run")
    parser.add_argument(
        "--images", metavar="N", type=int, help="for calibration and judging each; default: all"
    )
    return parser


def _results(arguments: argparse.Namespace, work: Path) -> dict[str, dict[str, object]]:
    """Return name to result, of this run and of earlier ones, in the order of the table."""
    assets = arguments.assets or find_assets()
    results: dict[str, dict[str, object]] = {}
    for name, entry in ENTRIES.items():
        stored = work / f"{name}.json"
        if not arguments.stored and name in (arguments.only or ENTRIES):
            print(f"accuracy_table: {name} …", file=sys.stderr)
            result = _result(name, entry, assets, work=work, arguments=arguments)
            stored.write_text(json.dumps(result, indent=1) + "\n")
        if stored.is_file():
            results[name] = json.loads(stored.read_text())
    return results


def find_assets() -> Path:
    """Return the folder of the development assets."""
    named = os.environ.get("EDGE_ASSETS")
    folder = Path(named) if named else ROOT.parent / "shared" / "assets"
    if not folder.is_dir():
        raise SourceError(
            "expected the development assets, found none; name their folder: --assets DIR"
        )
    return folder


def _result(
    name: str, entry: Entry, assets: Path, *, work: Path, arguments: argparse.Namespace
) -> dict[str, object]:
    """Convert one model, twice unless told otherwise, and return all that is known of it."""
    options = options_of(entry, assets, work)
    if arguments.images:
        options += ["--count", str(arguments.images), "--held-back", str(arguments.images)]
    output, reference = work / f"{name}.tflite", work / f"{name}_float.tflite"
    process = _convert(options, output, reference)
    delivered = _delivered(output)
    digest = hashlib.sha256(delivered.read_bytes()).hexdigest()
    is_same = None
    if not arguments.once:
        again = work / "again" / output.name
        again.parent.mkdir(exist_ok=True)
        _convert(options, again, work / "again" / reference.name)
        is_same = hashlib.sha256(_delivered(again).read_bytes()).hexdigest() == digest
    files = {"float": model_file.read(reference), "int8": model_file.read(delivered)}
    described = files["int8"].manifest
    graph = read(files["int8"].flatbuffer, delivered)
    bill = json.loads(process.stdout)
    return {
        **bill,
        "digest": digest,
        "is_same": is_same,
        "cpu_s": process.cpu_s,
        "elapsed_s": process.elapsed_s,
        "peak_mib": process.peak_mib,
        "float_ops": len(graph.float_ops()),
        "ops": len(graph.ops),
        "changes": described.provenance.changes,
        "recipe": described.provenance.recipe,
        "tools": described.provenance.tools,
        "seed": described.provenance.seed,
        "calibration_images": described.calibration.images if described.calibration else 0,
        "calibrator": described.calibration.method if described.calibration else "",
        "attempts": [line for line in process.stderr.splitlines() if ": tried " in line],
        "latency": {key: asdict(value) for key, value in measure(files).items()},
        "command": _command(options, assets),
        "dated": time.strftime("%Y-%m-%d"),
    }


def _command(options: list[str], assets: Path) -> str:
    words = [word.replace(f"{assets}/", "") for word in options]
    return " ".join(["edge-convert run", *(Path(w).name if w[0] == "/" else w for w in words)])


def _convert(options: list[str], output: Path, reference: Path) -> Process:
    """Run the command.

    Raises:
        ConfigError: It calls that misuse.
        ModelError: It failed before there was a file to judge.
    """
    for path in (output, _rejected(output)):
        path.unlink(missing_ok=True)
    process = run_measured(
        [sys.executable, "-m", "converter", "run", *options, "--json", "--no-report",
         "--float", str(reference), "-o", str(output)]
    )  # fmt: skip
    last = process.stderr.strip().splitlines()[-1:] or ["no message"]
    if process.status == MISUSED:
        raise ConfigError(f"edge-convert: {last[0]}")
    if not output.exists() and not _rejected(output).exists():
        raise ModelError(f"edge-convert failed with status {process.status}: {last[0]}")
    return process


def _rejected(output: Path) -> Path:
    return output.with_name(f"{output.name}.rejected")


def _delivered(output: Path) -> Path:
    return output if output.exists() else _rejected(output)


def run_measured(command: list[str]) -> Process:
    """Run a command and measure it and its children."""
    started = time.monotonic()
    with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
        child = subprocess.Popen(command, stdout=stdout, stderr=stderr, cwd=ROOT)
        peak_bytes, pid = 0, 0
        while not pid:
            peak_bytes = max(peak_bytes, _tree_bytes(child.pid))
            time.sleep(SAMPLE_S)
            pid, status, usage = os.wait4(child.pid, os.WNOHANG)
        child.returncode = os.waitstatus_to_exitcode(status)
        texts = []
        for stream in (stdout, stderr):
            stream.seek(0)
            texts.append(stream.read())
    return Process(
        status=child.returncode,
        stdout=texts[0],
        stderr=texts[1],
        cpu_s=usage.ru_utime + usage.ru_stime,
        elapsed_s=time.monotonic() - started,
        peak_mib=peak_bytes / MIB,
    )


def _tree_bytes(pid: int) -> int:
    """Return the resident memory of a process and its descendants; 0 of those that have ended."""
    try:
        statm = Path(f"/proc/{pid}/statm").read_text()
        lists = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:  # ended meanwhile
        return 0
    children = [int(word) for text in lists for word in text.split()]
    return int(statm.split()[1]) * PAGE_BYTES + sum(map(_tree_bytes, children))


if __name__ == "__main__":
    sys.exit(main())
