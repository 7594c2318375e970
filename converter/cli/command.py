"""The `edge-convert` command: make one proven int8 file of a float detector or segmenter."""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converter import export
from converter.cli import foreign, judgement, options, recipes, targets
from converter.graph import inspection
from converter.graph.reading import read, read_bytes
from converter.importers.asking import FAMILIES
from converter.importing import ask, import_model, is_ours, is_tflite
from converter.judge.bill import as_text
from converter.judge.gate import as_json, estimate
from converter.judge.gate import judge as verdict_on
from converter.quantize.islands import remarks
from edge.errors import ConfigError
from edge.model import model_file
from edge.terminal.command import DONE, FAILED, add_verb, new_parser, run

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from converter.conversion import Conversion
    from converter.deliver.report.contents import Subject
    from converter.judge.bill import Bill
    from converter.judge.gate import Verdict
    from converter.quantize.recipe import Recipe
    from edge.model.model_file import ModelFile


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit status."""
    words = options.join_signed(sys.argv[1:] if argv is None else argv)
    return run(new_command(), words, log_level=logging.WARNING)


def new_command() -> argparse.ArgumentParser:
    """Return the command's parser."""
    command = new_parser(
        "edge-convert",
        "Turn a float detector or segmenter into one int8 .tflite that is proved good enough.",
    )
    verbs = command.add_subparsers(required=True, metavar="VERB")
    _add_run(verbs)
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
    parser.add_argument("model", metavar="MODEL", type=Path, help=options.MODEL_HELP)
    parser.add_argument(
        "--family", choices=tuple(FAMILIES), help="what it gives, where the file does not tell"
    )
    options.add_model(parser)
    parser.add_argument("--name", help="of the model; default: that of the output file")
    parser.add_argument("--source", metavar="TEXT", help="where the weights come from")
    parser.add_argument("--license", metavar="TEXT", help="of the weights")
    parser.add_argument("--float", metavar="FILE", type=Path, help="keep the float model here")
    recipes.add_quantization(parser)
    judgement.add_judgement(parser)
    parser.add_argument(
        "--no-repair", action="store_true", help="refuse at once what is beyond the budget"
    )
    judgement.add_report(parser, default=True)
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
    recipes.add_quantization(parser)
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
    parser.add_argument("--seed", metavar="S", type=int, default=0, help="default: %(default)s")
    judgement.add_judgement(parser)
    judgement.add_report(parser, default=False)


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
    from converter.conversion import convert, describe_attempts, draw_images  # noqa: PLC0415
    from edge.terminal.progress import waiting  # noqa: PLC0415 - inspect needs no OpenCV

    choice = options.choice_of(arguments)
    recipe = recipes.recipe_of(arguments)
    _check_folder(arguments.output)
    _check_report(arguments, arguments.output)
    default_name = None if is_ours(arguments.model) else arguments.output.stem
    origin = options.origin_of(arguments, name=default_name)
    ask(arguments.model, family=arguments.family, origin=origin, choice=choice)
    images = draw_images(
        arguments.images,
        calibration_count=arguments.count,
        judge_count=arguments.held_back,
        seed=arguments.seed,
        annotations=judgement.annotations_of(arguments),
    )
    with waiting("import"):
        reference = import_model(
            arguments.model,
            family=arguments.family,
            origin=origin,
            choice=choice,
        )
    print(f"edge-convert: imported: {reference.own_manifest().provenance.changes}", file=sys.stderr)
    if arguments.float:
        export.write(reference, arguments.float)
    budget = judgement.budget_of(arguments)
    done = convert(reference, images, recipe, budget=budget, repair=not arguments.no_repair)
    for line in describe_attempts(done) if len(done.attempts) > 1 else ():
        print(f"edge-convert: {line}", file=sys.stderr)
    _print_remarks(arguments.output, done.quantized, done.recipe)
    return _deliver(arguments, done)


def _check_folder(output: Path) -> None:
    """Refuse an output that cannot be written before the minutes it takes to make it."""
    if not output.resolve().parent.is_dir():
        raise ConfigError(f"{output}: its folder is not there; make it, or choose another with -o")


