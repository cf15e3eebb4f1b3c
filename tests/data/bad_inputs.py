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


if __name__ == "__main__":
    print("\n".join(document()).rstrip())
