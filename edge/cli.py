"""The `edge` command: one verb a job."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.terminal.command import DONE, FAILED, add_verb, new_parser, positive, run
from edge.verbs import bench
from edge.verbs import eval as verb

if TYPE_CHECKING:
    from collections.abc import Sequence


EPILOG = """examples:
  edge run                                   built-in model and source, JSON lines on stdout
  edge run --source file:street.mp4 --mqtt mqtt://localhost
  edge run /etc/edge/door.toml
  edge check /etc/edge/door.toml
  edge inspect model.tflite
  edge eval model.tflite --images photos --annotations instances.json
  edge bench model.tflite --source v4l2:/dev/video0 --json bench.json --html bench.html
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit status."""
    return run(_parser(), argv)


def _parser() -> argparse.ArgumentParser:
    parser = new_parser(
        "edge",
        "Run a detector or segmenter on camera frames and publish what it sees.",
        epilog=EPILOG,
    )
    parser.add_argument("--version", action=_Version, help="show the version and exit")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    _add_run(verbs)
    _add_check(verbs)
    _add_inspect(verbs)
    _add_demo(verbs)
    verb.add(verbs)
    bench.add(verbs)
    return parser


class _Version(argparse.Action):
    """Looks the version up only when somebody asks; that costs 20 ms."""

    def __init__(self, option_strings: list[str], dest: str, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(option_strings, dest, nargs=0, **kwargs)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Print it and end the program."""
        from importlib.metadata import version  # noqa: PLC0415

        print(f"edge-vision {version('edge-vision')}")
        parser.exit()


def _add_run(verbs: Any) -> None:  # noqa: ANN401
    parser = add_verb(
        verbs, "run", "Run a model on a source's frames until it ends or Ctrl-C.", run=_run
    )
    parser.add_argument("config", metavar="CONFIG", nargs="?", type=Path, help="a TOML file")
    parser.add_argument(
        "--source",
        metavar="URI",
        help="demo:, file:PATH (video or image), images:FOLDER, or v4l2:/dev/video0",
    )
    parser.add_argument("--model", metavar="FILE", type=Path, help="a model of edge-convert")
    parser.add_argument("--delegate", metavar="NAME", help="what runs the model: cpu or edgetpu")
    parser.add_argument(
        "--mqtt", metavar="URL", help="mqtt://[USER@]HOST[:PORT], or mqtts:// for TLS"
    )
    parser.add_argument("--loop", action="store_true", help="start a file again at its end")
    parser.add_argument(
        "--realtime", action="store_true", help="play a file at its own pace, dropping late frames"
    )
    parser.add_argument("--jsonl", action="store_true", help="JSON lines on stdout beside MQTT")
    parser.add_argument("--frames", metavar="N", type=positive, help="stop after N frames")


def _add_check(verbs: Any) -> None:  # noqa: ANN401
    parser = add_verb(
        verbs,
        "check",
        "Find every fault of a configuration; no network, no device is touched.",
        run=_check,
    )
    parser.add_argument("config", metavar="CONFIG", type=Path, help="a TOML file")
    parser.add_argument("--json", action="store_true", help="faults as JSON")


def _add_inspect(verbs: Any) -> None:  # noqa: ANN401
    parser = add_verb(
        verbs, "inspect", "Show a model's tensors, head, labels and origin.", run=_inspect
    )
    parser.add_argument(
        "model", metavar="MODEL", nargs="?", type=Path, help="a .tflite (default: the built-in one)"
    )
    parser.add_argument("--json", action="store_true", help="the same as JSON")


def _add_demo(verbs: Any) -> None:  # noqa: ANN401
    parser = add_verb(
        verbs,
        "demo",
        "Broker, model and subscriber on this machine; writes an annotated image.",
        run=_demo,
    )
    parser.add_argument("--frames", metavar="N", type=positive, default=360, help="default: 360")
    parser.add_argument(
        "--model", metavar="FILE", type=Path, help="a model of edge-convert (default: built-in)"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        type=Path,
        default=Path("demo.jpg"),
        help="default: demo.jpg",
    )


def _overrides(arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    camera: dict[str, Any] = {}
    if arguments.source is not None:
        camera["source"] = arguments.source
    if arguments.loop:
        camera["loop"] = True
    if arguments.realtime:
        camera["realtime"] = True
    overrides: dict[str, dict[str, Any]] = {"camera": camera}
    if arguments.model is not None:
        overrides.setdefault("model", {})["file"] = arguments.model
    if arguments.delegate is not None:
        overrides.setdefault("model", {})["delegate"] = arguments.delegate
    if arguments.mqtt is not None:
        overrides["mqtt"] = {"url": arguments.mqtt}
    if arguments.jsonl:
        overrides["output"] = {"jsonl": True}
    return overrides


def _run(arguments: argparse.Namespace) -> int:
    from edge import app  # noqa: PLC0415 - `edge --help` needs neither OpenCV nor LiteRT
    from edge.config import reading as config  # noqa: PLC0415 - `edge --help` needs neither OpenCV nor LiteRT

    settings = config.load(arguments.config, _overrides(arguments))
    app.run(settings, max_frames=arguments.frames)
    return DONE


def _check(arguments: argparse.Namespace) -> int:
    from edge.verbs import check  # noqa: PLC0415

    faults = check.faults(arguments.config)
    if arguments.json:
        print(json.dumps({"config": str(arguments.config), "faults": faults}, indent=1))
    elif not faults:
        print(f"{arguments.config}: no faults")
    for fault in [] if arguments.json else faults:
        print(f"edge: {fault}", file=sys.stderr)
    return FAILED if faults else DONE


def _inspect(arguments: argparse.Namespace) -> int:
    from edge.model import model_file  # noqa: PLC0415
    from edge.model.default import default_model_path  # noqa: PLC0415
    from edge.verbs import inspection  # noqa: PLC0415

    file = model_file.read(arguments.model or default_model_path())
    facts = inspection.inspect(file)
    print(json.dumps(facts, indent=1) if arguments.json else inspection.render(facts))
    return DONE


def _demo(arguments: argparse.Namespace) -> int:
    from edge.demo import demonstration as demo  # noqa: PLC0415

    print(demo.run(frames=arguments.frames, output=arguments.output, model=arguments.model))
    return DONE
