"""What was wrong with a labelled set and left out: counted, and the first few named."""

from __future__ import annotations

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
        self._names: dict[str, list[str]] = {}
        self._counts: dict[str, int] = {}
        self._once: set[tuple[str, str]] = set()

    def add(self, kind: str, name: str) -> None:
        """Count one fault.

        Args:
            kind: Such as `boxes without area, left out`.
            name: Which one, such as the file and the number of the box.
        """
        self._counts[kind] = self._counts.get(kind, 0) + 1
        names = self._names.setdefault(kind, [])
        if len(names) < NAMED:
            names.append(storable(name))

    def add_once(self, kind: str, name: str) -> None:
        """Count one fault that several models may meet."""
        if (kind, name) not in self._once:
            self._once.add((kind, name))
            self.add(kind, name)

    def lines(self, *, without: str = "") -> list[str]:
        """Return a sentence for each kind, but for one."""
        return [self._line(kind) for kind in self._counts if kind != without]

    def reason(self) -> str:
        """Return what an error adds that may come from what was left out; empty without any."""
        return f" (noted before: {'; '.join(self.lines())})" if self._counts else ""

    def _line(self, kind: str) -> str:
        names, count = self._names[kind], self._counts[kind]
        more = f", and {count - len(names)} more" if count > len(names) else ""
        return f"{count} {kind}: {', '.join(names)}{more}"
