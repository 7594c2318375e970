"""From a conversion to the report beside its model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from converter.report import folder
from converter.report.build import build
from converter.report.contents import Subject

if TYPE_CHECKING:
    from pathlib import Path

    from converter.conversion import Conversion
    from converter.gate import Budget


def subject_of(conversion: Conversion, budget: Budget) -> Subject:
    """Return what a conversion's report is about."""
    return Subject(
        reference=conversion.reference,
        quantized=conversion.quantized,
        judgement=conversion.images.judgement,
        sets=conversion.images.sets,
        bill=conversion.bill,
        budget=budget,
        verdict=conversion.verdict,
        attempts=conversion.attempts,
        chosen=conversion.chosen,
        twin=conversion.twin,
    )


def deliver(subject: Subject, model: Path) -> Path:
    """Take and write the report beside a model file; return the path of its page.

    Raises:
        ModelError: A model cannot be run.
        SourceError: An image cannot be read.
        SinkError: The report's place holds something else, or cannot be written.
    """
    place = folder.folder_of(model)
    folder.check_folder(place)
    folder.write(build(subject), place)
    return place / folder.HTML_FILE
