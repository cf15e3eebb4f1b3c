"""Which samples `chimle sample` draws of every image, and what excludes each other."""

from dataclasses import dataclass
from pathlib import Path

from chimle.errors import UserError
from chimle.inference.match import check_candidates
from chimle.inference.sample_names import LARGEST_NUMBER, MOST_SAMPLES, parse_name


@dataclass(frozen=True)
class SampleRequest:
    """Which samples to draw of every image. At most one of `names`, `base` and `target` is set.

    Attributes:
        count: samples per image; None: the default number.
        seed: seed of the samples.
        first: number of the first sample.
        names: samples by name.
        base: sample to vary, or the start of a blend.
        keep_level: coarse levels that a variation keeps; None: the default number.
        end: sample that a blend ends at.
        target: image whose nearest sample is searched.
        candidates: of that search, per level; empty: the default number.
        weights: perceptual weights of that search, as `Model.match` takes them.
        degrade: make the input from a target image first.
    """

    count: int | None = None
    seed: int = 0
    first: int = 0
    names: tuple[str, ...] = ()
    base: str | None = None
    keep_level: int | None = None
    end: str | None = None
    target: Path | None = None
    candidates: tuple[int, ...] = ()
    weights: str | None = None
    degrade: bool = False

    @property
    def drawn(self) -> int:
        """Number of plain samples, variations or steps of a blend."""
        return 8 if self.count is None else self.count

    @property
    def kept(self) -> int:
        """Coarse levels whose codes variations keep."""
        return 2 if self.keep_level is None else self.keep_level

    def check(self, levels: int) -> None:
        """`UserError` where fields exclude each other, change nothing, or do not fit `levels`."""
        if sum((bool(self.names), self.base is not None, self.target is not None)) > 1:
            raise UserError("`--sample`, `--from` and `--match` exclude each other: give one")
        if self.end is not None and self.base is None:
            raise UserError("`--to` ends a blend that `--from` begins: give both")
        if self.first and (self.names or self.base is not None or self.target is not None):
            raise UserError(
                "`--first` is of plain samples, not of `--sample`, `--from` or `--match`"
            )
        if self.keep_level is not None and (self.base is None or self.end is not None):
            raise UserError("`--keep-level` is of variations: give `--from`, and not `--to`")
        if self.count is not None and (self.names or self.target is not None):
            raise UserError("`-n` has no meaning beside `--sample` and `--match`: leave it out")
        if self.base is not None and self.end is None and not 0 <= self.kept < levels:
            raise UserError(
                f"`--keep-level` {self.kept}: this model has {levels} levels: keep at most "
                f"{levels - 1}, so that variations differ"
            )
        if not 1 <= self.drawn <= MOST_SAMPLES:
            raise UserError(f"`-n` {self.drawn}: draw at most {MOST_SAMPLES:,} samples at once")
        if self.first > LARGEST_NUMBER:
            raise UserError(f"`--first` {self.first}: numbers end at {LARGEST_NUMBER:,}")
        for name in (*self.names, self.base, self.end):
            if name is not None:
                parse_name(name, levels)
        if self.candidates:
            check_candidates(self.candidates, levels, "--candidates")
        if self.target is None and (self.candidates or self.weights is not None):
            raise UserError("`--candidates` and `--weights` are of a search: give `--match`, too")
