"""The table of bad inputs: how each is made, and its message.

`python -m tests.data.bad_inputs > docs/bad-inputs.md` writes the page.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.support.world import World


@dataclass(frozen=True)
class BadInput:
    """A row of the table.

    Attributes:
        kind: heading that it stands under.
        what: what is bad.
        says: the sentence; `…` stands for anything.
        make: brings it into a project.
        stage: that refuses it.
    """

    kind: str
    what: str
    says: str
    make: Callable[[World], object]
    stage: str = "fetch"

    @property
    def name(self) -> str:
        """For the test's report."""
        return re.sub(r"[^a-z0-9]+", "-", f"{self.kind} {self.what}".lower()).strip("-")

    def pattern(self) -> re.Pattern[str]:
        """What the sentence must match as a whole."""
        return re.compile(".*".join(re.escape(part) for part in self.says.split("…")))


INTRODUCTION = """# What happens to bad inputs

Each input is given to a stage that already has good data. The stage prints one sentence (`error: `
and the text below; `…` stands for text that varies), ends with exit code 2, keeps the good data and
leaves nothing half-written. `tests/data/test_bad_inputs.py` checks all of them; this page is made
from its table: `python -m tests.data.bad_inputs > docs/bad-inputs.md`.
"""

ODD_INPUTS = """## Odd images and folders

`chimle sample`, `chimle score` and all sources read images and search folders in the same way. The
tables of `tests/images/odd_images.py` and `tests/images/odd_folders.py` make each input and check
what stands here; `…` stands for text that varies. A refused file is one sentence and exit code 2,
and the others of its batch are still processed. Sources of the pipeline refuse some names beyond
that (above), since their files are to live on every system.
"""


def all_bad_inputs() -> list[BadInput]:
    """The whole table."""
    from tests.data import bad_archives, bad_buckets, bad_files, bad_servers, bad_settings

    modules = (bad_servers, bad_buckets, bad_archives, bad_files, bad_settings)
    return [row for module in modules for row in module.TABLE]


def document() -> Iterator[str]:
    """Lines of the page that lists them."""
    rows = all_bad_inputs()
    yield INTRODUCTION
    for kind in dict.fromkeys(row.kind for row in rows):
        yield f"## {kind}\n"
        yield "| input | stage | sentence |"
        yield "| --- | --- | --- |"
        for row in rows:
            if row.kind == kind:
                yield f"| {row.what} | {row.stage} | {row.says.replace('|', '¦')} |"
        yield ""
    yield from odd_inputs()


def odd_inputs() -> Iterator[str]:
    """Lines on odd images and folders, and on what is read of each format."""
    from tests.images import odd_folders, odd_images
    from tests.images.test_decode_kinds import TURNS, format_rows

    yield ODD_INPUTS
    for kind, rows in odd_images.TABLE.items():
        yield f"## {kind}\n\n| file | what happens |\n| --- | --- |"
        yield from (f"| {row.what} | {row.happens} |" for row in rows)
        yield ""
    yield "## Folders of images\n"
    yield "| folder with, or argument that is | what happens |\n| --- | --- |"
    yield from (f"| {row.what} | {row.happens} |" for row in odd_folders.TABLE)
    yield f"""
## Formats

Each row is one image in all these modes and, where the format has EXIF, in all {len(TURNS)}
orientations. It reads as the same pixels, to the precision of the format.

| format | modes or values | written with | orientations |
| --- | --- | --- | --- |"""
    yield from (f"| {' | '.join(row)} |" for row in format_rows())


if __name__ == "__main__":
    print("\n".join(document()).rstrip())
