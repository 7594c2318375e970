"""Who may ask: names of this machine, the token, and no page of another site.

A browser on this machine opens pages of others, whose scripts may ask a loopback address too. So a
request must name this machine (DNS rebinding: a foreign name that leads here), and must not come
from a page of another site; nothing here ever answers CORS.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.errors import ConfigError
from edge.password import read_password

if TYPE_CHECKING:
    from email.message import Message

    from edge.config.web import Web

# 32 hexadecimal digits are 128 bits; half as many characters can't be guessed over a network. Those
# that an address takes as they are, as the token stands in one. Source: RFC 3986, 2.3.
SHORTEST_TOKEN = 16
TOKEN = re.compile(rf"[A-Za-z0-9._~-]{{{SHORTEST_TOKEN},}}")
COOKIE = "edge_preview"
COOKIE_S = 365 * 24 * 3600
# What a name may be that stands in `Host`, with a port or without. Source: RFC 9110, 7.2.
PLACE = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:/@\s]+)(?::\d{1,5})?")


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked.

    Attributes:
        method: `GET` or `POST`.
        path: Without the query.
        query: Of each name the first value.
        headers: With one `Host`.
        body: Read once the gate has let it through.
    """

    method: str
    path: str
    query: dict[str, str]
    headers: Message[str, str]
    body: bytes = b""


def read_token(web: Web) -> str:
    """Return the token of a section; empty where none is asked for.

    Raises:
        ConfigError: Its file can't be used, or it is too short or cannot stand in an address.
    """
    if web.token_file is None:
        return ""
    token = read_password(web.token_file, what="token", key="[web] token_file")
    if not TOKEN.fullmatch(token):
        found = len(token) if len(token) < SHORTEST_TOKEN else "others"
        raise ConfigError(
            f"{web.token_file}: expected a token of {SHORTEST_TOKEN} or more of the characters "
            f"A-Z a-z 0-9 . _ ~ -, found {found}; type: openssl rand -hex 16 > {web.token_file}"
        )
    return token


class Gate:
    """Lets requests through or says why not.

    Args:
        token: That must be shown; empty for none.
        hosts: Names of this machine beside its own.
    """

    def __init__(self, token: str, hosts: tuple[str, ...] = ()) -> None:
        own = socket.gethostname().lower()
        short = own.partition(".")[0]
        self._names = {"localhost", own, short, f"{short}.local", *(name.lower() for name in hosts)}
        self._token = token
        # Shows who had the token, and is not it: a cookie lies about in a browser's files.
        self._cookie = hmac.new(token.encode(), b"edge preview", hashlib.sha256).hexdigest()

    def refusal(self, request: Request) -> tuple[int, str] | None:
        """Return why a request is not answered, a status and a sentence; `None` for one that is."""
        headers = request.headers
        place = headers.get("Host", "")
        if not self._is_own(place):
            return 421, (
                "expected this machine's name or address in Host, found another; open the page by "
                "its address, or add the name to [web] hosts"
            )
        is_post = request.method == "POST"
        site = headers.get("Sec-Fetch-Site", "none")
        is_navigation = headers.get("Sec-Fetch-Mode") == "navigate" and not is_post
        if site not in {"none", "same-origin"} and not is_navigation:
            return 403, "this was asked by a page of another site; open it by itself"
        origins = {f"http://{place}", f"https://{place}"}
        if is_post and headers.get("Origin") not in origins:
            return 403, "expected the header Origin of this page itself"
        if self._token and not (self._is_link(request) or self._shows_token(headers)):
            return 401, (
                "expected the token of [web] token_file; open /?token=TOKEN once, or send the "
                "header Authorization: Bearer TOKEN"
            )
        return None

    def cookie(self, request: Request) -> str:
        """Return `Set-Cookie` for the link that brings the token; nothing for any other request."""
        if not self._is_link(request):
            return ""
        value = f"{COOKIE}={self._cookie}; Path=/; Max-Age={COOKIE_S}"
        # Lax: a link in a message must find the page open. What changes something asks for Origin.
        return f"{value}; HttpOnly; SameSite=Lax"

    def _is_link(self, request: Request) -> bool:
        given = request.query.get("token", "")
        return bool(self._token) and request.path == "/" and _same(given, self._token)

    def _is_own(self, place: str) -> bool:
        match = PLACE.fullmatch(place)
        name = match[1].strip("[]").lower().rstrip(".") if match else ""
        try:
            # An address was typed, so that no name server has led here.
            return name in self._names or bool(ipaddress.ip_address(name))
        except ValueError:
            return False

    def _shows_token(self, headers: Message[str, str]) -> bool:
        scheme, _, given = headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and _same(given.strip(), self._token):
            return True
        pairs = (pair.strip().partition("=") for pair in headers.get("Cookie", "").split(";"))
        return any(name == COOKIE and _same(value, self._cookie) for name, _, value in pairs)


def _same(given: str, wanted: str) -> bool:
    """Compare in a time that tells nothing of what is wanted but its length."""
    return hmac.compare_digest(given.encode(errors="replace"), wanted.encode())
