"""The sections `[[sink]]`: where messages go besides the broker. A new kind is a record here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal
from urllib.parse import SplitResult, urlsplit

from msgspec import Meta

from edge.messages.envelope import topic_matches
from edge.record import Checks, Record

if TYPE_CHECKING:
    from edge.messages.envelope import Message

Policy = Literal["stream", "event", "state"]
# Of what is made for each frame there is far more than a web server or a program cares to take.
RARE: tuple[Policy, ...] = ("event", "state")
WEB_PORTS = {"http": 80, "https": 443}


def _check_topics(topics: tuple[str, ...]) -> None:
    for topic in topics:
        levels = topic.split("/")
        if not topic or "#" in levels[:-1] or any(len(n) > 1 and {*n} & {*"+#"} for n in levels):
            raise ValueError(
                f"expected a topic, + for any one level of it, # at its end for all that follow, "
                f"found {topic!r}; write such as 'edge/+/door/#'"
            )


def _check_url(url: str) -> None:
    fault = "expected http://HOST/PATH or https://HOST/PATH"
    try:
        parts = urlsplit(url)
        is_sound = parts.scheme in WEB_PORTS and parts.hostname and parts.port != 0
    except ValueError as error:
        raise ValueError(fault) from error
    if "@" in parts.netloc:
        raise ValueError(
            "a user or password in the URL can be read by everyone who sees it; write the header "
            "'Authorization: …' to a file, chmod 600 it, and set header_file"
        )
    if not is_sound or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError(f"{fault}, what is no ASCII in it as %XX")


def _check_command(words: tuple[str, ...]) -> None:
    if "/" in words[0] and not Path(words[0]).is_absolute():
        raise ValueError(f"expected a program on the PATH or its whole path, found {words[0]!r}")
    if any("\0" in word for word in words):
        raise ValueError("a word of it holds the character 0; delete it")


class SinkSection(Record, frozen=True, tag_field="kind"):
    """What every sink of the configuration has.

    Attributes:
        topics: Which messages it gets, in MQTT's wildcards.
    """

    topics: Annotated[tuple[str, ...], Meta(min_length=1)] = ("#",)
    # What messages are, as in `Message`; a kind that lets the user choose has a field of the name.
    policies: ClassVar[tuple[Policy, ...]]
    checks: ClassVar[Checks] = {"topics": _check_topics}

    def wants(self, message: Message) -> bool:
        """Whether a message is for this sink."""
        return message.policy in self.policies and any(
            topic_matches(each, message.topic) for each in self.topics
        )


class Jsonl(SinkSection, frozen=True, tag="jsonl"):
    """One JSON object a line.

    States are left out: they are plain words that mean something under their topic only.

    Attributes:
        path: A file; `None` is stdout.
        max_mib: Size at which a file is put aside and a new one begun, MiB.
        files: How many are kept, the newest included.
    """

    policies: ClassVar[tuple[Policy, ...]] = ("stream", "event")

    path: Path | None = None
    max_mib: Annotated[int, Meta(ge=1, le=4096)] = 16
    files: Annotated[int, Meta(ge=1, le=100)] = 4


class Queueing(SinkSection, frozen=True):
    """Of those that take a message at a time, on a thread of their own.

    Attributes:
        policies: What kinds of messages it gets.
        timeout_s: Longest that one message may take.
        queue_messages: Messages that wait; the oldest are dropped beyond, and counted.
    """

    policies: Annotated[tuple[Policy, ...], Meta(min_length=1)] = RARE  # type: ignore[misc] # chosen
    timeout_s: Annotated[float, Meta(ge=0.1, le=300)] = 10.0
    queue_messages: Annotated[int, Meta(ge=1, le=10_000)] = 100


class Webhook(Queueing, frozen=True, tag="webhook", kw_only=True):
    """Each message by POST to a web server.

    Attributes:
        url: `http://` or `https://`; it may be a secret, and so its host alone is ever shown.
        header_file: Holds one line `Name: value`, sent along; readable by its owner only.
        ca_file: Certificates to trust instead of the system's.
    """

    checks: ClassVar[Checks] = {**SinkSection.checks, "url": _check_url}

    url: str
    header_file: Path | None = None
    ca_file: Path | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ca_file and self.parts.scheme != "https":
            raise ValueError("ca_file needs TLS: write url = 'https://HOST/PATH'")

    @property
    def parts(self) -> SplitResult:
        """The URL, taken apart."""
        return urlsplit(self.url)

    @property
    def address(self) -> str:
        """Host and port, for people."""
        return f"{self.parts.hostname}:{self.parts.port or WEB_PORTS[self.parts.scheme]}"


class Command(Queueing, frozen=True, tag="command", kw_only=True):
    """A program that is run for each message, which it finds on its stdin.

    Attributes:
        command: The program and its arguments; no shell sees them.
    """

    checks: ClassVar[Checks] = {**SinkSection.checks, "command": _check_command}

    command: Annotated[tuple[str, ...], Meta(min_length=1)]


AnySink = Jsonl | Webhook | Command
