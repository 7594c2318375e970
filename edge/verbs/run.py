"""The verb `edge run`: its options, and what they change of a configuration."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.errors import ConfigError
from edge.terminal.command import add_verb, positive

if TYPE_CHECKING:
    import argparse

    from edge.config.sections import Config
    from edge.model.model_file import ModelFile
    from edge.service.life import Life


def add(verbs: Any) -> None:  # noqa: ANN401
    """Add the verb to a command."""
    parser = add_verb(
        verbs,
        "run",
        "Run a model on frames and publish what it sees.",
        run=run,
        examples=[
            "edge run --source file:street.mp4 --mqtt mqtt://localhost",
            "edge run /etc/edge/door.toml --frames 100 --jsonl",
        ],
    )
    parser.add_argument("config", metavar="CONFIG", nargs="?", type=Path, help="a TOML file")
    parser.add_argument(
        "--source",
        metavar="URI",
        help="demo:, file:PATH (video or image), images:FOLDER, replay:FILE, picamera:, "
        "v4l2:/dev/video0, rtsp://HOST/PATH, http://HOST/PATH, csi:0, or gst:PIPELINE",
    )
    parser.add_argument(
        "--password-file", metavar="FILE", type=Path, help="of the user in a network camera's URI"
    )
    parser.add_argument("--model", metavar="FILE", type=Path, help="a model of edge-convert")
    parser.add_argument(
        "--description", metavar="FILE", type=Path, help="a TOML that describes the model"
    )
    parser.add_argument(
        "--delegate", metavar="NAME",
        help="what runs the model, such as edgetpu, cuda or hailo (docs/configuration.md)",
    )  # fmt: skip
    parser.add_argument(
        "--mqtt", metavar="URL", help="mqtt://[USER@]HOST[:PORT], or mqtts:// for TLS"
    )
    parser.add_argument("--loop", action="store_true", help="start a file again at its end")
    parser.add_argument(
        "--realtime", action="store_true", help="play a file at its own pace, dropping late frames"
    )
    parser.add_argument("--jsonl", action="store_true", help="JSON lines on stdout beside MQTT")
    parser.add_argument(
        "--no-safe", action="store_true", help="as a service, start at once after failed starts"
    )
    parser.add_argument("--frames", metavar="N", type=positive, help="stop after N frames")


def run(arguments: argparse.Namespace) -> None:
    """Run, under a service manager with a guard against starts that fail again and again."""
    from edge.service import is_managed  # noqa: PLC0415 - `edge --help` needs none

    if not (arguments.config and is_managed()):
        return _run(arguments)
    from edge.service.safe import guarded  # noqa: PLC0415

    files = filter(None, (arguments.model, arguments.description))
    return guarded(
        partial(_run, arguments), arguments.config, files=files, waits=not arguments.no_safe
    )


def _run(arguments: argparse.Namespace, life: Life | None = None) -> None:
    """Refuse what `edge check` refuses, then run."""
    from edge import running  # noqa: PLC0415 - `edge --help` needs neither OpenCV nor LiteRT

    settings, file = _checked(arguments)
    reread = (lambda: _checked(arguments)[0]) if arguments.config else None
    running.run(
        settings,
        file,
        max_frames=arguments.frames,
        reread=reread,
        path=arguments.config,
        life=life,
    )


def _checked(arguments: argparse.Namespace) -> tuple[Config, ModelFile]:
    from edge.config import reading  # noqa: PLC0415
    from edge.verbs.check import examine  # noqa: PLC0415

    settings = reading.load(arguments.config, _overrides(arguments))
    file, faults = examine(settings)
    if file is None or faults:
        raise ConfigError("\n".join(faults))
    return settings, file


def _overrides(arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    given: dict[str, dict[str, Any]] = {
        "camera": {
            "source": arguments.source,
            "password_file": arguments.password_file,
            "loop": arguments.loop or None,
            "realtime": arguments.realtime or None,
        },
        "model": {
            "file": arguments.model,
            "description": arguments.description,
            "delegate": arguments.delegate,
        },
        "mqtt": {"url": arguments.mqtt},
        "output": {"jsonl": arguments.jsonl or None},
    }
    chosen = {
        section: {key: value for key, value in keys.items() if value is not None}
        for section, keys in given.items()
    }
    return {section: keys for section, keys in chosen.items() if keys}