def _check_report(arguments: argparse.Namespace, model: Path) -> None:
    from converter.deliver.report.folder import check_folder, folder_of  # noqa: PLC0415 - as above

    if arguments.report:
        check_folder(folder_of(model))


def _deliver(arguments: argparse.Namespace, done: Conversion) -> int:
    output = arguments.output
    rejected = output.with_name(f"{output.name}.rejected")
    path = rejected if done.verdict.is_refused else output
    export.write(done.quantized, path)
    _print_bill(arguments, done.bill, done.verdict)
    print(f"edge-convert: {path}: {done.verdict}", file=sys.stderr)
    if path is rejected and output.exists():
        print(f"edge-convert: {output}: left as an earlier run made it", file=sys.stderr)
    made = targets.deliver_conversion(arguments, done)
    if arguments.report:
        from converter.deliver.report.contents import subject_of  # noqa: PLC0415 - as above

        subject = subject_of(done, judgement.budget_of(arguments))
        _report(replace(subject, files=made), path)
    return FAILED if done.verdict.is_refused else DONE


def _report(subject: Subject, model: Path) -> None:
    from converter.deliver.report.folder import deliver  # noqa: PLC0415 - as above

    print(f"edge-convert: report: {deliver(subject, model)}", file=sys.stderr)


def _quantize(arguments: argparse.Namespace) -> int:
    from calibration.dataset import sample  # noqa: PLC0415 - inspect needs no OpenCV
    from calibration.image_sets import MOST_CALIBRATE  # noqa: PLC0415
    from converter.quantize.quantization import quantize_file  # noqa: PLC0415
    from edge.terminal.progress import bar  # noqa: PLC0415

    recipe = recipes.recipe_of(arguments)
    _check_folder(arguments.output)
    reference = model_file.read(arguments.model)
    with bar("draw") as progress:
        images = sample(
            arguments.images,
            count=arguments.count or MOST_CALIBRATE,
            seed=arguments.seed,
            progress=progress,
        )
    with bar("quantise") as progress:
        quantized = quantize_file(reference, images, recipe, progress=progress)
    export.write(quantized, arguments.output)
    _print_remarks(arguments.output, quantized, recipe)
    print(f"{arguments.output}: {quantized.description.digest}")
    return DONE


def _verify(arguments: argparse.Namespace) -> int:
    from calibration.image_sets import without  # noqa: PLC0415 - inspect needs no OpenCV
    from converter.conversion import Judgement, judge  # noqa: PLC0415

    reference, quantized = (model_file.read(p) for p in (arguments.reference, arguments.quantized))
    _check_report(arguments, arguments.quantized)
    sets = quantized.own_manifest().image_sets.values()
    known = {content for made in sets for content in made.contents}
    drawn = without(arguments.images, count=arguments.held_back, seed=arguments.seed, known=known)
    judged_on = Judgement(
        drawn.paths,
        judgement.annotations_of(arguments),
        arguments.images.resolve().name,
        arguments.seed,
    )
    (bill,) = judge(reference, [quantized], judged_on)
    budget = judgement.budget_of(arguments)
    found = verdict_on(bill, budget)
    _print_bill(arguments, bill, found)
    print(f"edge-convert: {arguments.quantized}: {found}", file=sys.stderr)
    if arguments.report:
        from converter.deliver.report.contents import Subject  # noqa: PLC0415 - as above

        _report(
            Subject(reference, quantized, judged_on, bill=bill, budget=budget, verdict=found),
            arguments.quantized,
        )
    return FAILED if found.is_refused else DONE


def _print_remarks(output: Path, quantized: ModelFile, recipe: Recipe) -> None:
    for clause in remarks(quantized, recipe):
        print(f"edge-convert: {output}: {clause}", file=sys.stderr)


def _print_bill(arguments: argparse.Namespace, bill: Bill, verdict: Verdict) -> None:
    if arguments.json:
        print(json.dumps(as_json(bill, judgement.budget_of(arguments)), indent=1))
        return
    print(as_text(bill))
    if said := estimate(bill):
        print(f"estimate    {said}")
    print(f"verdict     {verdict.value}")


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
