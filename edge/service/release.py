"""The release that runs, as `edge install` laid it out: what is asked, and what became of it.

The service has no rights to change itself. It writes what it is asked for; root, who is woken by
that, writes how it went (docs/updates.md).
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from edge.config.paths import state_folder
from edge.errors import ConfigError
from edge.messages.envelope import SCHEMA_VERSION, Message, reply_topic
from edge.record import Record, write_json

if TYPE_CHECKING:
    from edge.messages.control import InstallPayload, ReplyPayload

REQUEST, RELEASES = "request.json", "releases"
# How long an id is, of the digest of a bundle's list.
ID_LENGTH = 12
MOST_BYTES = 4 << 20
AT_WORK = ("working", "watching")


class Request(Record, frozen=True):
    """What root is asked for; of `url` and `file`, one.

    Attributes:
        id: Of who asked.
        url: Where a bundle is to be had.
        file: Its name in the folder `update` of the state.
        sha256: Of the URL's file.
    """

    id: str | int | None
    url: str | None
    file: str | None
    sha256: str | None


def installed(config: Path | None) -> Path | None:
    """Return the folder of the release that a configuration is part of; `None` if of none."""
    place = config.resolve().parent if config else None
    return place if place and place.parent.name == RELEASES else None


class Release:
    """A release, and what was last told of it.

    Args:
        place: Its folder, `/opt/edge/releases/NAME`.

    Attributes:
        name: Its own.
    """

    def __init__(self, place: Path) -> None:
        self.name = place.name
        self._place = place
        self._state = place.parents[3] / "var/lib/edge-install"
        self._told: bytes | None = None
        self._before = ""

    def request(self, given: Any) -> str:  # noqa: ANN401 - the command's arguments
        """Ask for an update; return what happens now.

        Raises:
            ConfigError: This was not installed, or there is nothing to update to.
        """
        folder = bundles_folder()
        if folder is None:
            raise ConfigError("the environment names no state folder; set XDG_STATE_HOME")
        if self._read("update.json").get("state") in AT_WORK or (folder / REQUEST).exists():
            raise ConfigError("an update is at work already; ask again when it is over")
        waiting = self.waiting()
        file = given.file or (waiting[0] if waiting and not given.url else None)
        if not file and not given.url:
            raise ConfigError(f"expected url or file, or a newer bundle in {folder}; name one")
        request = Request(given.id, given.url, file, given.sha256)
        try:
            write_json(folder / REQUEST, request)
        except OSError as error:
            raise ConfigError(f"{folder}: cannot be written: {error.strerror}") from error
        return "asked for; what becomes of it comes on the topic install"

    def news(self, device: str) -> list[Message]:
        """Return what has changed since the last call: the state, and the answer to a request."""
        update, payload = self._read("update.json"), msgspec.json.encode(self.payload(device))
        found = []
        if payload != self._told:
            topic = f"edge/{device}/install"
            found.append(Message(topic, payload, retain=True, policy="state"))
        before, self._before = self._before, str(update.get("state"))
        if before in AT_WORK and self._before not in AT_WORK and update.get("request"):
            reply: ReplyPayload = {
                "schema_version": SCHEMA_VERSION,
                "device": device,
                "id": update["request"].get("id"),
                "name": "update",
                "ok": self._before == "done",
                "message": str(update.get("message")),
                "settings": {},
            }
            topic = reply_topic(device, "update")
            found.append(Message(topic, msgspec.json.encode(reply), policy="event"))
        self._told = payload
        return found

    def payload(self, device: str) -> InstallPayload:
        """Return what runs, what waits, and how the last update or the first boot went."""
        update, first = self._read("update.json"), self._read("firstboot.json")
        waiting = self.waiting()
        installed = f"{_json(self._place / 'bundle.json').get('version', '?')} ({self.name})"
        return {
            "schema_version": SCHEMA_VERSION,
            "device": device,
            "installed_version": installed,
            "latest_version": waiting[1] if waiting else installed,
            "available": waiting[0] if waiting else None,
            "in_progress": update.get("state") in AT_WORK,
            "update_percentage": update.get("percent"),
            "state": update.get("state"),
            "message": update.get("message"),
            "at_utc_s": update.get("at_utc_s"),
            "first_boot": first.get("message"),
        }

    def waiting(self) -> tuple[str, str] | None:
        """Return name and version of the newest bundle that was copied here and does not run."""
        folder = bundles_folder()
        found = []
        with suppress(OSError):  # one was taken away just now
            for path in folder.glob("*.tar") if folder else ():
                status = path.stat()
                found.append((status.st_mtime_ns, path, status.st_size))
        for changed_ns, path, size in sorted(found, reverse=True)[:1]:
            known = _version_of(path, changed_ns, size)
            if known and not self.name.startswith(known[1]):
                return path.name, f"{known[0]} ({known[1]})"
        return None

    def _read(self, name: str) -> dict[str, Any]:
        return _json(self._state / name)


def bundles_folder() -> Path | None:
    """Return where bundles wait and requests go."""
    folder = state_folder()
    return folder / "update" if folder else None


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


@lru_cache(maxsize=4)
def _version_of(path: Path, _changed_ns: int, _size: int) -> tuple[str, str] | None:
    """Return version and id of a bundle, by the list in it."""
    import tarfile  # noqa: PLC0415 - most often none waits

    try:
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                if member.isreg() and Path(member.name).name == "bundle.json":
                    file = archive.extractfile(member)
                    text = file.read(MOST_BYTES) if file else b""
                    digest = hashlib.sha256(text).hexdigest()[:ID_LENGTH]
                    return str(json.loads(text)["version"]), digest
    except (OSError, tarfile.TarError, ValueError, KeyError, TypeError):
        return None
    return None
