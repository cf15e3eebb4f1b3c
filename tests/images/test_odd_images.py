"""Every odd image file of the table is read as it says, or refused with its sentence."""

from pathlib import Path

import numpy as np
import pytest

from chimle.errors import UserError
from chimle.images.decode import read_image
from tests.images import odd_folders
from tests.images.odd_images import TABLE, OddImage

ROWS = [row for rows in TABLE.values() for row in rows]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.what)
@pytest.mark.filterwarnings("error")
def test_an_odd_image(row: OddImage, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / row.name
    path.write_bytes(row.make())
    if row.shows is None:
        with pytest.raises(UserError) as caught:
            read_image(path)
        assert row.pattern().fullmatch(str(caught.value)), caught.value
        assert " object at 0x" not in str(caught.value)
        assert "<_io." not in str(caught.value)
    else:
        read = read_image(path).rgb
        assert read.shape == row.shows.shape
        assert np.abs(read - row.shows.astype(float)).mean() <= row.loss
    assert capfd.readouterr() == ("", "")


def test_the_table_is_long_enough_and_its_rows_differ() -> None:
    """Beside formats, modes and orientations (`test_decode_kinds`), which count as one row."""
    rows = [row.what for row in ROWS] + [row.what for row in odd_folders.TABLE]
    assert len(rows) >= 80
    assert len(set(rows)) == len(rows)
