"""The service, how its starts went, and what the last install or update did."""

from __future__ import annotations

import json
import time
from typing import Any

from edge.doctor.host import INSTALL, UNIT, UNIT_FILE, Finding, Host, absent, ok, warning, wrong

JOURNAL = f"journalctl -u {UNIT} -b -n 50 --no-pager"
# It is written every 5 s.
STALE_S = 30.0
FACTS = ("LoadState", "ActiveState", "UnitFileState", "NRestarts", "Result", "StatusText")
MOST_FAILED = 5
# Of what first boot or an update writes of itself.
FAILED = ("failed", "unwell")


def service(host: Host) -> Finding:
    """Look whether the service runs, and will after the next boot."""
    said = host.ask("systemctl", "show", UNIT, *(f"--property={name}" for name in FACTS))
    facts = dict(line.partition("=")[::2] for line in said.splitlines())
    if facts.get("LoadState", "not-found") == "not-found" and not host.text(UNIT_FILE):
        return absent("no edge.service; sudo edge install makes it")
    if not facts:
        return absent("installed; systemd is not asked here")
    state, again = facts.get("ActiveState", ""), facts.get("NRestarts", "0")
    text = f"{state}, {facts.get('UnitFileState')}, {again} restarts; {facts.get('StatusText')}"
    if state != "active":
        mend = f"{JOURNAL}; then sudo systemctl enable --now {UNIT}"
        return wrong(f"{text} ({facts.get('Result')})", mend)
    if facts.get("UnitFileState") == "disabled":
        return warning(f"{text}; it stays away at the next boot", f"sudo systemctl enable {UNIT}")
    if facts.get("Result") == "watchdog" or _watchdog_kills(host):
        return warning(f"{text}; frames stopped and the watchdog killed it", JOURNAL)
    return ok(text)


def _watchdog_kills(host: Host) -> bool:
    words = ("-u", UNIT, "-b", "-q", "-o", "cat", "-n", "1", "--grep", "Watchdog timeout")
    return bool(host.ask("journalctl", *words))


def starts(host: Host) -> Finding:
    """Look for starts that failed in a row, which end in safe mode."""
    folder = host.root / "var/lib/edge-vision"
    paths = sorted(folder.iterdir()) if folder.is_dir() else []  # unlike glob, says what is shut
    names = [path for path in paths if path.match("starts-*.json")]
    found = [kept for path in names if (kept := _json(host.text(path)))]
    if not found:
        return absent("no start was counted")
    worst = max(found, key=lambda kept: int(kept.get("failed", 0)))
    failed, reason = int(worst.get("failed", 0)), worst.get("reason", "")
    if failed >= MOST_FAILED:
        mend = f"mend that, then sudo systemctl restart {UNIT}"
        return wrong(f"safe mode behind {failed} failed starts: {reason}", mend)
    if failed > 1:
        return warning(f"{failed} failed starts: {reason}", JOURNAL)
    return ok("none failed in a row")


def health(host: Host) -> Finding:
    """Look at what the running service says of itself."""
    path = host.root / "run/edge/health.json"
    said = _json(host.text(path))
    if not said:
        return absent("the service does not run, or has not written it yet")
    text = f"{said.get('frames')} frames, {said.get('acknowledged')} messages acknowledged, broker "
    text += str(said.get("broker"))
    if time.time() - path.stat().st_mtime > STALE_S:
        return wrong(f"not written for {STALE_S:g} s; {text}", JOURNAL)
    if not said.get("frames") and float(said.get("since_start_s", 0)) > STALE_S:
        return wrong(f"no frame has come out; {text}", JOURNAL)
    return ok(text)


def install(host: Host) -> Finding:
    """Look at what first boot and the last update have left."""
    folder = host.root / "var/lib/edge-install"
    states = {name: _json(host.text(folder / f"{name}.json")) for name in ("firstboot", "update")}
    current = host.root / "opt/edge/current"
    half = [path.name for path in host.glob("opt/edge/releases/*.tmp")]
    if not any(states.values()) and not current.is_symlink():
        return absent("nothing was installed from a bundle")
    if current.is_symlink() and not current.exists():
        return wrong("/opt/edge/current leads nowhere", INSTALL)
    for name, said in states.items():
        if (state := said.get("state", "done")) != "done":
            text = f"{name}: {state}: {said.get('message')}"
            return (wrong if state in FAILED else warning)(text, "journalctl -u 'edge*' -b")
    if half:
        return warning(f"half an update: {', '.join(half)}", "sudo edge update BUNDLE does it over")
    return ok(f"{current.resolve().name}; {states['update'].get('message', 'never updated')}")


def _json(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
