"""Add up the pytest runs of scripts/test: one line each, then `N passed, N failed, N skipped`."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import NamedTuple


class Counts(NamedTuple):
    """What became of the tests of one run, or of all."""

    passed: int
    failed: int
    skipped: int

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def counts_of(exit_file: Path) -> Counts:
    """Read one run's JUnit report; a run that failed without a failed test counts as one."""
    exit_code = int(exit_file.read_text())
    report = exit_file.with_suffix(".xml")
    passed = failed = skipped = 0
    if report.is_file():
        # The report is this script's own, written a moment ago.
        for suite in ET.parse(report).getroot().iter("testsuite"):  # noqa: S314
            failed += int(suite.attrib["failures"]) + int(suite.attrib["errors"])
            skipped += int(suite.attrib["skipped"])
            passed += int(suite.attrib["tests"])
        passed -= failed + skipped
    if exit_code and not failed:
        failed = 1
    return Counts(passed, failed, skipped)


def main() -> int:
    """Print the counts of the folder named on the command line; 1 if anything failed."""
    runs = {file.stem: counts_of(file) for file in sorted(Path(sys.argv[1]).glob("*.exit"))}
    print()
    for name, counts in runs.items():
        print(f"Python {name}: {counts}")
    total = Counts(*(sum(column) for column in zip(*runs.values(), strict=True)))
    print(total)
    return 1 if total.failed or not total.passed else 0


if __name__ == "__main__":
    sys.exit(main())
