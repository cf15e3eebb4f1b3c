"""CHIMLE: many plausible samples per input image, by conditional hierarchical IMLE.

Paper: arXiv 2211.14286. Start with `chimle.load(bundle).sample(image)`; torch is imported then.
"""

from typing import TYPE_CHECKING

from chimle.io.openmp import wait_actively

if TYPE_CHECKING:
    from chimle.api.score_images import score as score
    from chimle.api.train_images import train as train
    from chimle.inference.load_model import load as load

__all__ = ["load", "score", "train"]
__version__ = "0.1.0"

wait_actively()


def __getattr__(name: str) -> object:
    match name:
        case "load":
            from chimle.inference.load_model import load

            return load
        case "score":
            from chimle.api.score_images import score

            return score
        case "train":
            from chimle.api.train_images import train

            return train
    raise AttributeError(f"module `chimle` has no `{name}`")
