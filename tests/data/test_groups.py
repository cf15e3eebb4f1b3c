"""Groups never straddle splits, added files move none, small ones are refused or listed."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from chimle.data.dataset import read_manifest
from chimle.data.manifests import PAIRS, read_records
from chimle.data.pair.pair_specs import PairSpec, SizeFilter, group_of, plan_halves, plan_images
from chimle.data.pair.splits import by_hash, limited, split_groups, unit_hash
from chimle.data.pair.summary import summary
from chimle.errors import UserError
from chimle.settings.pair import PairSettings
from tests.support.helpers import needs_shared
from tests.support.projects import write_photographs
from tests.support.shared_archives import paired, settings_for, unpacked

NAMES = st.lists(
    st.text("abc123/", min_size=1, max_size=7).filter(
        lambda name: not name.startswith("/") and not name.endswith("/") and "//" not in name
    ),
    min_size=6,
    max_size=40,
    unique=True,
)
GROUPS = st.sampled_from(["image", "folder", 1, 2, 3])


def plan_of(names: list[str], own: PairSettings) -> list[PairSpec]:
    records = [{"file": f"targets/{name}.png", "width": 64, "height": 64} for name in names]
    return list(plan_images(records, [], SizeFilter(own, reduction=1)))


def splits_of(names: list[str], own: PairSettings, seed: int) -> dict[str, str] | None:
    """Split of every image; None where too few groups are left for one."""
    plan = plan_of(names, own)
    try:
        chosen = split_groups(plan, own, seed)
    except UserError:
        return None
    return {pair.target: chosen[pair.group] for pair in plan}


@settings(max_examples=80)
@given(names=NAMES, group=GROUPS, seed=st.integers(0, 99))
def test_no_group_in_two_splits(names: list[str], group: str | int, seed: int) -> None:
    own = PairSettings(group=group)
    splits = splits_of(names, own, seed)
    if splits is None:
        return
    of_group: dict[str, set[str]] = {}
    for name in names:
        of_group.setdefault(group_of(name, own), set()).add(splits[f"targets/{name}.png"])
    assert all(len(found) == 1 for found in of_group.values())


@settings(max_examples=80)
@given(names=NAMES, more=NAMES, group=GROUPS, seed=st.integers(0, 99))
def test_added_files_move_none(
    names: list[str], more: list[str], group: str | int, seed: int
) -> None:
    """Unless so few groups were there that one had to be put into the test by force."""
    own = PairSettings(group=group)
    before = splits_of(names, own, seed)
    after = splits_of(sorted({*names, *more}), own, seed)
    forced = all(unit_hash(seed, group_of(name, own)) >= own.test for name in names)
    if before is None or after is None or forced:
        return
    assert all(after[file] == split for file, split in before.items())


@settings(max_examples=40)
@given(names=NAMES, more=NAMES, limit=st.integers(1, 9), seed=st.integers(0, 99))
def test_a_limit_keeps_what_it_would_keep(
    names: list[str], more: list[str], limit: int, seed: int
) -> None:
    """Among more images no pair comes back that a limit left out before."""
    own = PairSettings()
    plans = [plan_of(found, own) for found in (names, sorted({*names, *more}))]
    splits = {pair.group: "train" for pair in plans[1]}
    few, many = ({pair.id for pair in limited(plan, splits, limit, seed)} for plan in plans)
    assert len(few) == min(limit, len(plans[0]))
    assert not (many - few) & {pair.id for pair in plans[0]}


@pytest.mark.parametrize("group", ["image", "folder", 5])
def test_a_file_called_train_is_no_folder(group: str | int) -> None:
    own, names = PairSettings(group=group), [f"{n:02}_photo" for n in range(12)]
    for chosen in (["train", *names], ["Train", *names], ["train", *(f"a/{n}" for n in names)]):
        groups = sorted({pair.group for pair in plan_of(chosen, own)})
        if len(groups) > 2:
            assert split_groups(plan_of(chosen, own), own, 0) == by_hash(groups, own, 0)
    below = ["train/test", "train/b", "Val/train", "test/a"]
    found = split_groups(plan_of(below, own), own, 0)
    splits = {pair.target: found[pair.group] for pair in plan_of(below, own)}
    assert list(splits.values()) == ["train", "train", "validation", "test"]
    for flat in ("test", "train", "photo"):
        with pytest.raises(UserError, match=f"^{flat} lies beside the folder `train`"):
            split_groups(plan_of([*below, flat], own), own, 0)


def test_small_images_are_refused_or_listed(tmp_path: Path) -> None:
    write_photographs(tmp_path / "photos", count=12)
    Image.new("RGB", (90, 20)).save(tmp_path / "photos" / "strip.png")
    source = {"kind": "folder", "path": str(tmp_path / "photos")}
    with pytest.raises(UserError, match=r"strip\.png is 90x20.*`pair.small`"):
        paired(tmp_path, settings_for("colourization", source))
    manifest = read_manifest(paired(tmp_path, settings_for("colourization", source, small="skip")))
    assert manifest["skipped"] == [
        {
            "name": "strip",
            "because": "targets/strip.png is 90x20, smaller than `pair.size` 32",
        }
    ]
    assert sum(manifest["counts"].values()) == 12
    assert "1 skipped" in summary(manifest)
    with pytest.raises(UserError, match="every image or its input is smaller"):
        paired(tmp_path, settings_for("colourization", source, small="skip", size=4096))


def test_odd_widths_are_refused_or_listed() -> None:
    widths = {"even": 64, "odd": 65}
    records = [{"file": f"targets/{n}.png", "width": w, "height": 32} for n, w in widths.items()]
    with pytest.raises(UserError, match=r"odd\.png is 65 pixels wide.*`pair.small`"):
        list(plan_halves(records, "left", SizeFilter(PairSettings(size=16), 1)))
    skipping = SizeFilter(PairSettings(size=16, small="skip"), 1)
    assert [pair.id for pair in plan_halves(records, "left", skipping)] == ["even"]
    assert [one["name"] for one in skipping.skipped] == ["odd"]


@pytest.mark.parametrize(("task", "least"), [("colourization", 32), ("super_resolution", 2)])
def test_small_inputs_are_refused_or_listed(tmp_path: Path, task: str, least: int) -> None:
    """A given input is never enlarged: it has the pixels that the task reads."""
    write_photographs(tmp_path / "days", count=12)
    write_photographs(tmp_path / "nights", count=12, size=least)
    small = f"{least - 1}x{least - 1}"
    Image.new("RGB", (least - 1, least - 1)).save(tmp_path / "nights" / "photo_03.png")
    source = {"kind": "folder", "path": str(tmp_path / "days"), "inputs": str(tmp_path / "nights")}
    with pytest.raises(UserError, match=rf"inputs/photo_03\.png is {small}.*`pair.small`"):
        paired(tmp_path, settings_for(task, source))
    pairs = paired(tmp_path, settings_for(task, source, small="skip"))
    reason = f"{small}, smaller than the {least} pixels of an input at `pair.size` 32"
    assert read_manifest(pairs)["skipped"] == [
        {"name": "photo_03", "because": f"inputs/photo_03.png is {reason}"}
    ]
    ids = {entry["id"] for entry in read_records(pairs, PAIRS)}
    assert ids == {f"photo_{number:02}" for number in range(12) if number != 3}


@needs_shared("data/butterflies.tar")
def test_butterflies_by_species(tmp_path: Path) -> None:
    """The first three digits are the species: ten groups, none in two splits."""
    folder = unpacked("butterflies", tmp_path)
    source = {"kind": "folder", "path": str(folder)}
    own = settings_for("super_resolution", source, group=3, limit=40)
    entries = list(read_records(paired(tmp_path, own), PAIRS))
    species: dict[str, set[str]] = {}
    for entry in entries:
        assert entry["group"] == entry["id"].rpartition("__")[2][:3]
        species.setdefault(entry["group"], set()).add(entry["split"])
    assert len(species) == 10
    assert all(len(found) == 1 for found in species.values())


@needs_shared("data/flowers.tar")
def test_flowers_by_folder(tmp_path: Path) -> None:
    folder = unpacked("flowers", tmp_path)
    source = {"kind": "folder", "path": str(folder)}
    own = settings_for("decompression", source, group="folder", limit=10)
    entries = list(read_records(paired(tmp_path, own), PAIRS))
    folders: dict[str, set[str]] = {}
    for entry in entries:
        folders.setdefault(entry["group"], set()).add(entry["split"])
    assert len(folders) > 4
    assert all(len(found) == 1 for found in folders.values())
    gone = read_manifest(tmp_path / "data" / "pairs" / "decompression")["near_duplicates"]
    assert len(gone) > 40  # Every one of them within one species, so none across splits.
    assert all(len(set(line["splits"])) == 1 for line in gone)
