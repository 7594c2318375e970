"""The first lines of every child process: limits, a trusted path, then the job's own module.

Run by its path under ``python -I`` with the job's folder as working directory; `call.json` there
names the module, whose ``main(folder, job)`` does the work.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
from pathlib import Path

CALL, REFUSED = "call.json", "refused.json"


def main() -> int:
    """Call the job's module; an error that a user can act on is written to `refused.json`."""
    folder = Path.cwd()
    call = json.loads((folder / CALL).read_text("utf-8"))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (call["memory_bytes"], call["memory_bytes"]))
    sys.path[:] = call["paths"]
    from edge.errors import EdgeError  # noqa: PLC0415 - the path is set above

    try:
        importlib.import_module(call["module"]).main(folder, call["job"])
    except EdgeError as error:
        refused = {"kind": type(error).__name__, "message": str(error)}
        (folder / REFUSED).write_text(json.dumps(refused), "utf-8")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
