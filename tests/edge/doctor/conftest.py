"""A system in a folder: files as Linux writes them, and programs that say what they are told."""

from __future__ import annotations

import pytest

from edge.config import reading
from edge.doctor.host import Host


@pytest.fixture
def system(tmp_path, monkeypatch):
    """Return a function that lays files and links below a root, and returns its host."""
    root = tmp_path / "root"
    # A busy machine takes its time for a program of one line.
    monkeypatch.setattr("edge.doctor.host.COMMAND_TIMEOUT_S", 60.0)

    def make(files=(), *, links=(), programs=(), config=None):
        for name, text in dict(files).items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        for name, target in dict(links).items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(target)
        for name, text in dict(programs).items():
            path = tmp_path / "bin" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\n")
            path.chmod(0o755)
        root.mkdir(exist_ok=True)
        settings = reading.parse(config) if config else None
        return Host(root, settings, path=str(tmp_path / "bin"))

    return make
