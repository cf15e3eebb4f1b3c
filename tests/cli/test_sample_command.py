"""`chimle sample`: images of every kind, and one sentence for bad input."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from chimle.errors import UserError
from chimle.images.decode import read_image, read_rgb
from tests.support.command import run, run_alone
from tests.support.projects import noise_image, tiny_bundle


def write_kinds(folder: Path) -> dict[str, tuple[int, int]]:
    """Write images of many kinds; returns (height, width) by stem."""
    folder.mkdir()
    rgb = noise_image((24, 40))
    image = Image.fromarray(rgb)
    image.save(folder / "plain.jpg")
    Image.fromarray(noise_image((1, 1))).save(folder / "tiny.png")
    Image.fromarray(noise_image((60, 20))).save(folder / "portrait.webp")
    Image.fromarray(noise_image((700, 900))).save(folder / "large.png")
    Image.fromarray(rgb[..., 0].astype(np.uint16) * 257).save(folder / "deep_grey.png")
    tifffile.imwrite(folder / "deep.tif", rgb.astype(np.uint16) * 257, photometric="rgb")
    image.convert("CMYK").save(folder / "cmyk.jpg")
    Image.fromarray(np.dstack((rgb, rgb[..., 0]))).save(folder / "alpha.png")
    exif = Image.Exif()
    exif[0x0112], exif[0x0110] = 6, "a camera"
    image.save(folder / "rotated.jpg", exif=exif)
    image.convert("L").save(folder / "grey.bmp")
    frames = [Image.new("RGB", (40, 24), colour) for colour in ("red", "blue")]
    frames[0].save(folder / "animated.gif", save_all=True, append_images=frames[1:])
    common = dict.fromkeys(("plain", "deep_grey", "deep", "cmyk", "alpha", "grey"), (24, 40))
    return {
        **common,
        "tiny": (1, 1),
        "portrait": (60, 20),
        "large": (700, 900),
        "rotated": (40, 24),
        "animated": (24, 40),
    }


def test_every_kind_of_image_and_a_damaged_one(tmp_path: Path) -> None:
    kinds = write_kinds(tmp_path / "photos")
    (tmp_path / "photos" / "damaged.jpg").write_bytes(
        (tmp_path / "photos" / "plain.jpg").read_bytes()[:300]
    )
    bundle, out = tiny_bundle(tmp_path / "bundle", "colourization"), tmp_path / "out"
    done = run("sample", tmp_path / "photos", "--model", bundle, "-n", 2, "-o", out, "--json")
    assert done.returncode == 2
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "damaged.jpg is damaged" in errors[0]
    report = json.loads(done.stdout)["images"]
    assert {Path(entry["image"]).stem for entry in report} == set(kinds)
    for name, size in kinds.items():
        samples = [read_image(out / f"{name}_{number:02}.png") for number in (0, 1)]
        assert all(sample.rgb.shape[:2] == size for sample in samples)
    alpha = read_image(tmp_path / "photos" / "alpha.png").alpha
    assert alpha is not None
    kept = read_image(out / "alpha_00.png").alpha
    assert kept is not None
    assert np.array_equal(alpha, kept)
    assert dict(Image.open(out / "rotated_00.png").getexif()) == {0x0110: "a camera"}


def test_samples_grid_and_names(tmp_path: Path) -> None:
    bundle, photos = tiny_bundle(tmp_path / "bundle", "super_resolution"), tmp_path / "photos"
    photos.mkdir()
    Image.fromarray(noise_image((40, 64))).save(photos / "a.png")
    Image.fromarray(noise_image((33, 32))).convert("CMYK").save(photos / "b.tif")
    out = tmp_path / "out"
    done = run("sample", photos, "--model", bundle, "-n", 2, "-o", out, "--degrade")
    assert done.returncode == 0, done.stderr
    assert "4 samples in" in done.stdout
    assert "/s)" in done.stdout
    names = sorted(p.name for p in out.iterdir())
    assert names == [f"{x}_{y}.png" for x in "ab" for y in ("00", "01", "grid")]
    assert read_rgb(out / "a_00.png").shape == (32, 64, 3)
    command = ("sample", photos / "a*", "--model", bundle, "--degrade", "--no-grid")
    again = run(*command, "--sample", "1", "--sample", "1.1.2.0", "-o", tmp_path / "again")
    assert again.returncode == 0, again.stderr
    assert sorted(p.name for p in (tmp_path / "again").iterdir()) == ["a_01.png", "a_1.1.2.0.png"]
    both = [read_rgb(folder / "a_01.png").astype(int) for folder in (out, tmp_path / "again")]
    assert np.abs(both[0] - both[1]).max() <= 1


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (("--from", "1", "-n", "2"), ["a_1.1.2.2.png", "a_1.1.3.3.png"]),
        (("--from", "1", "--keep-level", "3", "-n", "1"), ["a_1.1.1.2.png"]),
        (("--from", "1", "--to", "2", "-n", "2"), ["a_01_to_02_00.png", "a_01_to_02_01.png"]),
        (("--first", "7", "-n", "1"), ["a_07.png"]),
    ],
)
def test_kinds_of_request(tmp_path: Path, options: tuple[str, ...], names: list[str]) -> None:
    bundle = tiny_bundle(tmp_path / "bundle", "night_to_day")
    Image.fromarray(noise_image((24, 16))).save(tmp_path / "a.png")
    done = run(
        "sample", tmp_path / "a.png", "--model", bundle, "-o", tmp_path / "out", "--no-grid",
        *options,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == names


def test_a_match_from_the_command_line(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "bundle", "night_to_day")
    photo = tmp_path / "a.png"
    Image.fromarray(noise_image((24, 16))).save(photo)
    done = run(
        "sample", photo, "--model", bundle, "--degrade", "--match", photo, "--json",
        "--candidates", "3,2,2,2", "-o", tmp_path / "out",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    entry = json.loads(done.stdout)["images"][0]
    assert entry["distances"][0] <= entry["distances_of_sample_0"][0]
    (name, file), *none = entry["samples"].items()
    assert not none
    assert name.startswith("match_")
    assert Path(file).is_file()


def test_a_target_of_another_size_is_named_with_its_image(tmp_path: Path) -> None:
    """One image of a batch does not fit the target: the sentence says which."""
    bundle = tiny_bundle(tmp_path / "bundle", "night_to_day")
    fits, wide = tmp_path / "fits.png", tmp_path / "wide.png"
    Image.fromarray(noise_image((24, 16))).save(fits)
    Image.fromarray(noise_image((24, 32))).save(wide)
    done = run(
        "sample", fits, wide, "--model", bundle, "--match", fits, "--candidates", "1,1,1,1",
        "-o", tmp_path / "out",
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    (error,) = (line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert f"{wide}, `--match` {fits}: the target has 16x24 pixels" in error
    assert error.endswith("have 32x24: give a target of that size")
    assert (tmp_path / "out" / "fits_match_00.png").is_file()


@pytest.mark.parametrize("options", [("--match", "none.png"), ("--weights", "none.pth")])
def test_a_search_that_no_image_can_have_is_refused_once(
    options: tuple[str, str], tmp_path: Path
) -> None:
    bundle = tiny_bundle(tmp_path / "bundle", "night_to_day")
    photos = [tmp_path / f"{name}.png" for name in "abc"]
    for photo in photos:
        Image.fromarray(noise_image((24, 16))).save(photo)
    option, file = options
    match = () if option == "--match" else ("--match", photos[0])
    done = run("sample", *photos, "--model", bundle, *match, option, tmp_path / file)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert f"{file} does not exist" in done.stderr


def test_bad_input_is_one_sentence(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "bundle", "night_to_day")
    good = tmp_path / "good.png"
    Image.fromarray(noise_image((8, 8))).save(good)
    shutil.copy(good, tmp_path / "good.tif")
    (tmp_path / "half.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "evil.pth").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    (tmp_path / "empty").mkdir()
    out = ("-o", tmp_path / "o")
    model = ("--model", bundle)
    cases = (
        (("sample", tmp_path / "none.png", *model), "does not exist"),
        (("sample", tmp_path / "empty", *model), "holds no images"),
        (("sample", tmp_path / "half.png", *model, *out), "is damaged"),
        (("sample", good, "--model", tmp_path), "there is no model bundle"),
        (("sample", good, *out), "name a bundle by `--model`"),
        (("sample", good, *model, "--task", "colourization"), "is a model for night_to_day"),
        (("sample", good, *model, "--task", "painting"), "unknown task 'painting'"),
        (("sample", good, *model, *out, "--sample", "1.2"), "names no sample of this model"),
        (("sample", good, *model, "--sample", "1", "--from", "2"), "exclude each other"),
        (("sample", good, *model, "--to", "2"), "give both"),
        (("sample", good, *model, "--from", "2", "--keep-level", "9"), "has 4 levels"),
        (("sample", good, *model, "--from", "2", "--keep-level", "4"), "keep at most 3"),
        (("sample", good, *model, "--sample", "1", "-n", "1"), "`-n` has no meaning"),
        (("sample", good, *model, "--match", good, "-n", "1"), "`-n` has no meaning"),
        (("sample", good, *model, "--keep-level", "1"), "is of variations"),
        (("sample", good, *model, "--sample", "1", "--keep-level", "1"), "is of variations"),
        (
            ("sample", good, *model, "--from", "1", "--to", "2", "--keep-level", "1"),
            "is of variations",
        ),
        (("sample", good, *model, "--candidates", "two"), "write whole numbers"),
        (("sample", good, *model, "--candidates", "2,2,2,2"), "give `--match`, too"),
        (("sample", good, *model, "--weights", "random"), "give `--match`, too"),
        (("sample", good, *model, "--first", "2", "--sample", "1"), "is of plain samples"),
        (("sample", good, *model, "--first", "2", "--from", "1"), "is of plain samples"),
        (("sample", good, *model, "--first", "2", "--match", good), "is of plain samples"),
        (("sample", good, *model, *out, "--match", good, "--candidates", "2"), "`--candidates`: "),
        (("sample", good, *model, *out, "--match", good, "--weights", "none"), "`--weights`: none"),
        (("show", tmp_path / "empty"), "neither a model bundle, nor pairs"),
        (("show", tmp_path / "nowhere"), "does not exist"),
        (("import", tmp_path / "evil.pth", "--task", "night_to_day", *out), "not unpickled"),
        (("import", tmp_path / "evil.pth", "--task", "night_to_day"), "name the bundle to write"),
        (("export", *model, *out, "--size", "9x8"), "takes multiples of 8"),
        (("export", *model, *out, "--size", "nine"), "write HEIGHTxWIDTH"),
        (("export", *model, *out, "--size", "99999999x8"), "sides are from 1 to"),
        (("export", *model, "-o", good), "exists already"),
        (("show", bundle, "--image", good), "exists already"),
        (("pack", *model, "-o", bundle), "exists already"),
        (("pack", *model, *out, "--private"), "name it by `--push`"),
    )
    for arguments, words in cases:
        result = run(*arguments)
        assert result.returncode == 2, (arguments, result)
        assert result.stderr.startswith("error: "), result.stderr
        assert result.stderr.count("\n") == 1, result.stderr
        assert words in result.stderr, result.stderr
    assert not (tmp_path / "o").exists()
    with pytest.raises(UserError, match="does not exist"):
        run("sample", tmp_path / "none.png", *model, "--debug")


def test_a_process_of_its_own_prints_and_exits_alike(tmp_path: Path) -> None:
    """Other tests run in this process: a new one may print more, or lack an import."""
    bundle, photo = tiny_bundle(tmp_path / "bundle", "night_to_day"), tmp_path / "a.png"
    Image.fromarray(noise_image((8, 8))).save(photo)
    command = ("--model", bundle, "-n", 1, "-o")
    alone = run_alone("sample", photo, *command, tmp_path / "alone", "--no-grid")
    here = run("sample", photo, *command, tmp_path / "here", "--no-grid")
    assert alone.returncode == here.returncode == 0, alone.stderr
    assert "1 sample in" in alone.stdout
    assert "a.png: 00" in alone.stderr
    alone_and_here = [tmp_path / folder / "a_00.png" for folder in ("alone", "here")]
    one, other = (read_rgb(path).astype(int) for path in alone_and_here)
    assert np.abs(one - other).max() <= 1
    bad = run_alone("sample", tmp_path / "none.png", *command, tmp_path / "none")
    assert bad.returncode == 2
    assert bad.stderr.count("\n") == 1
    assert not bad.stdout
    assert bad.stderr == run("sample", tmp_path / "none.png", *command, tmp_path / "none").stderr


def test_help_lists_the_commands() -> None:
    text = run("--help").stdout
    for word in ("sample", "import", "export", "pack", "show", "explore", "Exit codes"):
        assert word in text
