"""Hook of the site: links of a notebook to files of the repository become links to their pages."""

import re
from typing import Any


def on_page_content(html: str, page: Any, files: Any, **_: Any) -> str:
    """A notebook's page with links to pages in place of links to their files."""
    if not page.file.src_uri.endswith(".ipynb"):
        return html

    def to_page(link: re.Match[str]) -> str:
        target = files.get_file_from_path(link[1])
        if target is None:
            raise ValueError(f"{page.file.src_uri} links to {link[1]}, which is no page")
        return f'href="{target.url_relative_to(page.file)}"'

    return re.sub(r'href="([\w.-]+\.md)"', to_page, html)
