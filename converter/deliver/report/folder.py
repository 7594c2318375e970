"""A report as a folder: three documents and their pictures."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from converter.deliver.report.build import build
from converter.deliver.report.document import as_html, as_markdown, draw_plots
from edge.errors import SinkError
from edge.pages import plot

if TYPE_CHECKING:
    from converter.conversion import Conversion
    from converter.deliver.report.build import Report

JSON_FILE, MARKDOWN_FILE, HTML_FILE = "report.json", "report.md", "report.html"


def folder_of(model: Path) -> Path:
    """Return where the report of a model file belongs: `m.report` beside `m.tflite`.

    That of `m.tflite.rejected` is `m.rejected.report`: an earlier `m.tflite` keeps its own.
    """
    return model.with_name(f"{''.join(model.name.split('.tflite'))}.report")


def check_folder(folder: Path) -> None:
    """Refuse a place that holds something else, before the minutes it takes to fill it.

    Raises:
        SinkError: It is a file, or a folder that is neither empty nor a report.
    """
    is_free = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    if not is_free and not (folder / JSON_FILE).is_file():
        raise SinkError(
            f"{folder}: expected a free place for the report or an older report, found something "
            "else; move it away, or type --no-report"
        )


def subject_digest(folder: Path) -> str | None:
    """Return the digest of the model that a report is about; `None` where there is no report."""
    try:
        return str(json.loads((folder / JSON_FILE).read_bytes())["model"]["quantized_digest"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def deliver(done: Conversion, model: Path, *, files: tuple[str, ...] = ()) -> Path:
    """Take and write the report beside a model file, as `build`; return the path of its page.

    Raises:
        ModelError: A model cannot be run.
        SourceError: An image cannot be read.
        SinkError: The report's place holds something else, or cannot be written.
    """
    place = folder_of(model)
    check_folder(place)
    write(build(done, files=files), place)
    return place / HTML_FILE


def write(report: Report, folder: Path) -> None:
    """Write a report whole or not at all, in place of an older one.

    Raises:
        SinkError: The place holds something else, or cannot be written.
    """
    check_folder(folder)
    try:
        fresh = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        try:
            _fill(report, fresh)
            fresh.chmod(0o755)
            if folder.exists():
                shutil.rmtree(folder)
            fresh.replace(folder)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
    except OSError as error:
        raise SinkError(
            f"{folder}: the report cannot be written: {error.strerror}; make room, or type "
            "--no-report"
        ) from error


def _fill(report: Report, folder: Path) -> None:
    for picture in report.pictures:
        (folder / picture.file_name).write_bytes(picture.data)
    plots = draw_plots(report)
    fields = json.dumps(report.fields, indent=1, ensure_ascii=False, allow_nan=False)
    texts = {name: plot.standalone(svg) for name, svg in plots.items()} | {
        MARKDOWN_FILE: as_markdown(report),
        HTML_FILE: as_html(report, plots),
        JSON_FILE: f"{fields}\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text, "utf-8", errors="backslashreplace")
