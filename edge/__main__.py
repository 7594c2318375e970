"""Where `edge` and `python -m edge` begin."""

import sys

from edge.terminal.entry import start


def main() -> int:
    """Run the command and return its exit status."""
    return start("edge", "edge.cli")


if __name__ == "__main__":
    sys.exit(main())
