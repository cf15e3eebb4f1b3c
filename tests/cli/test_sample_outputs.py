"""`chimle sample` among files of the user: nothing is written over, every file is accounted for."""

import hashlib
import json
import os
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from chimle.images.decode import read_rgb
from chimle.images.formats import extension_of_content
from chimle.inference.output_files import input_of
from tests.support.command import run
from tests.support.projects import noise_image, tiny_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("model") / "bundle", "night_to_day")


def image(path: Path, side: int = 16) -> Path:
    """Write an image whose pixels depend on `side`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise_image((side, 16))).save(path)
    return path


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of each file below a folder, by its path."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def account(bundle: Path, *arguments: object, code: int = 0) -> dict[str, Any]:
    """The JSON account of a run with one sample per image."""
    done = run("sample", *arguments, "--model", bundle, "-n", 1, "--json")
    assert done.returncode == code, done.stderr
    content: dict[str, Any] = json.loads(done.stdout)
    return content


def test_a_file_of_the_user_is_never_written_over(tmp_path: Path, bundle: Path) -> None:
    image(tmp_path / "a.png"), image(tmp_path / "a_00.png", 24)
    before = hashes(tmp_path)
    found = account(bundle, tmp_path / "a.png", tmp_path / "a_00.png", "-o", tmp_path, code=2)
    assert "was not written by this program" in found["failed"][0]["error"]
    assert [entry["image"] for entry in found["images"]] == [str(tmp_path / "a_00.png")]
    assert before.items() <= hashes(tmp_path).items()


def test_a_panorama_that_no_jpeg_file_holds_is_refused(tmp_path: Path) -> None:
    model = tiny_bundle(tmp_path / "bundle", "decompression")
    Image.new("RGB", (65_501, 1)).save(tmp_path / "wide.png")
    found = account(model, tmp_path / "wide.png", "--degrade", "-o", tmp_path / "out", code=2)
    words = "wide.png: 65501x1 pixels do not fit into a JPEG file, whose sides have at most 65,500"
    assert words in found["failed"][0]["error"]


def test_large_outputs_are_looked_at_without_a_warning(
    tmp_path: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pillow warns from half of the pixels on that are read, as of a sample of 10240x10240."""
    account(bundle, image(tmp_path / "a.png"), "-o", tmp_path / "out")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert input_of(tmp_path / "out" / "a_00.png") is not None
        assert extension_of_content(tmp_path / "a.png") == ".png"


def test_the_second_run_in_a_folder_repeats_the_first(tmp_path: Path, bundle: Path) -> None:
    image(tmp_path / "a.png"), image(tmp_path / "b.png", 24)
    account(bundle, tmp_path, "-o", tmp_path)
    first = hashes(tmp_path)
    assert sorted(first) == ["a.png", "a_00.png", "a_grid.png", "b.png", "b_00.png", "b_grid.png"]
    again = account(bundle, tmp_path, "-o", tmp_path)
    assert hashes(tmp_path) == first
    assert len(again["left_out"]) == 4
    assert {entry["reason"] for entry in again["left_out"]} == {
        "an output of this program in the output folder"
    }
    account(bundle, *sorted(tmp_path.iterdir()), "-o", tmp_path)
    assert hashes(tmp_path) == first, "as a shell's `*` names them"


def test_outputs_of_another_image_or_edited_outputs_are_kept(tmp_path: Path, bundle: Path) -> None:
    out = tmp_path / "out"
    account(bundle, image(tmp_path / "one" / "a.png"), "-o", out)
    before = hashes(out)
    other = image(tmp_path / "two" / "a.png", 24)
    found = account(bundle, other, "-o", out, code=2)
    assert "belongs to another image" in found["failed"][0]["error"]
    assert hashes(out) == before
    with Image.open(out / "a_00.png") as sample:
        sample.putpixel((0, 0), (1, 2, 3))
        text = sample.info["chimle"]
        from PIL.PngImagePlugin import PngInfo

        kept = PngInfo()
        kept.add_text("chimle", text)
        sample.save(out / "a_00.png", pnginfo=kept)
    assert input_of(out / "a_00.png") is None
    edited = hashes(out)
    found = account(bundle, tmp_path / "one" / "a.png", "-o", out, code=2)
    assert "was not written by this program" in found["failed"][0]["error"]
    assert hashes(out) == edited


