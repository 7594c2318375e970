"""Where `edge-calibrate` and `python -m calibration` begin."""

import sys

from edge.terminal.entry import start


def main() -> int:
    """Run the command and return its exit status."""
    return start("edge-calibrate", "calibration.cli")


if __name__ == "__main__":
    sys.exit(main())
