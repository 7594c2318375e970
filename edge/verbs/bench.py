"""The verb `edge bench`: its options, and what it does with them."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.benchmark import duration
from edge.errors import ConfigError
from edge.model.delegates import CPU
from edge.terminal.command import (
    DONE,
    add_descriptions,
    add_verb,
    descriptions,
    positive,
    write_text,
)

if TYPE_CHECKING:
    from edge.benchmark.result import Result
    from edge.config.sections import Config

COMPARE = "compare"
COMPARED_FILES = 2
# Options that mean nothing to `edge bench compare`.
BENCH_ONLY = (
    "description", "source", "loop", "realtime", "duration", "sustained", "threads", "workers",
    "delegate", "starts", "layers", "html",
)  # fmt: skip
STARTS = 3


def add(verbs: Any) -> None:  # noqa: ANN401
    """Add the verb to a command."""
    parser = add_verb(
        verbs,
        "bench",
        "Measure models on this machine: bare invoke, end to end, heat; or: bench compare A B.",
        run=run,
        examples=[
            "edge bench my.tflite --source v4l2:/dev/video0 --json before.json --html bench.html",
            "edge bench compare before.json after.json",
        ],
    )
    parser.add_argument(
        "models", metavar="MODEL", nargs="*", action=_Models,
        help="models of edge-convert (default: the built-in one); or: compare A.json B.json",
    )  # fmt: skip
    add_descriptions(parser)
    parser.add_argument("--source", metavar="URI", default="demo:", help="as of edge run")
    parser.add_argument("--password-file", metavar="FILE", type=Path, help="of the URI's user")
    parser.add_argument("--loop", action="store_true", help="start a file again at its end")
    parser.add_argument(
        "--realtime", action="store_true", help="let the source keep its pace, dropping late frames"
    )
    parser.add_argument(
        "--duration", metavar="TIME", type=duration.parse, default=60.0,
        help="of each setting (default: 60s)",
    )  # fmt: skip
    parser.add_argument(
        "--sustained", metavar="TIME", type=duration.parse, default=0.0,
        help="then run each setting without a break, such as 10m",
    )  # fmt: skip
    parser.add_argument(
        "--threads", metavar="N,N", type=_numbers, default=(0,),
        help="of the interpreter, such as 1,2,4 (default: as edge run chooses)",
    )  # fmt: skip
    parser.add_argument(
        "--workers", metavar="N,N", type=_numbers, default=(1,),
        help="interpreters at the same time, such as 1,2 (default: 1)",
    )  # fmt: skip
    parser.add_argument(
        "--delegate", metavar="NAME,NAME", type=_names, default=(CPU,),
        help=f"what runs the models, such as cpu,edgetpu (default: {CPU})",
    )  # fmt: skip
    parser.add_argument(
        "--starts", metavar="N", type=_count, default=STARTS,
        help=f"processes to start for the cold start; 0 for none (default: {STARTS})",
    )  # fmt: skip
    parser.add_argument("--layers", action="store_true", help="time each op of the models instead")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures as JSON")
    parser.add_argument("--html", metavar="FILE", type=Path, help="write a page with plots")
    parser.set_defaults(default_of=parser.get_default)


class _Models(argparse.Action):
    """Keeps the words; behind `compare` the help is that of `edge bench compare`."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        words: Any,  # noqa: ANN401 - as argparse hands them on
        *_: object,
    ) -> None:
        """Keep them."""
        setattr(namespace, self.dest, words)
        if words[:1] == [COMPARE]:
            parser.print_help = _compare_parser().print_help  # type: ignore[method-assign]


