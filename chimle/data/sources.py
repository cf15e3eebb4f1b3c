"""Where photographs come from: those inside scikit-image, or a folder of yours.

A source becomes a folder of untouched copies (`targets/`, `inputs/` where it has pairs) and
`source.json`, which names every file with its hash and size.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from chimle.errors import UserError
from chimle.files import replaced_folder, write_text
from chimle.images.decode import SUFFIXES, read_rgb
from chimle.settings import FolderSource, SourceSettings

BUILTIN = ("astronaut", "chelsea", "coffee", "motorcycle_left", "rocket")
"""Natural colour photographs inside the scikit-image wheel. The right half of the motorcycle's
stereo pair shows the same scene and stays out; microscopy and telescope pictures do too."""


@dataclass(frozen=True)
class Photograph:
    """A file of a source and the relative name, without ending, that it gets."""

    name: str
    path: Path


def _builtin() -> list[Photograph]:
    import skimage.data

    folder = Path(skimage.data.__file__).parent
    found = []
    for name in BUILTIN:
        files = sorted(folder.glob(f"{name}.*"))
        pictures = [file for file in files if file.suffix.lower() in SUFFIXES]
        if not pictures:
            raise UserError(f"this scikit-image lacks its photograph `{name}`: install the lock")
        found.append(Photograph(name, pictures[0]))
    return found


def _folders(pattern: str, root: Path, field: str) -> list[tuple[str, Path]]:
    """Directories that `pattern` names; one `*` component becomes the leading subfolder."""
    parts = Path(pattern).parts
    if parts.count("*") > 1 or any("*" in part and part != "*" for part in parts):
        raise UserError(f"`{field}`: {pattern} may hold one `*` for one directory level")
    if "*" not in parts:
        folder = root / pattern
        if not folder.is_dir():
            raise UserError(f"`{field}`: {folder} is no directory: name one with pictures")
        return [("", folder)]
    star = parts.index("*")
    above, below = root.joinpath(*parts[:star]), parts[star + 1 :]
    if not above.is_dir():
        raise UserError(f"`{field}`: {above} is no directory: name one with pictures")
    folders = [
        (child.name, child.joinpath(*below))
        for child in sorted(above.iterdir())
        if child.joinpath(*below).is_dir()
    ]
    if not folders:
        raise UserError(f"`{field}`: nothing matches {pattern} below {root.resolve()}")
    return folders


def _pictures(pattern: str, root: Path, field: str) -> list[Photograph]:
    """All pictures below the folders, by relative name without ending."""
    found: dict[str, Photograph] = {}
    for prefix, folder in _folders(pattern, root, field):
        for path in sorted(folder.rglob("*")):
            inside = path.relative_to(folder)
            hidden = any(part.startswith(".") for part in inside.parts)
            if hidden or not path.is_file() or path.suffix.lower() not in SUFFIXES:
                continue
            name = (Path(prefix) / inside.with_suffix("")).as_posix()
            if name in found:
                raise UserError(
                    f"{path} and {found[name].path} have the same name but for the ending: "
                    "rename one"
                )
            found[name] = Photograph(name, path)
    if not found:
        endings = ", ".join(sorted(SUFFIXES))
        raise UserError(f"`{field}`: {pattern} holds no pictures ({endings})")
    return list(found.values())


def _match(targets: list[Photograph], inputs: list[Photograph]) -> None:
    """Every target needs its input and the other way round."""
    names = {photo.name for photo in targets}, {photo.name for photo in inputs}
    for here, there, kind in ((names[0], names[1], "input"), (names[1], names[0], "target")):
        unpaired = sorted(here - there)
        if unpaired:
            more = f" (and {len(unpaired) - 1} more)" if len(unpaired) > 1 else ""
            raise UserError(
                f"`source`: {unpaired[0]} has no {kind} of the same name{more}: "
                "add it or take the other away"
            )


def _copy(photos: list[Photograph], kind: str, out: Path) -> Iterator[dict]:
    """Copy untouched files that decode; yields their records."""
    for photo in photos:
        height, width = read_rgb(photo.path).shape[:2]
        name = f"{kind}/{photo.name}{photo.path.suffix.lower()}"
        copy = out / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(photo.path, copy)
        sha256 = hashlib.sha256(copy.read_bytes()).hexdigest()
        yield {"file": name, "sha256": sha256, "width": width, "height": height}


def fetch(source: SourceSettings, root: Path, out: Path) -> int:
    """Bring a source's photographs to the folder `out`; returns their number.

    Args:
        source: which source.
        root: directory that relative paths start from.
        out: folder that is replaced when everything has arrived.

    Raises:
        UserError: a folder is missing or empty, names do not pair up, or a file is damaged.
    """
    inputs: list[Photograph] = []
    if source.kind == "builtin":
        targets = _builtin()
    else:
        assert isinstance(source, FolderSource)
        targets = _pictures(source.path, root, "source.path")
        if source.inputs:
            inputs = _pictures(source.inputs, root, "source.inputs")
            _match(targets, inputs)
    with replaced_folder(out) as folder:
        files = [*_copy(targets, "targets", folder), *_copy(inputs, "inputs", folder)]
        record = {"format": 1, "kind": source.kind, "files": files}
        write_text(folder / "source.json", json.dumps(record, indent=1) + "\n")
    return len(targets)