def test_the_output_folder_is_not_searched(tmp_path: Path, bundle: Path) -> None:
    image(tmp_path / "a.png")
    for _ in range(2):
        found = account(bundle, tmp_path, "-o", tmp_path / "samples")
        assert len(found["images"]) == 1
    assert [entry["reason"] for entry in found["left_out"]] == ["the output folder"]


def test_sub_folders_keep_their_structure(tmp_path: Path, bundle: Path) -> None:
    image(tmp_path / "in" / "cat" / "001.jpg"), image(tmp_path / "in" / "dog" / "001.jpg", 24)
    names = ["cat/001_00.png", "cat/001_grid.png", "dog/001_00.png", "dog/001_grid.png"]
    account(bundle, tmp_path / "in", "-o", tmp_path / "whole")
    assert sorted(hashes(tmp_path / "whole")) == names
    files = sorted((tmp_path / "in").rglob("*.jpg"))
    account(bundle, *files, "-o", tmp_path / "files")
    assert sorted(hashes(tmp_path / "files")) == names
    (tmp_path / "in" / "x").mkdir()
    crooked = tmp_path / "in" / "x" / ".." / "cat" / "001.jpg"
    account(bundle, crooked, files[1], "-o", tmp_path / "crooked")
    assert sorted(hashes(tmp_path / "crooked")) == names


def test_one_stem_with_two_suffixes(tmp_path: Path, bundle: Path) -> None:
    image(tmp_path / "a.png"), image(tmp_path / "a.tif", 24), image(tmp_path / "b.png")
    account(bundle, tmp_path / "a.png", tmp_path / "a.tif", tmp_path / "b.png", "-o",
            tmp_path / "out", "--no-grid")  # fmt: skip
    assert sorted(hashes(tmp_path / "out")) == ["a.png_00.png", "a.tif_00.png", "b_00.png"]


def test_an_account_of_thirty_odd_files(tmp_path: Path, bundle: Path) -> None:
    """Whatever lies in a folder, each file is sampled, fails with a sentence or is left out."""
    folder = tmp_path / "in"
    image(folder / "good.png"), image(folder / "UPPER.JPG")
    image(folder / "with space.png"), image(folder / "[brackets].png")
    image(folder / ("n" * 251 + ".png")), image(folder / "new\nline.png")
    image(Path(os.fsdecode(os.fsencode(folder) + b"/bad-\xff.png")))
    image(folder / "deep" / "er" / "good.png")
    image(folder / ".hidden.png"), image(folder / "__MACOSX" / "x.png")
    image(folder / "@eaDir" / "thumb.jpg")
    for name in ("notes.txt", "Thumbs.db", "raw.NEF", "no_extension", "clip.mp4", "page.html"):
        (folder / name).write_bytes(b"data")
    for suffix in ("png", "jpg", "tif", "bmp", "webp", "gif"):
        (folder / f"empty.{suffix}").write_bytes(b"")
        (folder / f"text.{suffix}").write_bytes(b"text")
    (folder / "cut.png").write_bytes((folder / "good.png").read_bytes()[:200])
    (folder / "broken.png").symlink_to(folder / "nowhere.png")
    (folder / "loop").symlink_to(folder)
    (folder / "folder.png").mkdir()
    os.mkfifo(folder / "pipe.png")
    before = hashes(folder)
    out = tmp_path / "out"
    done = run("sample", folder, "--model", bundle, "-n", 1, "--no-grid", "-o", out, "--json")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert hashes(folder) == before
    content = json.loads(done.stdout)
    sampled = {entry["image"] for entry in content["images"]}
    failed = {entry["image"] for entry in content["failed"]}
    left_out = {entry["file"] for entry in content["left_out"]}
    for path in before:
        place = str(folder / path)
        parents = {str(parent) for parent in Path(place).parents}
        listed = [place in sampled, place in failed, place in left_out or bool(parents & left_out)]
        assert sum(listed) == 1, (path, listed)
    assert len(sampled) == 8, "one with as long a name as there is"
    assert len(failed) == 13
    assert str(folder / "pipe.png") in left_out
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == len(failed)
    assert "new\\nline" in done.stderr


