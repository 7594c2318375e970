"""The `edge-convert` command: make one proven int8 file of a float model."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converter import export
from converter.cli import (
    foreign,
    making,
    options,
    outputs,
    prune,
    pruning,
    recovery,
    targets,
    training,
)
from converter.graph import inspection
from converter.graph.reading import read, read_bytes
from converter.importers.heads.families import FAMILIES
from converter.importing import ask, import_model, is_ours, is_tflite
from converter.judge.gate import judge as verdict_on
from edge.model import model_file
from edge.terminal.command import DONE, FAILED, add_verb, new_parser, run

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit status."""
    words = options.join_signed(sys.argv[1:] if argv is None else argv)
    return run(new_command(), words, log_level=logging.WARNING)


def new_command() -> argparse.ArgumentParser:
    """Return the command's parser."""
    command = new_parser(
        "edge-convert",
        "Turn a float model of images into one int8 .tflite that is proved good enough.",
    )
    verbs = command.add_subparsers(required=True, metavar="VERB")
    _add_run(verbs)
    prune.add_prune(verbs)
    training.add_train(verbs)
    _add_quantize(verbs)
    _add_verify(verbs)
    _add_inspect(verbs)
    targets.add_export(verbs)
    return command


def _add_run(verbs: Any) -> None:  # noqa: ANN401
    parser = add_verb(
        verbs,
        "run",
        "Import, calibrate, quantise, verify, and write one file.",
        run=_run,
        examples=[
            "edge-convert run model.json --family ssd --images photos -o my.tflite",
            "edge-convert run unet.h5 --family unet --images photos --input bgr -o my.tflite",
        ],
    )
    # All options in a row would be a fifth of the page.
    parser.usage = "edge-convert run [options] MODEL --images DIR -o FILE"
    parser.add_argument("model", metavar="MODEL", type=Path, help=options.MODEL_HELP)
    parser.add_argument(
        "--family", choices=tuple(FAMILIES), help="what it gives, where the file does not tell"
    )
    options.add_model(parser)
    parser.add_argument("--name", help="of the model; default: that of the output file")
    parser.add_argument("--source", metavar="TEXT", help="where the weights come from")
    parser.add_argument("--license", metavar="TEXT", help="of the weights")
    parser.add_argument("--float", metavar="FILE", type=Path, help="keep the float model here")
    pruning.add_run(parser)
    making.add_quantization(parser)
    making.add_judgement(parser, report=True)
    parser.add_argument(
        "--no-repair", action="store_true", help="refuse at once what is beyond the budget"
    )
    recovery.add_qat(parser)
    targets.add_targets(parser)
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, required=True)


def _add_quantize(verbs: Any) -> None:  # noqa: ANN401
    parser = add_verb(
        verbs,
        "quantize",
        "Calibrate and quantise a float .tflite of ours.",
        run=_quantize,
        examples=["edge-convert quantize my-float.tflite --images photos -o my.tflite"],
    )
    parser.add_argument("model", metavar="MODEL", type=Path)
    parser.add_argument("--images", metavar="DIR", type=Path, required=True)
    making.add_quantization(parser)
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, required=True)


def _add_verify(verbs: Any) -> None:  # noqa: ANN401
    parser = add_verb(
        verbs,
        "verify",
        "Compare a quantised model with its float model.",
        run=_verify,
        examples=["edge-convert verify my-float.tflite my.tflite --images photos --report"],
    )
    parser.add_argument("reference", metavar="FLOAT", type=Path)
    parser.add_argument("quantized", metavar="QUANTISED", type=Path)
    making.add_seed(parser)
    making.add_judgement(parser, report=False)


def _add_inspect(verbs: Any) -> None:  # noqa: ANN401
    parser = add_verb(
        verbs,
        "inspect",
        "List the ops of a .tflite; say what a foreign model is and what is missing.",
        run=_inspect,
        examples=["edge-convert inspect my.tflite", "edge-convert inspect unet.h5 --family unet"],
    )
    parser.add_argument("model", metavar="MODEL", type=Path, help=options.MODEL_HELP)
    parser.add_argument(
        "--family", choices=tuple(FAMILIES), help="what a foreign model shall become"
    )
    options.add_model(parser)
    parser.add_argument("--json", action="store_true", help="the same as JSON")


