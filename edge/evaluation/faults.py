"""What was wrong with a labelled set and left out: counted, and the first few named."""

from __future__ import annotations

from collections import Counter, defaultdict

from edge.record import storable

NAMED = 5
# No fault where only a part of the images was asked for.
ABSENT = "annotated images that are not there, left out"


class Faults:
    """Faults by kind, in the order in which the kinds were met.

    A data set of a hundred thousand boxes may have thousands of faults: all are counted, `NAMED`
    of a kind are kept by name.
    """

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._names: dict[str, list[str]] = defaultdict(list)
        self._once: set[tuple[str, str]] = set()

    def add(self, kind: str, name: str) -> None:
        """Count one fault of a kind such as `boxes without area, left out`, and say which."""
        self._counts[kind] += 1
        if self._counts[kind] <= NAMED:
            self._names[kind].append(storable(name))

    def add_once(self, kind: str, name: str) -> None:
        """Count one fault that several models may meet."""
        if (kind, name) not in self._once:
            self._once.add((kind, name))
            self.add(kind, name)

    def lines(self, *, without: str = "") -> list[str]:
        """Return a sentence for each kind, but for one."""
        lines = []
        for kind, count in self._counts.items():
            more = f", and {count - NAMED} more" if count > NAMED else ""
            if kind != without:
                lines.append(f"{count} {kind}: {', '.join(self._names[kind])}{more}")
        return lines

    def reason(self) -> str:
        """Return what an error adds that may come from what was left out; empty without any."""
        return f" (noted before: {'; '.join(self.lines())})" if self._counts else ""
