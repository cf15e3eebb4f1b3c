"""Rows of a CSV file, each with the line where it begins."""

import csv
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from chimle.errors import UserError


class CsvRows:
    """The rows of a CSV file by the names in its first one; blank ones do not count.

    Making one, and going through it, raises `csv.Error` where a row is no CSV, such as a quote
    without its end.

    Attributes:
        columns: the names; empty where there is no row.
        line: where the last row begins, also one that is no CSV; 0 before the first.
    """

    def __init__(self) -> None:
        self.columns: list[str] = []
        self.line = 0

    def read(self, stream: Iterable[str]) -> Iterator[dict[str, str]]:
        """The rows of a text that was opened with `newline=""`.

        `columns` is set at once. A row that is shorter lacks the last of them.
        """
        rows = self._rows(stream)
        self.columns = next(rows, [])
        return (dict(zip(self.columns, row, strict=False)) for row in rows)

    def _rows(self, stream: Iterable[str]) -> Iterator[list[str]]:
        reader = csv.reader(stream, strict=True)
        while True:
            self.line = reader.line_num + 1
            row = next(reader, None)
            if row is None:
                return
            if row:
                yield row


@contextmanager
def opened_csv(path: Path, field: str = "") -> Iterator[tuple[CsvRows, Iterator[dict[str, str]]]]:
    """A CSV file in UTF-8, and its rows.

    Args:
        path: the file.
        field: of the settings, which names it.

    Raises:
        UserError: the file is missing, not in UTF-8, or a row is no CSV.
    """
    table = CsvRows()
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            yield table, table.read(stream)
    except FileNotFoundError:
        raise UserError(f"{f'`{field}`: ' if field else ''}{path} does not exist") from None
    except csv.Error as error:
        raise UserError(
            f"{path}, line {table.line}: this row is no CSV ({error}): correct its quotes"
        ) from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is no CSV file in UTF-8: write it again") from None
