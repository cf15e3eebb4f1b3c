"""Sources, pairing, splits, poses."""

import os
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from chimle.data.augmentation import centre
from chimle.data.batch import make_batch
from chimle.data.dataset import PairIndex, pairs_hash
from chimle.data.fetch import fetching
from chimle.data.fetch.fetching import fetch
from chimle.data.fetch.sources.selection import find_images
from chimle.data.manifests import PAIRS, read_records
from chimle.data.pair import make_pairs as making
from chimle.data.pair.make_pairs import make_pairs
from chimle.errors import UserError
from chimle.images.pyramid import resize
from chimle.io import journal as parallel
from chimle.settings.reading import load_settings
from chimle.settings.run import RunSettings
from chimle.tasks import TASKS
from tests.support.projects import write_photographs, write_project


def project(root: Path, task: str, limit: int | None = None, **source: str) -> RunSettings:
    own = {"source": source or {"kind": "builtin"}, "pair": {"limit": limit}}
    write_project(root, {task: own})
    return load_settings(RunSettings, task, root)


def few(root: Path, task: str) -> RunSettings:
    """Twelve images: the built-in ones give hundreds of pairs."""
    write_photographs(root / "photos", count=12)
    return project(root, task, kind="folder", path="photos")


def run(root: Path, settings: RunSettings, name: str = "pairs", alone: bool = True) -> Path:
    """Fetch and pair; `alone`: in this process, since starting others takes longer."""
    with pytest.MonkeyPatch.context() as patch:
        if alone:
            patch.setattr(parallel, "INLINE_LIMIT", 10**9)
        fetch(settings, root, root / "raw")
        make_pairs(settings, root / "raw", root / name, root / "scratch")
    return root / name


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_an_index_reads_no_other_pairs_than_it_found(tmp_path: Path) -> None:
    """A training may run for hours beside a stage that makes its pairs anew."""
    settings = few(tmp_path, "decompression")
    pairs = run(tmp_path, settings)
    index, lines = PairIndex(pairs, "train", cache_bytes=0), pairs / "pairs.jsonl"
    first, content = index[0].input, lines.read_bytes()
    lines.unlink()
    lines.write_bytes(content)
    assert np.array_equal(index[0].input, first), "the same pairs again"
    better = settings.pair.model_copy(update={"jpeg_quality": 5})
    run(tmp_path, settings.model_copy(update={"pair": better}))
    assert len(lines.read_bytes()) == len(content), "every line begins where it did"
    with pytest.raises(UserError, match="pairs was made anew while it was read: run this again"):
        index[0]
    lines.unlink()
    with pytest.raises(UserError, match="was made anew"):
        index[0]


@pytest.mark.parametrize(
    ("module", "name", "made"),
    [(fetching, "sha256_of", "0" * 64), (making, "png_bytes", b"earlier")],
    ids=["fetch", "pair"],
)
def test_what_other_code_has_begun_is_not_continued(
    tmp_path: Path, module: ModuleType, name: str, made: object
) -> None:
    """A run that is killed leaves its work, and the program may be updated before the next one."""
    chosen = few(tmp_path, "decompression")
    expected = contents(run(tmp_path, chosen))
    files = contents(tmp_path / "raw")

    def killed(*_: Path) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "running_code", lambda _: "an earlier version")
        patch.setattr(module, name, lambda _: made)
        patch.setattr(module, "put_in_place", killed)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, chosen)
    assert contents(run(tmp_path, chosen, "again")) == expected
    assert contents(tmp_path / "raw") == files


@pytest.mark.parametrize("task", TASKS)
def test_builtin_pairs_are_the_same_again(tmp_path: Path, task: str) -> None:
    """Whether one process makes them or several do."""
    chosen = project(tmp_path, task, limit=40)
    alone = task != "night_to_day"
    first, second = run(tmp_path, chosen), run(tmp_path, chosen, "again", alone)
    assert contents(first) == contents(second)
    assert pairs_hash(first) == pairs_hash(second)


def test_builtin_regions_share_no_pixel(tmp_path: Path) -> None:
    entries = list(read_records(run(tmp_path, project(tmp_path, "decompression")), PAIRS))
    seen: dict[str, np.ndarray] = {}
    for entry in entries:
        left, top, side = entry["source"]["box"]
        canvas = seen.setdefault(entry["source"]["file"], np.zeros((2000, 2000), dtype=bool))
        assert not canvas[top : top + side, left : left + side].any()
        canvas[top : top + side, left : left + side] = True
    assert {entry["split"] for entry in entries} == {"train", "validation", "test"}


def test_night_says_that_it_is_rendered(tmp_path: Path) -> None:
    entries = list(read_records(run(tmp_path, few(tmp_path, "night_to_day")), PAIRS))
    assert all(entry["degradation"]["rendered"] for entry in entries)


def test_adding_files_moves_none(tmp_path: Path) -> None:
    chosen = few(tmp_path, "decompression")

    def splits(name: str) -> dict[str, str]:
        entries = read_records(run(tmp_path, chosen, name), PAIRS)
        return {entry["id"]: entry["split"] for entry in entries}

    before = splits("a")
    write_photographs(tmp_path / "photos" / "more", count=9, seed=1)
    after = splits("b")
    assert len(after) == 21
    assert all(after[name] == split for name, split in before.items())


