"""Where `edge-board` and `python -m boards` begin."""

import sys

from edge.terminal.entry import start


def main() -> int:
    """Run the command and return its exit status."""
    return start("edge-board", "boards.cli")


if __name__ == "__main__":
    sys.exit(main())