def _run(arguments: argparse.Namespace) -> int:
    # Loads pycocotools.
    from converter.conversion import (  # noqa: PLC0415
        convert,
        describe_attempts,
        draw_images,
        with_own_threshold,
    )
    from edge.terminal.progress import waiting  # noqa: PLC0415 - inspect needs no OpenCV

    choice = options.choice_of(arguments)
    recipe = making.recipe_of(arguments)
    _check_places(arguments)
    default_name = None if is_ours(arguments.model) else arguments.output.stem
    origin = options.origin_of(arguments, name=default_name)
    told = ask(arguments.model, family=arguments.family, origin=origin, choice=choice)
    images = draw_images(
        arguments.images,
        calibration_count=arguments.count, judge_count=arguments.held_back, seed=arguments.seed,
        annotations=making.annotations_of(arguments),
    )  # fmt: skip
    trainer = recovery.trainer(arguments, images)
    with waiting("import"):
        reference = pruning.with_classes(arguments, import_model(
            arguments.model, family=told or arguments.family, origin=origin, choice=choice
        ))  # fmt: skip
    outputs.say(f"imported: {reference.own_manifest().provenance.changes}")
    outputs.say_trained_on(reference, images.sets.judge)
    reference = with_own_threshold(reference, images, quantile=arguments.quantile)
    if arguments.float:
        export.write(reference, arguments.float)
    with pruning.resumable(arguments.output):
        if arguments.sweep:
            return pruning.swept(arguments, reference, images)
        pruned = pruning.prune_as_asked(arguments, reference, recovery.served(images))
    if pruned:
        outputs.say(pruned.step)
    source = pruning.with_zeros(arguments, pruned.file if pruned else reference)
    done = convert(
        reference, images, recipe,
        source=None if source is reference else source,
        budget=making.budget_of(arguments),
        repair=not arguments.no_repair,
        train=trainer,
        quantile=arguments.quantile,
    )  # fmt: skip
    for line in describe_attempts(done) if len(done.attempts) > 1 else ():
        outputs.say(line)
    pruning.say_download(arguments, done.quantized)
    recovery.say_untried(arguments, is_refused=done.verdict.is_refused)
    outputs.say_remarks(arguments.output, done.quantized, done.attempts[done.chosen].recipe)
    return outputs.deliver(arguments, done)


def _check_places(arguments: argparse.Namespace) -> None:
    """Refuse before the work what could not be written behind it."""
    export.check_folder(arguments.output)
    if arguments.float:
        export.check_folder(arguments.float, "--float")
    outputs.check_report(arguments, arguments.output)
    targets.check_packages(arguments)


def _quantize(arguments: argparse.Namespace) -> int:
    from converter.quantize.quantization import quantize_file  # noqa: PLC0415 - loads OpenCV
    from converter.quantize.threshold import with_threshold  # noqa: PLC0415
    from edge.terminal.progress import bar  # noqa: PLC0415

    recipe = making.recipe_of(arguments)
    export.check_folder(arguments.output)
    reference = model_file.read_own(arguments.model)
    images = making.draw(arguments)
    with bar("quantise") as progress:
        quantized = quantize_file(reference, images, recipe, progress=progress)
    quantized = with_threshold(quantized, images.paths, quantile=arguments.quantile)
    export.write(quantized, arguments.output)
    outputs.say_leftovers(arguments.output, quantized, made=[arguments.output])
    outputs.say_remarks(arguments.output, quantized, recipe)
    print(f"{arguments.output}: {quantized.description.digest}")
    return DONE


def _verify(arguments: argparse.Namespace) -> int:
    from calibration.image_sets import without  # noqa: PLC0415 - inspect needs no OpenCV
    from converter.conversion import Conversion, Judgement, judge  # noqa: PLC0415
    from converter.judge import accuracy  # noqa: PLC0415

    reference, quantized = (
        model_file.read_own(p) for p in (arguments.reference, arguments.quantized)
    )
    outputs.check_report(arguments, arguments.quantized)
    made = quantized.own_manifest()
    known = {content for one in made.image_sets.values() for content in one.contents}
    if made.calibration and not known:
        outputs.say(
            f"{arguments.quantized}: it does not say which images it was calibrated on; "
            "they may be among these"
        )
    drawn = without(arguments.images, count=arguments.held_back, seed=arguments.seed, known=known)
    judged_on = Judgement(
        drawn.paths,
        making.annotations_of(arguments),
        arguments.images.resolve().name,
        arguments.seed,
    )
    accuracy.check(reference, judged_on.images, judged_on.annotations)
    budget = making.budget_of(arguments)
    (bill,) = judge(reference, [quantized], judged_on, budget=budget)
    done = Conversion(reference, quantized, judged_on, bill, budget, verdict_on(bill, budget))
    outputs.tell(arguments, done, arguments.quantized)
    if arguments.report:
        outputs.report(done, arguments.quantized)
    return FAILED if done.verdict.is_refused else DONE


def _inspect(arguments: argparse.Namespace) -> int:
    path, rows = arguments.model, []
    fields: dict[str, Any] = {}
    if is_tflite(path):
        graph = read(read_bytes(path), path)
        fields = inspection.as_json(graph)
        rows = [inspection.as_text(graph)]
    if arguments.family or not is_tflite(path):
        found = foreign.describe(
            path,
            family=arguments.family,
            choice=options.choice_of(arguments),
            labels=options.read_labels(arguments.labels) if arguments.labels else None,
        )
        fields |= {"foreign": found}
        rows.append(foreign.as_text(found))
    print(json.dumps(fields, indent=1) if arguments.json else "\n\n".join(rows))
    return DONE