def test_given_pairs_stay_aligned(tmp_path: Path) -> None:
    write_photographs(tmp_path / "set" / "train" / "high", count=4)
    write_photographs(tmp_path / "set" / "eval" / "high", count=2, seed=5)
    for path in list((tmp_path / "set").rglob("*.png")):
        dark = path.parents[1] / "low" / path.with_suffix(".jpg").name
        dark.parent.mkdir(exist_ok=True)
        image = Image.open(path)
        image.point(lambda v: v // 4).save(dark, quality=100, subsampling=0)
    chosen = project(tmp_path, "night_to_day", kind="folder", path="set/*/high", inputs="set/*/low")
    pairs = run(tmp_path, chosen)
    assert len(PairIndex(pairs, "train")) == 4
    assert len(PairIndex(pairs, "test")) == 2
    for pair in PairIndex(pairs, "test"):
        assert np.abs(pair.input.astype(float) - pair.target / 4).mean() < 3


def smooth(width: int, height: int, seed: int) -> Image.Image:
    """Noise of a few pixels, enlarged: no two of its parts are alike, and sizes hardly matter."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize(
    ("task", "sides"), [("night_to_day", (240, 160)), ("super_resolution", (6, 4))]
)
def test_given_inputs_of_another_size_stay_aligned(
    tmp_path: Path, task: str, sides: tuple[int, int]
) -> None:
    """Larger ones, and those of super-resolution, which are always smaller."""
    for folder in ("high", "low"):
        (tmp_path / folder).mkdir()
    for number in range(6):
        target = smooth(96, 64, number)
        target.save(tmp_path / "high" / f"{number}.png")
        target.resize(sides, Image.Resampling.BICUBIC).save(tmp_path / "low" / f"{number}.png")
    pairs = run(tmp_path, project(tmp_path, task, kind="folder", path="high", inputs="low"))
    for pair in (*PairIndex(pairs, "train"), *PairIndex(pairs, "test")):
        expected = resize(pair.target, (pair.input.shape[0], pair.input.shape[1]))
        assert np.abs(pair.input.astype(float) - expected).mean() < 8


def test_a_given_input_of_another_shape_is_refused(tmp_path: Path) -> None:
    for folder, sides in (("high", (96, 64)), ("low", (96, 80))):
        (tmp_path / folder).mkdir()
        for number in range(4):
            smooth(*sides, number).save(tmp_path / folder / f"{number}.png")
    chosen = project(tmp_path, "night_to_day", kind="folder", path="high", inputs="low")
    with pytest.raises(UserError, match=r"\(96x80\) has another shape than .* \(96x64\): crop one"):
        run(tmp_path, chosen)


def test_batches_have_the_towers_sizes(tmp_path: Path) -> None:
    for name, count, channels in (("colourization", 4, 1), ("super_resolution", 1, 3)):
        chosen = few(tmp_path, name)
        pairs = [
            centre(pair, chosen.definition, 32) for pair in PairIndex(run(tmp_path, chosen), "test")
        ]
        batch = make_batch(chosen.definition, chosen.tower, pairs)
        assert [t.shape[-1] for t in batch.targets] == [4, 8, 16, 32]
        assert len(batch.conditioning) == count
        assert batch.conditioning[0].shape[1] == channels
        assert batch.select([1]).keys == batch.keys[1:2]


def test_bad_folders_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    write_photographs(tmp_path / "photos", count=3)
    write_photographs(tmp_path / "other", count=2)
    cases: dict[str, dict[str, Any]] = {
        "holds no images": {"path": "empty"},
        "is no directory": {"path": "nowhere"},
        "photo_02 has no input": {"path": "photos", "inputs": "other"},
        "photo_02 has no target": {"path": "other", "inputs": "photos"},
    }
    for message, source in cases.items():
        chosen = project(tmp_path, "decompression", kind="folder", **source)
        with pytest.raises(UserError, match=message):
            fetch(chosen, tmp_path, tmp_path / "raw")
        assert not (tmp_path / "raw").exists()


def test_small_and_damaged_images_are_named(tmp_path: Path) -> None:
    write_photographs(tmp_path / "photos", count=3)
    Image.new("RGB", (1, 1)).save(tmp_path / "photos" / "dot.png")
    chosen = project(tmp_path, "decompression", kind="folder", path="photos")
    with pytest.raises(UserError, match=r"dot\.png is 1x1, smaller than `pair.size`"):
        run(tmp_path, chosen)
    assert not (tmp_path / "pairs").exists()
    (tmp_path / "photos" / "dot.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(UserError, match=r"dot\.png is damaged"):
        run(tmp_path, chosen)


def test_a_changed_pair_is_noticed(tmp_path: Path) -> None:
    pairs = run(tmp_path, few(tmp_path, "decompression"))
    victim = next((pairs / "train" / "target").iterdir())
    Image.new("RGB", (32, 32)).save(victim)
    with pytest.raises(UserError, match="is not the file that its manifest names"):
        list(PairIndex(pairs, "train"))
    (pairs / "manifest.json").write_text("{")
    with pytest.raises(UserError, match="is damaged"):
        PairIndex(pairs, "train")


@pytest.mark.parametrize("name", ["a\nb.png", "n\udcff.png", "a\\b.png"])
def test_a_folder_with_a_bad_name_is_refused(tmp_path: Path, name: str) -> None:
    """As in archives and buckets; a pipe is left alone."""
    write_photographs(tmp_path / "photos", count=3)
    os.mkfifo(tmp_path / "photos" / "pipe.png")
    found, left_out = find_images("photos", tmp_path, "source.path")
    assert [one.reason for one in left_out] == ["a pipe"]
    assert [file.name for file in found] == ["photo_00", "photo_01", "photo_02"]
    (tmp_path / "photos" / "photo_00.png").rename(tmp_path / "photos" / name)
    with pytest.raises(UserError, match="rename it"):
        find_images("photos", tmp_path, "source.path")
