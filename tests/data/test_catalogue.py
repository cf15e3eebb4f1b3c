"""The catalogue of data sets: every entry is valid, and what is missing is said."""

import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from chimle.data.fetch.catalogue import FILE, read_catalogue, resolve
from chimle.data.fetch.fetching import fetch
from chimle.data.manifests import SOURCE, read_records
from chimle.errors import UserError
from chimle.settings.reading import build_settings
from chimle.settings.run import RunSettings
from chimle.settings.source import CatalogueSource
from chimle.tasks import TASKS
from tests.support.helpers import ROOT

ENTRIES = read_catalogue(ROOT)


def named(name: str) -> CatalogueSource:
    return CatalogueSource(kind="catalogue", name=name)


def project(root: Path) -> Path:
    (root / "data").mkdir()
    (root / FILE).write_text((ROOT / FILE).read_text())
    return root


def settings_of(name: str) -> RunSettings:
    """Settings of a task that reads a data set, as the catalogue recommends."""
    entry = ENTRIES[name]
    values = {"task": entry.task, "preset": "test", "source": {"kind": "catalogue", "name": name}}
    return build_settings(RunSettings, {**values, **entry.params}, "test")


def test_every_task_has_the_papers_data_and_a_stand_in() -> None:
    for task in TASKS:
        kinds = {entry.in_paper for entry in ENTRIES.values() if entry.task == task}
        assert kinds == {True, False}, task


@pytest.mark.parametrize("name", ENTRIES)
def test_recommended_parameters_are_valid(name: str) -> None:
    assert settings_of(name).source == named(name)


@pytest.mark.parametrize("name", ENTRIES)
def test_what_is_to_be_done_by_hand_is_said_until_it_is_done(tmp_path: Path, name: str) -> None:
    root, entry = project(tmp_path), ENTRIES[name]
    missing = entry.missing(root)
    assert bool(missing) == bool(entry.by_hand)
    if not missing:
        assert resolve(named(name), root) == entry.source
        return
    with pytest.raises(UserError) as caught:
        resolve(named(name), root)
    said = str(caught.value)
    assert all(file in said for file in missing)
    assert entry.by_hand is not None
    assert entry.by_hand in said
    assert entry.license in said
    assert "\n" not in said
    for file in missing:
        (root / file).parent.mkdir(exist_ok=True)
        (root / file).touch()
    assert resolve(named(name), root) == entry.source


def test_an_unknown_entry_is_named(tmp_path: Path) -> None:
    root = project(tmp_path)
    content = yaml.safe_load((root / FILE).read_text())
    content[2025] = content["bsds500"]
    (root / FILE).write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match="has no data set `imagenet`: it has 2025, bsds500,"):
        resolve(named("imagenet"), root)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"license": None}, r"bsds500: needs `license`$"),
        ({"licence": "free"}, r"bsds500: unknown parameter `licence`: remove it or fix"),
        ({"in_paper": "perhaps"}, r"bsds500: `in_paper` = 'perhaps': Input should be"),
        ({"source": {"kind": "ftp"}}, r"bsds500: `source.kind` = 'ftp': use one of folder, url"),
        ({"source": {"kind": "folder"}}, r"bsds500: `source` needs `path`"),
        ({"about": "https://me:SECRET@host/", "title": 5}, r"bsds500: `title` = 5: Input should"),
        ({"about": ["https://me:SECRET@host/"]}, r"bsds500: `about` = \['https://host/'\]: Input"),
        ({"task": "painting"}, r"bsds500: `task`: unknown task 'painting': choose one of"),
    ],
)
def test_a_malformed_entry_is_named_as_a_parameter_is(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    root = project(tmp_path)
    content = yaml.safe_load((root / FILE).read_text())
    entry = {**content["bsds500"], **changes}
    content["bsds500"] = {name: value for name, value in entry.items() if value is not None}
    (root / FILE).write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match=rf"^data/catalogue\.yaml: {words}") as caught:
        resolve(named("bsds500"), root)
    assert "SECRET" not in str(caught.value)


# Stand-ins with the layout of the real archives, behind a server on this machine.

