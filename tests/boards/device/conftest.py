"""A board in a folder, on which no program of the system runs."""

from __future__ import annotations

import pytest
from board_bundles import stand_in

from boards.device.place import Place


@pytest.fixture
def programs(monkeypatch):
    return stand_in(monkeypatch)


@pytest.fixture
def root(tmp_path, programs):
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture
def place(root):
    return Place(root, lambda _: None)
