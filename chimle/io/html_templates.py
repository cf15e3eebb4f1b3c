"""HTML pages from templates, with every value escaped."""

from pathlib import Path

import jinja2


def render_html(template: Path, **values: object) -> str:
    """The page that a template makes of the values; a name without a value raises."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template.name).render(**values)