def test_bad_arguments_do_not_end_the_batch(tmp_path: Path, bundle: Path) -> None:
    good = image(tmp_path / "good.png")
    (tmp_path / "empty").mkdir()
    none, long = tmp_path / "none.png", tmp_path / f"{'long' * 99}.png"
    arguments = (none, long, tmp_path / "empty", tmp_path / "*.jpg", good)
    found = account(bundle, *arguments, "-o", tmp_path / "out", code=2)
    errors = " ".join(entry["error"] for entry in found["failed"])
    for words in ("none.png does not exist", "holds no images", "*.jpg matches nothing"):
        assert words in errors
    assert str(long) in errors
    assert [entry["image"] for entry in found["images"]] == [str(good)]
    assert (tmp_path / "out" / "good_00.png").is_file()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--sample", "9" * 20), "numbers end at"),
        (("--sample", "9" * 5000), "numbers end at"),
        (("--sample", str(2**31)), "numbers end at"),
        (("--from", "9" * 20), "numbers end at"),
        (("--first", str(2**63)), "numbers end at"),
        (("-n", "9" * 20), "draw at most"),
        (("-n", "10001"), "draw at most"),
        (("--seed", str(2**64)), "seed"),
        (("--candidates", "1000000000,1,1,1"), "for each of the model's 4 levels"),
        (("--candidates", "9" * 5000), "write whole numbers"),
        (("--candidates", "0,1,1,1"), "for each of the model's 4 levels"),
    ],
)
def test_numbers_have_bounds(
    tmp_path: Path, bundle: Path, options: tuple[str, ...], words: str
) -> None:
    good = image(tmp_path / "good.png")
    done = run("sample", good, "--model", bundle, "-o", tmp_path / "out", *options)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert words in done.stderr
    assert not (tmp_path / "out").exists()


def test_many_samples_have_a_small_grid(tmp_path: Path, bundle: Path) -> None:
    good = image(tmp_path / "good.png", 8)
    run("sample", good, "--model", bundle, "-o", tmp_path / "out", "-n", 70)
    assert len(list((tmp_path / "out").iterdir())) == 71
    assert read_rgb(tmp_path / "out" / "good_grid.png").shape[1] < 66 * 170


def test_an_output_folder_that_is_a_file(tmp_path: Path, bundle: Path) -> None:
    good = image(tmp_path / "good.png")
    shutil.copy(good, tmp_path / "out")
    done = run("sample", good, "--model", bundle, "-o", tmp_path / "out")
    assert done.returncode == 2
    assert "out is no folder" in done.stderr


def test_an_output_folder_that_is_a_loop_of_links(tmp_path: Path, bundle: Path) -> None:
    good = image(tmp_path / "good.png")
    (tmp_path / "out").symlink_to("out")
    for command in (("sample", good, "--model", bundle), ("score", tmp_path)):
        done = run(*command, "-o", tmp_path / "out")
        assert done.returncode == 2
        assert "out is a loop of symbolic links" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_model_of_one_level_takes_the_defaults(tmp_path: Path) -> None:
    small = tiny_bundle(tmp_path / "small", "night_to_day", levels=1)
    found = account(small, image(tmp_path / "a.png"), "-o", tmp_path / "out")
    assert len(found["images"]) == 1
