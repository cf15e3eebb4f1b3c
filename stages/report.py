"""Write the report over all tasks: `report/index.html` and `report/overview.png`."""

from pathlib import Path

from chimle.errors import guarded
from chimle.io.files import replaced_folder, write_bytes, write_text
from chimle.report.page import overview, render
from chimle.settings.reading import listed_tasks
from stages._command import root_parser


def publish(root: Path, page: Path) -> None:
    """Write the page alone, small enough to publish."""
    write_text(page, render(root, listed_tasks(root), publish=True))


def main(root: Path) -> None:
    """Render page and overview."""
    tasks = listed_tasks(root)
    page, image = render(root, tasks), overview(root, tasks)
    with replaced_folder(root / "report") as folder:
        write_text(folder / "index.html", page)
        write_bytes(folder / "overview.png", image)


if __name__ == "__main__":
    parser = root_parser(__doc__)
    parser.add_argument(
        "--publish",
        type=Path,
        metavar="FILE",
        help="write the page to FILE instead, with photographs as WebP and without contact sheets",
    )
    arguments = parser.parse_args()
    if arguments.publish:
        guarded(lambda: publish(arguments.root, arguments.publish))
    else:
        guarded(lambda: main(arguments.root))
