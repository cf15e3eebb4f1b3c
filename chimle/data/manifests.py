"""Manifests of data folders: a header, and beside it one JSON line per file or pair.

The header (`source.json`, `manifest.json`) holds the SHA-256 of the lines (`files.jsonl`,
`pairs.jsonl`), so that its own hash covers everything. Lines are read one by one, so
memory does not grow with their number.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from chimle.data.file_names import safe_name
from chimle.errors import UserError
from chimle.io.files import names_written, sha256_of, write_text

FORMAT = 3
"""Version of headers and lines."""
SOURCE = "source.json"
PAIRS = "manifest.json"
LINES = {SOURCE: "files.jsonl", PAIRS: "pairs.jsonl"}
"""Files of lines, by the name of their header."""
_NEEDS = {SOURCE: ("kind", "side_by_side"), PAIRS: ("task", "size", "counts", "degradation")}
_TEXTS = {
    SOURCE: ("file", "sha256", "phash"),
    PAIRS: ("id", "split", "input", "target", "input_sha256", "target_sha256"),
}
"""Text fields that every line must hold."""
_MADE_BY = {SOURCE: "stages.fetch", PAIRS: "stages.pair"}


def write_records(
    folder: Path, name: str, header: dict[str, Any], records: Iterable[dict[str, Any]]
) -> None:
    """Write lines and header of a folder that is being filled."""
    path = folder / LINES[name]
    with names_written(path), path.open("w", encoding="utf-8") as stream:
        for record in records:
            stream.write(json.dumps(record, separators=(",", ":")) + "\n")
    lines = {"file": path.name, "sha256": sha256_of(path)}
    content = {"format": FORMAT, **header, "lines": lines}
    write_text(folder / name, json.dumps(content, indent=1) + "\n")


def read_header(folder: Path, name: str) -> dict[str, Any]:
    """A folder's header.

    Raises:
        UserError: it is missing, damaged, or of another format.
    """
    path, again = folder / name, f"run {_MADE_BY[name]}"
    try:
        header: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if header["format"] != FORMAT:
            newer = header["format"] > FORMAT
            remedy = "update this program" if newer else f"{again} again"
            raise UserError(f"{path} has format {header['format']}, not {FORMAT}: {remedy}")
        header["lines"]["sha256"]
        if any(key not in header for key in _NEEDS[name]):
            raise KeyError
        return header
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: {again} first") from None
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path} is damaged: {again} again") from None


def lines_file(folder: Path, name: str) -> Path:
    """The file of a folder's lines, checked against the hash in the header.

    Raises:
        UserError: it is missing or has another hash.
    """
    header, path = read_header(folder, name), folder / LINES[name]
    if not path.is_file() or sha256_of(path) != header["lines"]["sha256"]:
        raise UserError(f"{path} is not what {name} says: run {_MADE_BY[name]} again")
    return path


def parse_record(line: str | bytes, name: str) -> dict[str, Any]:
    """One line as a record; `ValueError` if it is damaged.

    Args:
        line: JSON.
        name: of the folder's header.
    """
    record = json.loads(line)
    if not isinstance(record, dict) or any(
        not isinstance(record.get(key), str) for key in _TEXTS[name]
    ):
        raise ValueError
    if name == SOURCE:
        kind = record["file"].partition("/")[0]
        if kind not in ("targets", "inputs") or safe_name(record["file"]) != record["file"]:
            raise ValueError
        if any(type(record.get(side)) is not int for side in ("width", "height")):
            raise ValueError
    return record


def read_records(folder: Path, name: str) -> Iterator[dict[str, Any]]:
    """The records of a folder.

    Raises:
        UserError: as in `lines_file`, or a line is damaged.
    """
    path = lines_file(folder, name)
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                yield parse_record(line, name)
            except ValueError:
                again = f"run {_MADE_BY[name]} again"
                raise UserError(f"{path}, line {number}, is damaged: {again}") from None
