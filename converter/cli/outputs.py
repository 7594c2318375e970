"""What the verbs of `edge-convert` write and say, and what lies there of an earlier run."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from converter import export
from converter.cli import targets
from converter.judge.bill import as_text
from converter.judge.gate import as_json, estimate
from converter.quantize.islands import remarks
from edge.terminal.command import DONE, FAILED

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from pathlib import Path

    from calibration.dataset import ImageSet
    from converter.conversion import Conversion
    from converter.deliver.targets.delivery import Made
    from converter.quantize.recipe import Recipe
    from edge.model.model_file import ModelFile


def say(text: str) -> None:
    """Print a line beside the results."""
    print(f"edge-convert: {text}", file=sys.stderr)


@contextmanager
def resumable(folder: Path) -> Iterator[None]:
    """Say on Ctrl-C how to go on with what lies in a folder, if anything does."""
    try:
        yield
    except KeyboardInterrupt:
        if folder.is_dir() and any(folder.iterdir()):
            say(f"interrupted; the same line with --resume goes on with what lies in {folder}")
        raise


def say_trained_on(file: ModelFile, judge: ImageSet) -> None:
    """Say where images that are to judge a model trained it: the verdict then flatters it."""
    from calibration.image_sets import DIGITS  # noqa: PLC0415 - inspect needs no OpenCV

    trained = file.own_manifest().image_sets.get("train")
    known = set(trained.contents) if trained else set()
    count = sum(content[:DIGITS] in known for content in judge.contents)
    if count:
        say(
            f"{count} of the {len(judge.paths)} images that judge trained the model, so that the "
            "verdict flatters it; give --images that did not"
        )


def check_report(arguments: argparse.Namespace, model: Path) -> None:
    """Refuse a place of the report that holds something else.

    Raises:
        SinkError: It does.
    """
    from converter.deliver.report import folder  # noqa: PLC0415 - inspect needs no OpenCV

    if arguments.report:
        folder.check_folder(folder.folder_of(model))


def deliver(arguments: argparse.Namespace, done: Conversion) -> int:
    """Write a converted model and what is to lie beside it; return the exit status.

    A model that is refused takes another name, and its report likewise: what an earlier run made
    stays as it is.
    """
    output, is_refused = arguments.output, done.verdict.is_refused
    path = output.with_name(f"{output.name}.rejected") if is_refused else output
    export.write(done.quantized, path)
    tell(arguments, done, path)
    made = _deliver_targets(arguments, done)
    if arguments.report:
        lines = tuple(one.text.splitlines()[-1] for one in made)
        report(done, path, files=lines)
    say_leftovers(output, done.quantized, made=[path, *(one.path for one in made if one.path)])
    return FAILED if is_refused or any(one.is_refused for one in made) else DONE


def _deliver_targets(arguments: argparse.Namespace, done: Conversion) -> list[Made]:
    """Make what is asked for beside a converted model; nothing of a rejected one.

    Returns:
        Those of which there is a file.
    """
    wanted = targets.targets_of(arguments)
    if not wanted:
        return []
    if done.verdict.is_refused:
        say("no other files are made of a model that is rejected")
        return []
    from converter.deliver.targets import delivery  # noqa: PLC0415 - loads OpenCV

    images = done.sets.calibrate if done.sets else None
    sources = delivery.Sources(done.made_of, done.quantized, images, done.judgement, done.budget)
    made = []
    for one in delivery.deliver(sources, wanted, stem=delivery.stem_of(arguments.output)):
        print(one.text, file=sys.stderr if arguments.json else sys.stdout)
        made.append(one)
    return [one for one in made if one.path]


def say_leftovers(output: Path, file: ModelFile, *, made: list[Path]) -> None:
    """Name what an earlier run left where this one puts its files, and is not of this model.

    A report or a compiled file of another model is a trap; but it is the user's: nothing is
    deleted.

    Args:
        output: What was asked for, such as `o.tflite`.
        file: What this run made.
        made: The files that this run wrote.
    """
    from converter.deliver.report.folder import folder_of, subject_digest  # noqa: PLC0415
    from converter.deliver.targets.delivery import SUFFIXES, stem_of  # noqa: PLC0415 - as above

    rejected, stem = output.with_name(f"{output.name}.rejected"), stem_of(output)
    files = [
        output,
        rejected,
        *(stem.with_name(f"{stem.name}{suffix}") for row in SUFFIXES.values() for suffix in row),
    ]
    left = [path for path in files if path.is_file() and path not in made]
    digests = {place: subject_digest(place) for place in map(folder_of, (output, rejected))}
    left += [place for place, of in digests.items() if of not in (None, file.description.digest)]
    for path in left:
        say(f"{path}: left as an earlier run made it, of another model than this")


def report(done: Conversion, model: Path, *, files: tuple[str, ...] = ()) -> None:
    """Make the report beside a model, and say where."""
    from converter.deliver.report.folder import deliver as deliver_report  # noqa: PLC0415

    say(f"report: {deliver_report(done, model, files=files)}")


def say_remarks(output: Path, quantized: ModelFile, recipe: Recipe) -> None:
    """Say what the recipe is for, and what stays out of its precision."""
    for clause in remarks(quantized, recipe):
        say(f"{output}: {clause}")


def tell(arguments: argparse.Namespace, done: Conversion, path: Path) -> None:
    """Print the bill and what it means, as text or JSON, and the verdict with its reasons."""
    if arguments.json:
        print(json.dumps(as_json(done.bill, done.budget), indent=1))
    else:
        print(as_text(done.bill))
        if said := estimate(done.bill):
            print(f"estimate    {said}")
        print(f"verdict     {done.verdict.value}")
    say(f"{path}: {done.verdict}")
