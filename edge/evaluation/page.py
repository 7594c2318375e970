"""A measurement as one page of HTML that needs nothing but itself."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from edge.evaluation import plot
from edge.evaluation.report import difference_line, letters
from edge.pages import page

if TYPE_CHECKING:
    from edge.evaluation.evaluation import Confusion, Evaluation
    from edge.evaluation.measuring import Measurement

# A larger matrix fits no screen; its most frequent mistakes do.
MATRIX_NAMES = 25
WORST_LISTED = 12


def render(measured: Measurement) -> str:
    """Return the page."""
    results = measured.evaluations
    first = results[0]
    what = "objects" if first.task == "detection" else "judged pixels"
    names = " against ".join(escape(result.file.description.name) for result in results)
    sub = f"{first.task} on {first.images} images, {first.objects} {what}; annotations: "
    body = [
        f"<h1>{names}</h1>",
        f"<p class=sub>{sub}{escape(str(measured.truth.path))}</p>",
        "<h2>Accuracy</h2>",
        _metrics(results),
        *(f"<p>{escape(difference_line(row))}</p>" for row in measured.differences),
        *_plots(results),
        "<h2>Time of each stage</h2>",
        _stages(results),
    ]
    for letter, result in zip(letters(results), results, strict=True):
        body += _details(result, letter)
    body += _mistakes(measured)
    notes = [note for result in results for note in result.notes]
    lines = dict.fromkeys([*notes, *measured.truth.faults.lines()])
    if lines:
        body += ["<h2>Notes</h2>", "<ul>", *(f"<li>{escape(line)}" for line in lines), "</ul>"]
    return page.document(f"edge eval: {names}", body)


def _metrics(results: tuple[Evaluation, ...]) -> str:
    headers = ["metric"]
    for letter in letters(results):
        headers += [f"{letter} value", "95 % interval"]
    rows = []
    for metric in results[0].metrics:
        row = [escape(metric)]
        for result in results:
            ends = [f"{end:.4f}" for end in result.intervals.get(metric, ())]
            row += [f"{result.metrics[metric]:.4f}", " to ".join(ends)]
        rows.append(row)
    return page.table(headers, rows)


def _plots(results: tuple[Evaluation, ...]) -> list[str]:
    plots = [
        f"<figure>{plot.precision_recall(result.curves)}"
        f"<figcaption>{letter} {escape(result.file.description.name)}</figcaption></figure>"
        for letter, result in zip(letters(results), results, strict=True)
        if result.curves
    ]
    if not plots:
        return []
    text = "at an IoU of 0.5; bold: the mean over the classes, thin: each of them"
    return [f"<h2>Precision over recall</h2><p class=sub>{text}</p>", "<div class=plots>",
            *plots, "</div>"]  # fmt: skip


def _stages(results: tuple[Evaluation, ...]) -> str:
    headers = ["stage"]
    for letter in letters(results):
        headers += [f"{letter} {name}, ms" for name in ("p50", "p95", "mean")]
    rows = []
    for stage in results[0].stages:
        row = [stage]
        for result in results:
            time = result.stages.get(stage)
            values = (time.p50_ms, time.p95_ms, time.mean_ms) if time else ()
            row += [f"{value:.2f}" for value in values]
        rows.append(row)
    return page.table(headers, rows)


def _details(result: Evaluation, letter: str) -> list[str]:
    metrics = [name for name in next(iter(result.classes.values()), {}) if name != "objects"]
    rows = [
        [
            escape(label),
            *(f"{row[metric]:.4f}" for metric in metrics),
            f"{int(row['objects'])}",
            f"<span class=bar style='width:{row[metrics[0]] * 8:.2f}rem'></span>",
        ]
        for label, row in sorted(
            result.classes.items(), key=lambda item: -item[1].get(metrics[0], 0.0)
        )
    ]
    sub = f"<p class=sub>{escape(result.confusion.note)}</p>"
    return [
        f"<h2>{letter} Classes</h2>",
        page.table(["class", *metrics, "objects", ""], rows, kind="bars"),
        f"<h2>{letter} What is taken for what</h2>",
        sub,
        _confusion(result.confusion),
    ]


def _confusion(confusion: Confusion) -> str:
    if len(confusion.names) > MATRIX_NAMES:
        rows = [
            [escape(truth), escape(said), str(count)] for truth, said, count in confusion.most()
        ]
        return page.table(["it is", "taken for", "times"], rows)
    totals = confusion.counts.sum(axis=1)
    rows = []
    for row, name in enumerate(confusion.names):
        cells = [escape(name)]
        for column, count in enumerate(confusion.counts[row]):
            color = "37,99,235" if row == column else "220,38,38"
            share = count / max(1, totals[row])
            cells.append(
                f"<span style='display:block;background:rgba({color},{share:.2f})'>{count}</span>"
            )
        rows.append(cells)
    headers = ["it is \\ taken for", *map(escape, confusion.names)]
    return page.table(headers, rows, kind="matrix")


def _mistakes(measured: Measurement) -> list[str]:
    lines = []
    for letter, result in zip(letters(measured.evaluations), measured.evaluations, strict=True):
        rows = [
            [escape(measured.files[row.key].name), escape(row.text)]
            for row in result.mistakes[:WORST_LISTED]
        ]
        if rows:
            lines += [f"<h2>{letter} Worst images</h2>", page.table(["image", "mistakes"], rows)]
    return lines
