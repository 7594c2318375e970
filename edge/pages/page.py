"""Pages of HTML that need nothing but themselves: no network, no script, one file.

Templates and plots come from the extra `report`: a board without it writes JSON, and a workstation
makes the page.
"""

from __future__ import annotations

import re

from edge.errors import DependencyError

PACKAGES = ("jinja2", "matplotlib")
# What neither XML 1.0 nor HTML can hold, lone surrogates among it.
FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
REPLACEMENT = "\ufffd"


def check_packages() -> None:
    """Refuse before a long measurement what could not be written behind it.

    Raises:
        DependencyError: The extra is not installed.
    """
    from importlib.util import find_spec  # noqa: PLC0415 - of no use without a page

    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise DependencyError(
            f"a page needs {' and '.join(missing)}; type: pip install 'edge-vision[report]', "
            "or take the figures as JSON: --json"
        )


def render(template: str, *, package: str = "edge.pages", **values: object) -> str:
    """Return a page, or Markdown.

    Args:
        template: Name of a file in `templates`.
        package: Whose `templates`; those of this package serve all.
        values: What it shows; dates are UTC, ISO 8601. In HTML a text is escaped unless it is
            `Markup`; in Markdown each is by `md`, which is the filter of that name too.
    """
    import jinja2  # noqa: PLC0415 - a board may lack it

    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader(name) for name in dict.fromkeys((package, "edge.pages"))]
        ),
        autoescape=template.endswith(".html"),
        finalize=lambda value: clean(value) if type(value) is str else value,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["utc"] = lambda date: f"{date[:16].replace('T', ' ')} UTC"
    if "md" in values:
        environment.filters["md"] = values["md"]
    return environment.get_template(template).render(values)


def clean(text: str) -> str:
    """Return a text that a page can hold; the template escapes it."""
    return FORBIDDEN.sub(REPLACEMENT, text)
