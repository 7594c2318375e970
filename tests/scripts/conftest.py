"""What the scripts are made of can be imported here, as the scripts themselves import it."""

from __future__ import annotations

import sys
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"

BENCHMARKS = SCRIPTS / "benchmarks"

sys.path[:0] = [str(SCRIPTS), str(BENCHMARKS), str(BENCHMARKS / "peers")]