def _compare_parser() -> argparse.ArgumentParser:
    """Return what describes `edge bench compare`."""
    parser = argparse.ArgumentParser(
        prog="edge bench compare",
        description="Compare two files of edge bench --json: each figure's ratio with its 95 %\n"
        "interval, and what else differs. Compared are the settings that both have, or the\n"
        "only one of each.",
        epilog="example:\n  edge bench compare before.json after.json",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("A.json", help="the ratio is B over this")
    parser.add_argument("B.json", help="the later run")
    parser.add_argument("--json", metavar="FILE", help="write the comparison as JSON")
    parser.add_argument("--debug", action="store_true", help="show tracebacks and debug messages")
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Measure or compare, print, and write what was asked for."""
    if arguments.models[:1] == [COMPARE]:
        return _compare(arguments)
    if arguments.layers:
        return _layers(arguments)
    from edge.benchmark import report  # noqa: PLC0415 - `edge --help` needs no OpenCV

    if arguments.html is not None:
        from edge.pages.page import check_packages  # noqa: PLC0415

        check_packages()
    result = _measure(arguments)
    print(report.render(result))
    if arguments.json is not None:
        write_text(arguments.json, json.dumps(result.plain(), indent=1, ensure_ascii=False) + "\n")
    if arguments.html is not None:
        from edge.benchmark import page  # noqa: PLC0415

        write_text(arguments.html, page.render(result))
    return DONE


def _measure(arguments: argparse.Namespace) -> Result:
    from edge.benchmark.measuring import Plan, measure  # noqa: PLC0415
    from edge.terminal.progress import bar  # noqa: PLC0415

    plan = Plan(
        duration_s=arguments.duration, sustained_s=arguments.sustained, starts=arguments.starts
    )
    with bar("bench", unit="windows") as progress:
        return measure(_configs(arguments), plan, progress=progress)


def _configs(arguments: argparse.Namespace) -> list[Config]:
    from edge.config import reading as config  # noqa: PLC0415

    camera: dict[str, Any] = {"source": arguments.source, "loop": arguments.loop}
    if arguments.password_file:
        camera["password_file"] = arguments.password_file.absolute()
    # Of these sources the fastest is asked for: a camera cannot be hurried.
    if arguments.realtime or arguments.source.partition(":")[0] in {"demo", "file", "images"}:
        camera["realtime"] = arguments.realtime
    return [
        config.parse(
            {
                "camera": camera,
                "model": {
                    "file": file,
                    "description": description,
                    "threads": threads,
                    "workers": workers,
                    "delegate": delegate,
                },
            }
        )
        for file, description in _models(arguments)
        for threads in arguments.threads
        for workers in arguments.workers
        for delegate in arguments.delegate
    ]


def _models(arguments: argparse.Namespace) -> list[tuple[Path | None, Path | None]]:
    """Return each model with what describes it; `None` for the built-in one, and for its own."""
    named = zip(arguments.models, descriptions(arguments), strict=True)
    return [(Path(name), description) for name, description in named] or [(None, None)]


def _layers(arguments: argparse.Namespace) -> int:
    from edge import app  # noqa: PLC0415
    from edge.benchmark import layers  # noqa: PLC0415
    from edge.model.model_file import TFLITE  # noqa: PLC0415
    from edge.terminal.progress import bar  # noqa: PLC0415

    if arguments.html is not None:
        raise ConfigError("--layers writes no page; leave --html out, or take --json FILE")
    if arguments.delegate != (CPU,):
        raise ConfigError("--layers times the ops on the CPU; leave --delegate out")
    if arguments.workers != (1,):
        raise ConfigError("--layers times the ops of one interpreter; leave --workers out")
    timed = []
    for path, description in _models(arguments):
        file = app.read_model(path, description=description)
        if file.format != TFLITE:
            raise ConfigError(f"{file.path}: --layers times the ops of a .tflite; leave it out")
        for threads in arguments.threads:
            with bar("layers", unit="ops") as progress:
                timed.append(layers.measure(file, threads=max(1, threads), progress=progress))
    print("\n\n".join(map(layers.render, timed)))
    if arguments.json is not None:
        write_text(arguments.json, json.dumps(layers.fields(timed), indent=1) + "\n")
    return DONE


def _compare(arguments: argparse.Namespace) -> int:
    from edge.benchmark import comparison, result  # noqa: PLC0415

    paths = [Path(name) for name in arguments.models[1:]]
    if given := [key for key in BENCH_ONLY if vars(arguments)[key] != arguments.default_of(key)]:
        raise ConfigError(f"edge bench compare takes no --{' or --'.join(given)}; leave it out")
    if len(paths) != COMPARED_FILES:
        raise ConfigError(
            f"expected: edge bench compare A.json B.json, found {len(paths)} files behind compare"
        )
    compared = comparison.compare(*map(result.read, paths))
    print(comparison.render(compared))
    if arguments.json is not None:
        write_text(arguments.json, json.dumps(comparison.fields(compared), indent=1) + "\n")
    return DONE


def _numbers(text: str) -> tuple[int, ...]:
    """Return an argument of numbers between commas, each once; for argparse's `type`."""
    return tuple(dict.fromkeys(positive(part.strip()) for part in text.split(",")))


def _names(text: str) -> tuple[str, ...]:
    """Return an argument of names between commas, each once; for argparse's `type`."""
    return tuple(dict.fromkeys(part.strip() for part in text.split(",")))


def _count(text: str) -> int:
    return 0 if text == "0" else positive(text)
