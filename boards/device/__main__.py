"""Where `python -m boards.device` begins: as root on a board, also before anything is installed."""

import sys

from edge.terminal.entry import start

if __name__ == "__main__":
    sys.exit(start("edge", "boards.device.cli"))
