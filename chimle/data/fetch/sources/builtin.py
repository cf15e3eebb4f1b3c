"""Built-in source: colour photographs inside the scikit-image wheel, without a download."""

import hashlib
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from chimle.data.fetch.sources.protocol import Collection, SourceFile
from chimle.errors import UserError
from chimle.images.decode import SUFFIXES

BUILTIN = ("astronaut", "chelsea", "coffee", "motorcycle_left", "rocket")
"""Natural colour photographs. The right image of the motorcycle's stereo pair shows the same scene
and is left out, as are microscopy and telescope images."""


def _find() -> list[SourceFile]:
    import skimage.data

    folder = Path(skimage.data.__file__).parent
    found = []
    for name in BUILTIN:
        files = sorted(folder.glob(f"{name}.*"))
        images = [file for file in files if file.suffix.lower() in SUFFIXES]
        if not images:
            raise UserError(f"this scikit-image lacks its image `{name}`: install the lock")
        found.append(SourceFile(name, str(images[0])))
    return found


def _origin(path: str) -> Mapping[str, str]:
    return {"source": f"scikit-image {version('scikit-image')}, {Path(path).name}"}


class Builtin:
    """Photographs that scikit-image ships."""

    def fingerprint(self) -> dict[str, Any]:
        """Their hashes."""
        return {
            photo.name: hashlib.sha256(Path(photo.path).read_bytes()).hexdigest()
            for photo in _find()
        }

    def fetch(self, work: Path) -> Collection:
        """The files of the package."""
        del work  # Nothing is downloaded.
        return Collection(_find(), [], _origin)

    def forget(self) -> None:
        """Nothing is recorded."""
