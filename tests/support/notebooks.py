"""Execution of a notebook by this environment's kernel: `python -m tests.support.notebooks FILE`.

It writes the notebook with its new outputs and without what differs from machine to machine.
"""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

KERNEL = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
"""Metadata of a notebook that any machine can have written."""
SECONDS = 540
"""Limit of a cell."""


def read(path: Path) -> NotebookNode:
    """The notebook of a file."""
    notebook: NotebookNode = nbformat.read(path, as_version=4)
    return notebook


def execute(notebook: NotebookNode, folder: Path) -> NotebookNode:
    """Run all cells of a notebook in a folder, in place; the first error is raised."""
    client = NotebookClient(
        notebook,
        timeout=SECONDS,
        kernel_name=KERNEL["kernelspec"]["name"],
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
        coalesce_streams=True,
    )
    client.execute()
    notebook.metadata = NotebookNode(KERNEL)
    return notebook


def main(path: Path) -> None:
    """Execute the notebook of a file, and write it with its outputs."""
    notebook = execute(read(path), path.parent)
    nbformat.validate(notebook)
    path.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
