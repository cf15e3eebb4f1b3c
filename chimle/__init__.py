"""CHIMLE: many plausible pictures from one, by conditional hierarchical IMLE (arXiv 2211.14286).

`chimle.load(bundle).sample(picture)` is the way in; torch is imported when it is used.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chimle.inference.model import load as load

__all__ = ["load"]
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    if name == "load":
        from chimle.inference.model import load

        return load
    raise AttributeError(f"module `chimle` has no `{name}`")
