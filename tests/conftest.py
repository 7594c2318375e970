"""Options, skip rules and the folders that tests share."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
# Debian puts the broker where an ordinary user's PATH does not look.
SYSTEM_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin"

# A shell starts what it sends to the background with Ctrl-C ignored, and every process of the tests
# would inherit that; what is handled here is at its default there.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples on every run, and no deadline: a busy machine is not a fault.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("explore", derandomize=False, deadline=None, max_examples=1000)
# Where a processor is emulated, a test takes ten to twenty times as long.
settings.register_profile("few", derandomize=True, deadline=None, max_examples=10)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


def assets_folder() -> Path | None:
    """Return the development assets, from EDGE_ASSETS or beside the repository; None without."""
    named = os.environ.get("EDGE_ASSETS")
    folder = Path(named) if named else ROOT.parent / "shared" / "assets"
    return folder if folder.is_dir() else None


def home_assistant_folder() -> Path | None:
    """Return a Home Assistant, from EDGE_HOMEASSISTANT or the script's cache; None without."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    named = os.environ.get("EDGE_HOMEASSISTANT")
    found = [Path(named)] if named else sorted(cache.glob("edge-vision/home-assistant/*"))
    return next((each for each in found if (each / "ha/bin/hass").exists()), None)


def mosquitto_program() -> str | None:
    """Return the path of the mosquitto broker; None where it is not installed."""
    path = os.environ.get("PATH", os.defpath)
    return shutil.which("mosquitto", path=f"{path}:{SYSTEM_FOLDERS}")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run the tests marked slow")
    parser.addoption("--hardware", action="store_true", help="also run the tests marked hardware")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        for name, reason in _skip_reasons(config).items():
            if reason and item.get_closest_marker(name):
                item.add_marker(pytest.mark.skip(reason=reason))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Under `-m board`, leave files without such a test unread: they may import what is missing."""
    if config.option.markexpr != "board" or not collection_path.match("test_*.py"):
        return None
    return True if "mark.board" not in collection_path.read_text(encoding="utf-8") else None


def _skip_reasons(config: pytest.Config) -> dict[str, str]:
    """Return, for each marker, why its tests cannot run here; the empty string if they can."""
    return {
        "slow": "" if config.getoption("--slow") else "slow: run with --slow",
        "hardware": "" if config.getoption("--hardware") else "hardware: run with --hardware",
        "assets": ""
        if assets_folder()
        else "no development assets: set EDGE_ASSETS to their folder, or have ../shared/assets",
        "homeassistant": ""
        if home_assistant_folder()
        else "no Home Assistant: install it with: scripts/homeassistant_test --restarts 0",
        "broker": ""
        if mosquitto_program()
        else "no mosquitto: install it with: sudo apt install mosquitto",
    }


@pytest.fixture(scope="session", autouse=True)
def _own_state_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the models that passed a trial out of the user's own folder, in child processes too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        patch.delenv("STATE_DIRECTORY", raising=False)
        yield


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the repository."""
    return ROOT


@pytest.fixture(scope="session")
def assets() -> Path:
    """Return the development assets folder; mark the test `assets` as well."""
    folder = assets_folder()
    if folder is None:
        pytest.skip("no development assets")
    return folder


@pytest.fixture(scope="session")
def mosquitto() -> str:
    """Return the path of the mosquitto program; mark the test `broker` as well."""
    program = mosquitto_program()
    if program is None:
        pytest.skip("no mosquitto")
    return program
