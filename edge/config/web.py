"""The section `[web]`: the preview page, and who may look at it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, ClassVar

from msgspec import Meta

from edge.record import Checks, Record, Text

# What stands between `//` and the port of an address.
HOST_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")


def _check_hosts(hosts: tuple[str, ...]) -> None:
    for host in hosts:
        if not HOST_NAME.fullmatch(host):
            raise ValueError(
                f"expected names of this machine, found {host!r}; leave out the scheme, the port "
                "and all behind it, as in 'camera.lan'"
            )


def _is_loopback(host: str) -> bool:
    from ipaddress import ip_address  # noqa: PLC0415 - of no use to a run without the section

    try:
        return ip_address(host).is_loopback
    except ValueError as error:
        raise ValueError(
            f"expected an address of this machine, found {host!r}; write '127.0.0.1' for this "
            "machine alone, '0.0.0.0' for everyone who can reach it"
        ) from error


class Web(Record, frozen=True):
    """The preview page; without the section there is none.

    Attributes:
        port: TCP; 0 takes any free one, which the log names.
        host: Address to listen at; whoever is not on this machine needs a token.
        token_file: Holds the token on its first line; readable by its owner only.
        hosts: Further names by which browsers reach this machine, such as a proxy's.
        picture_px: Longest side of the live picture.
        rate_hz: Most pictures a second of one camera, whoever looks.
    """

    checks: ClassVar[Checks] = {"host": _is_loopback, "hosts": _check_hosts}

    port: Annotated[int, Meta(ge=0, le=65535)] = 8080
    host: str = "127.0.0.1"
    token_file: Path | None = None
    hosts: Annotated[tuple[Text, ...], Meta(max_length=16)] = ()
    picture_px: Annotated[int, Meta(ge=64, le=4096)] = 960
    # Whoever waits for a picture does so for 10 s.
    rate_hz: Annotated[float, Meta(ge=0.2, le=60)] = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not _is_loopback(self.host) and self.token_file is None:
            raise ValueError(
                f"host = {self.host!r} shows the cameras to everyone who can reach this machine; "
                "type: (umask 077; openssl rand -hex 16 > web.token), and set "
                "token_file = 'web.token'"
            )
