"""What the MQTT sink tells about its connection: each change once, no flood in a long outage."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.sinks.mqtt_faults import Fault
    from edge.sinks.mqtt_settings import MqttSettings
    from edge.sinks.outbox import Tally

log = logging.getLogger("edge.sinks.mqtt")


class ConnectionLog:
    """Logs faults, each kind at most once in `repeat_s`, and the recoveries of those it logged.

    Args:
        settings: Named in the lines.
        repeat_s: Shortest time between two lines about faults of one kind, seconds.
        clock: Monotonic, seconds.
    """

    def __init__(
        self, settings: MqttSettings, *, repeat_s: float, clock: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._repeat_s = repeat_s
        self._clock = clock
        self._logged_at: dict[str, float] = {}
        self._unlogged: dict[str, int] = {}
        self._owes_recovery = True
        self._dropped = 0

    def fault(self, fault: Fault) -> None:
        """Note that there is no connection, and why."""
        now = self._clock()
        last = self._logged_at.get(fault.kind)
        if last is not None and now - last < self._repeat_s:
            self._unlogged[fault.kind] = self._unlogged.get(fault.kind, 0) + 1
            return
        repeats = self._unlogged.pop(fault.kind, 0)
        self._logged_at[fault.kind] = now
        self._owes_recovery = True
        log.warning(
            "mqtt: %s%s; results wait in memory (up to %d messages), trying again; %s",
            fault.found,
            f", {repeats + 1} times since the last such line" if repeats else "",
            self._settings.outbox_messages,
            fault.remedy,
        )

    def connected(self, tally: Tally) -> None:
        """Note that the broker accepted us."""
        dropped, self._dropped = tally.dropped - self._dropped, tally.dropped
        if not self._owes_recovery and not dropped:
            return
        self._owes_recovery = False
        log.info(
            "mqtt: connected to %s as %r; %d results waited and go out now, %d older ones were "
            "dropped",
            self._settings.address,
            self._settings.client_id,
            tally.waiting,
            dropped,
        )

    def closed(self, tally: Tally) -> None:
        """Note the end."""
        if tally.waiting:
            log.warning(
                "mqtt: closed with %d results undelivered; check the broker at %s",
                tally.waiting,
                self._settings.address,
            )
        else:
            log.info("mqtt: closed; %d results delivered", tally.settled)
