"""CHIMLE: many plausible samples per input image, by conditional hierarchical IMLE.

Paper: arXiv 2211.14286. Start with `chimle.load(bundle).sample(image)`; torch is imported then.
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
