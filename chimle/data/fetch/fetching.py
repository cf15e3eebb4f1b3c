"""Fetch the images of a source: select, copy, decode once to check, and record them.

`data/raw/TASK` then holds untouched copies (`targets/`, `inputs/` where the source has pairs),
`files.jsonl` with a line for each, and `source.json`.
"""

import hashlib
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagehash
from PIL import Image

from chimle.data.fetch.catalogue import resolve
from chimle.data.fetch.sources import open_source
from chimle.data.fetch.sources.protocol import Collection, SourceFile, Workspace
from chimle.data.manifests import SOURCE, write_records
from chimle.errors import UserError
from chimle.images.decode import read_rgb
from chimle.images.walk import left_out_summary
from chimle.io.files import names_written, put_in_place, sha256_of
from chimle.io.journal import journalled, read_lines
from chimle.provenance import digest, running_code
from chimle.settings.source import FetchStageSettings, Selection


@dataclass(frozen=True, slots=True)
class _Item:
    """One file to copy.

    Attributes:
        photo: the file.
        kind: `targets` or `inputs`.
        origin: provenance fields of its record.
    """

    photo: SourceFile
    kind: str
    origin: Mapping[str, str]


@dataclass(frozen=True)
class _Copy:
    """Copies a file and returns its record.

    Attributes:
        out: destination.
        skip_damaged: whether damaged files are only listed.
        owned: folder of files extracted for this run: they are hard-linked instead of copied,
            where the file system can.
    """

    out: Path
    skip_damaged: bool
    owned: Path

    def _copy(self, source: Path, copy: Path) -> None:
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.unlink(missing_ok=True)  # From a run that was killed.
        if source.is_relative_to(self.owned) and not source.is_symlink():
            with suppress(OSError):  # File systems of removable disks have no links.
                copy.hardlink_to(source)
                return
        shutil.copyfile(source, copy)

    def __call__(self, item: _Item) -> dict[str, Any]:
        source = Path(item.photo.path)
        name = f"{item.kind}/{item.photo.name}{source.suffix.lower()}"
        copy = self.out / name
        self._copy(source, copy)
        try:
            rgb = read_rgb(copy)
        except UserError as error:
            copy.unlink()
            sentence = str(error).replace(str(copy), str(source))
            if not self.skip_damaged:
                raise UserError(sentence) from None
            return {"file": name, "skipped": sentence}
        height, width = rgb.shape[:2]
        return {
            "file": name,
            "sha256": sha256_of(copy),
            "bytes": copy.stat().st_size,
            "width": width,
            "height": height,
            "phash": str(imagehash.phash(Image.fromarray(rgb))),
            **item.origin,
        }


def _stem(file: str) -> str:
    """A record's name without its kind and extension."""
    return file.split("/", 1)[1].rpartition(".")[0]


def _split_records(
    journal: Path, folder: Path
) -> tuple[Iterator[dict[str, Any]], list[dict[str, str]]]:
    """Records that stay, and those left out: damaged files and their partners."""
    skipped = {}
    for record in read_lines(journal):
        if "skipped" in record:
            skipped[_stem(record["file"])] = record["skipped"]

    def kept_records() -> Iterator[dict[str, Any]]:
        for record in read_lines(journal):
            if _stem(record["file"]) not in skipped:
                yield record
            else:
                (folder / record["file"]).unlink(missing_ok=True)

    left_out = [{"name": name, "because": reason} for name, reason in sorted(skipped.items())]
    return kept_records(), left_out


def _items(collection: Collection) -> list[_Item]:
    pairs = (("targets", collection.targets), ("inputs", collection.inputs))
    return [_Item(p, kind, collection.origin(p.path)) for kind, photos in pairs for p in photos]


def _items_key(items: Sequence[_Item]) -> str:
    """Names what is copied, in its order, and by which code: names, origins, sizes and times."""
    state = hashlib.sha256(running_code(Path(__file__)).encode())
    for item in items:
        stat = Path(item.photo.path).stat()
        what = [item.kind, item.photo.name, item.photo.path, stat.st_size, stat.st_mtime_ns]
        state.update(digest([*what, dict(item.origin)]).encode())
    return state.hexdigest()[:16]


def fetch(settings: FetchStageSettings, root: Path, out: Path) -> dict[str, int]:
    """Fetch the images of a task's source into the folder `out`.

    A killed run is continued by the next one with the same settings; with other code, images are
    copied and examined again. The caller holds the lock of the task's data
    (`chimle.data.task_lock`).

    Args:
        settings: the task's settings.
        root: the project; relative paths start here.
        out: folder that is replaced once everything is fetched.

    Returns:
        Numbers of `targets`, `inputs` and `skipped`.

    Raises:
        UserError: the source cannot be fetched, has changed, or a file is damaged.
    """
    source = resolve(settings.source, root)
    workspace = Workspace(root, root / "scratch")
    origin = open_source(source, workspace)
    # If the source has changed since a killed run, this run starts from the beginning.
    key = digest([source.model_dump(mode="json"), origin.fingerprint()])[:16]
    work = workspace.scratch / "fetch" / settings.task / key
    collection = origin.fetch(work / "source")
    items = _items(collection)
    # A folder may have changed since its fingerprint was taken.
    copies = work / "copies" / _items_key(items)
    staging, journal = copies / "staging", copies / "journal.jsonl"
    if not staging.is_dir():
        journal.unlink(missing_ok=True)
        staging.mkdir(parents=True)
    selection = source if isinstance(source, Selection) else None
    copy = _Copy(staging, selection is not None and selection.damaged == "skip", work)
    journalled(journal, items, copy, report=lambda text: print(f"fetch: {text}"))
    records, left_out = _split_records(journal, staging)
    counts = Counter[str]()

    def counted() -> Iterator[dict[str, Any]]:
        for record in records:
            counts[record["file"].split("/", 1)[0]] += 1
            yield record

    header: dict[str, Any] = {
        "kind": source.kind,
        "side_by_side": selection.side_by_side if selection else None,
        "skipped": left_out,
    }
    if collection.left_out:  # Files of a source that are no images to fetch.
        header["left_out"] = [
            {"file": one.path.as_posix(), "reason": one.reason} for one in collection.left_out
        ]
    if collection.annotations:
        header["annotations"] = f"annotations{collection.annotations.suffix}"
        with names_written(staging):
            shutil.copyfile(collection.annotations, staging / header["annotations"])
    write_records(staging, SOURCE, header, counted())
    if not counts["targets"]:
        raise UserError(f"`source`: every image is damaged, e.g. {left_out[0]['because']}")
    put_in_place(staging, out)
    collection.record()
    shutil.rmtree(work.parent, ignore_errors=True)
    if summary := left_out_summary(collection.left_out):
        print(f"fetch: {summary}; {out / SOURCE} lists them")
    return {**counts, "skipped": len(left_out)}
