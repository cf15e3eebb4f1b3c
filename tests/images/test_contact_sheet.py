"""Contact sheets: where images, headings and titles lie."""

import numpy as np
import pytest

from chimle.images.contact_sheet import GAP, HEADING, contact_sheet


def test_contact_sheet_places_images() -> None:
    red = np.full((2, 2, 3), (255, 0, 0), dtype=np.uint8)
    blue = np.full((8, 8, 3), (0, 0, 255), dtype=np.uint8)
    sheet = contact_sheet([[red, blue], [blue]], side=8)
    assert sheet.shape == (2 * (8 + GAP) + GAP, 2 * (8 + GAP) + GAP, 3)
    assert (sheet[GAP : GAP + 8, GAP : GAP + 8] == (255, 0, 0)).all()
    assert (sheet[-GAP - 8 : -GAP, GAP : GAP + 8] == (0, 0, 255)).all()
    assert (sheet[-GAP - 8 :, -GAP - 8 :] == 255).all()
    titled = contact_sheet([[red]], side=8, headings=["a"], titles=["b"])
    assert titled.shape[0] == 2 * HEADING + 8 + 2 * GAP
    assert (titled[-GAP - 8 : -GAP, GAP : GAP + 8] == (255, 0, 0)).all()
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet([])
