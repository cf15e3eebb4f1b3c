"""CHIMLE: many plausible pictures from one, by conditional hierarchical IMLE (arXiv 2211.14286)."""

__version__ = "0.1.0"
