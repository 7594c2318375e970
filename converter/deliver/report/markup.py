"""Text of strangers made harmless: for XML, HTML and Markdown."""

from __future__ import annotations

import re

# What XML 1.0 cannot hold, lone surrogates among it.
FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# What means something to Markdown: anywhere, or at a line's start.
SPECIAL = re.compile(r"[\\`*_{}\[\]!~^$]|^[#+=-]")
# What means something to the HTML within Markdown, or ends a table's cell.
MARKUP = re.compile(r"[<>&|]")
REPLACEMENT = "\ufffd"


def clean(text: str) -> str:
    """Return a text that XML can hold; the writer of the XML escapes it."""
    return FORBIDDEN.sub(REPLACEMENT, text)


def escape_markdown(text: str) -> str:
    """Return a text that Markdown shows as it is, on one line."""
    line = " ".join(clean(text).split())
    escaped = SPECIAL.sub(lambda found: f"\\{found[0]}", line)
    return MARKUP.sub(lambda found: f"&#{ord(found[0])};", escaped)
