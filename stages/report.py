"""Write the report over all tasks: `report/index.html` and `report/overview.png`."""

from pathlib import Path

from chimle.errors import UserError
from chimle.io.files import replaced_folder, write_bytes, write_text
from chimle.report.page import overview, render
from chimle.settings.reading import read_yaml
from chimle.tasks import get_task
from stages._command import guarded, root_parser


def project_tasks(root: Path) -> list[str]:
    """The tasks that `params.yaml` lists."""
    tasks = read_yaml(root / "params.yaml").get("tasks")
    if not isinstance(tasks, dict) or not tasks:
        raise UserError("params.yaml: `tasks` lists no task: add one, `colourization: {}` will do")
    return [get_task(name).name for name in tasks]


def main(root: Path) -> None:
    """Render page and picture."""
    tasks = project_tasks(root)
    page, picture = render(root, tasks), overview(root, tasks)
    with replaced_folder(root / "report") as folder:
        write_text(folder / "index.html", page)
        write_bytes(folder / "overview.png", picture)


if __name__ == "__main__":
    arguments = root_parser(__doc__).parse_args()
    guarded(lambda: main(arguments.root))
