"""Pages of HTML that need nothing but themselves: no network, no script, one file.

Templates and plots come from the extra `report`: a board without it writes JSON, and a workstation
makes the page.
"""

from __future__ import annotations

from edge.errors import DependencyError

PACKAGES = ("jinja2", "matplotlib")


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


def render(template: str, **values: object) -> str:
    """Return a page.

    Args:
        template: Name of a file in `templates`.
        values: What it shows; dates are UTC, ISO 8601; a text is escaped unless it is `Markup`.
    """
    import jinja2  # noqa: PLC0415 - a board may lack it

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("edge.pages"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["utc"] = lambda date: f"{date[:16].replace('T', ' ')} UTC"
    return environment.get_template(template).render(values)
