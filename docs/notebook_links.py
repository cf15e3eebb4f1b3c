"""Hook of the site, for what mkdocs-jupyter makes of a notebook.

Links to files of the repository become links to their pages, and MathJax, which pages would load
from another server, is left out: the notebooks have no formulas.
"""

import re
from typing import Any

MATHJAX = re.compile(
    r"<!-- Load mathjax -->.*?<!-- End of mathjax configuration -->"
    r"|<script data-mkdocs-jupyter-mathjax=.*?</script>",
    re.DOTALL,
)
"""As mkdocs-jupyter writes it, before version 0.27 and since."""


def on_page_content(html: str, page: Any, files: Any, **_: Any) -> str:
    """A notebook's page with links to pages in place of links to their files."""
    if not page.file.src_uri.endswith(".ipynb"):
        return html

    def to_page(link: re.Match[str]) -> str:
        target = files.get_file_from_path(link[1])
        if target is None:
            raise ValueError(f"{page.file.src_uri} links to {link[1]}, which is no page")
        return f'href="{target.url_relative_to(page.file)}{link[2]}"'

    return re.sub(r'href="([\w./-]+\.md)((?:#[\w-]+)?)"', to_page, html)


def on_post_page(output: str, **_: Any) -> str:
    """A page without MathJax; since version 0.27 every page has its loader."""
    return MATHJAX.sub("", output)
