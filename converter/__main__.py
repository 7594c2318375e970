"""Where `edge-convert` and `python -m converter` begin."""

import sys

from edge.terminal.entry import start


def main() -> int:
    """Run the command and return its exit status."""
    return start("edge-convert", "converter.cli.command")


if __name__ == "__main__":
    sys.exit(main())