LAYOUTS = {
    "imagenet-n02279972": {"n02279972.tar": ["n02279972_{}.JPEG"]},
    "natural-color": {"natural-color.zip": ["Natural Color Dataset/Apple/apple{}.jpg"]},
    "raise-1k": {},
    "transient-attributes": {
        "aligned_images.tar": ["imageAlignedLD/0000006{}/1.jpg", "imageAlignedLD/00000090/{}.jpg"],
        "annotations.tar": ["annotations/annotations.tsv"],
    },
    "night2day": {"night2day.tar.gz": ["night2day/train/{}.jpg", "night2day/test/{}.jpg"]},
    "leeds-butterfly": {
        "leedsbutterfly_dataset_v1.1.zip": [
            "leedsbutterfly/images/001000{}.png",
            "leedsbutterfly/segmentations/001000{}_seg0.png",
        ]
    },
    "oxford-flowers": {"102flowers.tgz": ["jpg/image_0000{}.jpg"]},
    "bsds500": {
        "BSR_bsds500.tgz": ["BSR/BSDS500/data/images/train/{}.jpg", "BSR/bench/data/{}.png"]
    },
}
"""Names in each archive; `{}` stands for 0 to 3."""


def image(name: str, number: int) -> bytes:
    """A random smooth image in the format that its name asks for."""
    coarse = np.random.default_rng(number).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    kind = {".png": "PNG", ".tif": "TIFF"}.get(Path(name).suffix, "JPEG")
    buffer = io.BytesIO()
    Image.fromarray(coarse).resize((96, 64), Image.Resampling.BICUBIC).save(buffer, kind)
    return buffer.getvalue()


def members(names: list[str]) -> dict[str, bytes]:
    if names == ["annotations/annotations.tsv"]:
        row = "\t".join(["0.9,1.0"] * 40)
        return {names[0]: "".join(f"0000006{i}/1.jpg\t{row}\n" for i in range(4)).encode()}
    return {n.format(i): image(n, 10 * k + i) for k, n in enumerate(names) for i in range(4)}


def pack(path: Path, content: dict[str, bytes]) -> None:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in content.items():
                archive.writestr(name, data)
        return
    with tarfile.open(path, "w" if path.suffix == ".tar" else "w:gz") as archive:
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder and the address that it is served under."""
    folder = tmp_path_factory.mktemp("served")

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(folder))

        def log_message(self, *args: Any) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def redirected(root: Path, name: str, url: str) -> None:
    """Let an entry of a project's catalogue fetch from another server; its hashes go."""
    content = yaml.safe_load((root / FILE).read_text())
    archives = []
    for archive in content[name]["source"].get("archives", []):
        address = archive["address"] if isinstance(archive, dict) else archive
        archives.append(f"{url}/{name}/{Path(address).name}" if "://" in address else address)
    if archives:
        content[name]["source"]["archives"] = archives
    (root / FILE).write_text(yaml.safe_dump(content))


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_stand_in_with_the_real_layout_becomes_images(
    tmp_path: Path, served: tuple[Path, str], name: str
) -> None:
    (folder, url), root, entry = served, project(tmp_path), ENTRIES[name]
    redirected(root, name, url)
    place = root / "data" / "by-hand" if entry.by_hand else folder / name
    place.mkdir(parents=True)
    for file, names in LAYOUTS[name].items():
        pack(place / file, members(names))
    if name == "raise-1k":
        (folder / name).mkdir()
        rows = [f"r{i},{url}/{name}/r{i}.NEF,{url}/{name}/r{i}.tif" for i in range(4)]
        (place / "RAISE_1k.csv").write_text("\n".join(["File,NEF,TIFF", *rows]) + "\n")
        for i in range(4):
            (folder / name / f"r{i}.tif").write_bytes(image(f"r{i}.tif", i))
    chosen = settings_of(name)
    counts = fetch(chosen, root, root / "data" / "raw" / entry.task)
    files = [record["file"] for record in read_records(root / "data" / "raw" / entry.task, SOURCE)]
    expected = 8 if name in ("transient-attributes", "night2day") else 4
    assert counts["targets"] == len(files) == expected, files
    assert not any("seg0" in file or "bench" in file for file in files)


def test_a_listing_s_mistakes_are_named(tmp_path: Path) -> None:
    root = project(tmp_path)
    (root / "data" / "by-hand").mkdir()
    table = root / "data" / "by-hand" / "RAISE_1k.csv"
    for text, words in {
        "File,NEF\na,b\n": "has no column `TIFF`",
        "File,TIFF\n../a,http://x/a.tif\n": "line 2: needs a plain name",
        "File,TIFF\na,\n": "line 2: needs a plain name and an address",
        "File,TIFF\na,http://x/a.tif\na.tif,http://x/b.tif\n": "line 3: `a` is there twice",
        "File,TIFF\n": "lists no image",
    }.items():
        table.write_text(text)
        with pytest.raises(UserError, match=words):
            fetch(settings_of("raise-1k"), root, root / "raw")
        assert not (root / "raw").exists()
