"""Bundles on a model hub, over HTTP from a server of its protocol, by the hub's own library."""

import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard

import chimle
from chimle.bundles.hub import HubAddress, split_address
from chimle.bundles.hub_licenses import hub_license
from chimle.bundles.pack import pack
from chimle.errors import UserError
from tests.support.command import run
from tests.support.helpers import Evil
from tests.support.hub_server import TOKEN, Hub, Repository, hub_server
from tests.support.projects import noise_image, tiny_bundle
from tests.support.servers import free_port

LIBRARY = "huggingface_hub"


def forget_library() -> None:
    """The library reads its environment when it is imported."""
    for name in [name for name in sys.modules if name.split(".")[0] == LIBRARY]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub in whose environment the library is imported anew."""
    imported = {n: m for n, m in sys.modules.items() if n.split(".")[0] == LIBRARY}
    with hub_server() as found, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", found.address)
        patch.setenv("HF_TOKEN", TOKEN)
        patch.setenv("HF_HOME", str(tmp_path_factory.mktemp("hub")))
        patch.setenv("HF_HUB_DISABLE_XET", "1")  # A protocol of its own.
        for name in ("HF_HUB_OFFLINE", "HF_HUB_CACHE"):
            patch.delenv(name, raising=False)
        forget_library()
        yield found
    forget_library()
    sys.modules.update(imported)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("tiny") / "bundle", "night_to_day")


def run_pack(bundle: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """`chimle pack` in a project without metrics: this one's are of other models."""
    return run("pack", "--model", bundle, "--project", bundle.parent, *arguments)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_pushed_bundle_is_read_again(hub: Hub, bundle: Path) -> None:
    arguments = ("--license", "CC-BY-4.0", "--push", "hf://ada/night")
    done = run_pack(bundle, *arguments)
    assert done.returncode == 0, done.stderr
    commit = hub.repositories["ada/night"].branches["main"]
    assert done.stdout == f"{hub.address}/ada/night/commit/{commit}\n"
    assert TOKEN not in done.stdout + done.stderr
    uploaded = hub.repositories["ada/night"].commits[commit]
    assert set(uploaded) >= {"bundle.json", "weights.safetensors", "README.md"}

    image = torch.from_numpy(noise_image((17, 24))).permute(2, 0, 1) / 255
    expected = chimle.load(bundle).sample(image, n=1)
    for address in ("hf://ada/night", "hf://ada/night@main", f"hf://ada/night@{commit}"):
        assert torch.equal(chimle.load(address).sample(image, n=1)[0], expected[0])
    shown = run("show", "hf://ada/night", "--json")
    assert shown.returncode == 0, shown.stderr
    assert '"license": "CC-BY-4.0"' in shown.stdout

    card = ModelCard(uploaded["README.md"].decode())
    header = card.data.to_dict()  # type: ignore[no-untyped-call]
    assert header["license"] == "cc-by-4.0"
    assert header["library_name"] == "chimle"
    assert header["pipeline_tag"] == "image-to-image"
    assert 'chimle.load("hf://ada/night")' in card.text


def test_a_branch_and_a_private_repository(hub: Hub, bundle: Path) -> None:
    done = run_pack(bundle, "--push", "hf://ada/secret@v2", "--private")
    assert done.returncode == 0, done.stderr
    repository = hub.repositories["ada/secret"]
    assert repository.private
    assert "bundle.json" in repository.commits[repository.branches["v2"]]
    assert "bundle.json" not in repository.commits[repository.branches["main"]]
    assert chimle.load("hf://ada/secret@v2").levels == chimle.load(bundle).levels
    again = run_pack(bundle, "--push", "hf://ada/secret@v2", "--private")
    assert again.returncode == 0, again.stderr


def test_both_files_are_of_one_commit(hub: Hub, bundle: Path) -> None:
    hub.put("ada/moved", files_of(bundle))
    hub.requests.clear()
    chimle.load("hf://ada/moved")
    commit = hub.repositories["ada/moved"].branches["main"]
    weights = [r for r in hub.requests if r.endswith("weights.safetensors")]
    assert weights
    assert all(f"/resolve/{commit}/" in request for request in weights)


def test_nothing_else_of_a_foreign_repository_is_fetched_or_run(
    hub: Hub, bundle: Path, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    evil = pickle.dumps(Evil(mark))
    extra = {
        "modeling_chimle.py": f"open({str(mark)!r}, 'w')".encode(),
        "pytorch_model.bin": evil,
        "config.json": b'{"auto_map": {"AutoModel": "modeling_chimle.Model"}}',
    }
    hub.put("eve/extra", {**files_of(bundle), **extra})
    hub.requests.clear()
    chimle.load("hf://eve/extra")
    fetched = {request.rsplit("/", 1)[1] for request in hub.requests if "/resolve/" in request}
    assert fetched == {"bundle.json", "weights.safetensors"}
    hub.put("eve/pickle", {**files_of(bundle), "weights.safetensors": evil})
    with pytest.raises(UserError, match="is damaged"):
        chimle.load("hf://eve/pickle")
    assert not mark.exists()


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("hf://ada/none", r"hf://ada/none cannot be read \(there is no such repository"),
        ("hf://ada/good@none", r"cannot be read \(there is no such revision\)"),
        ("hf://ada/empty", r"cannot be read \(it holds no model bundle\)"),
        ("hf://ada/half", r"cannot be read \(it holds no model bundle\)"),
        ("hf://ada/fat", r"bundle.json is too large for a model bundle \(4,194,305 bytes\)"),
        ("hf://ada/text", r"^hf://ada/text/bundle.json is damaged"),
        ("hf://ada/text@main", r"^hf://ada/text@main/bundle.json is damaged"),
        ("hf://ada", r"is no address of a hub: write hf://USER/NAME"),
        ("hf://../..", r"cannot be read \(its name is not valid\)"),
        ("hf://ada/good/file", r"is no address of a hub"),
    ],
)
def test_each_bad_address_is_one_sentence(hub: Hub, bundle: Path, address: str, words: str) -> None:
    hub.put("ada/good", files_of(bundle))
    hub.repositories["ada/empty"] = Repository()
    hub.put("ada/empty", {".gitattributes": b""})
    hub.put("ada/half", {"bundle.json": (bundle / "bundle.json").read_bytes()})
    hub.put("ada/fat", {"bundle.json": b" " * (2**22 + 1)})
    hub.put("ada/text", {"bundle.json": b"{", "weights.safetensors": b""})
    with pytest.raises(UserError, match=words) as caught:
        chimle.load(address)
    assert "\n" not in str(caught.value)


def test_a_hub_that_is_not_there_or_refuses(
    hub: Hub, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    done = run_pack(bundle, "--push", "hf://ada/refused")
    assert done.returncode == 2
    assert "cannot be written (log in by HF_TOKEN or `hf auth login`)" in done.stderr
    assert "hf_wrong" not in done.stdout + done.stderr
    assert "ada/refused" not in hub.repositories
    gone = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setattr(constants, "ENDPOINT", gone)
    template = gone + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    done = run("show", "hf://ada/gone")
    assert done.returncode == 2
    assert "hf://ada/gone cannot be read (the hub cannot be reached)" in done.stderr


def test_pack_says_what_is_missing(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = run_pack(bundle)
    assert done.returncode == 2
    assert "name where the bundle goes: `-o FOLDER`, or `--push hf://USER/NAME`" in done.stderr
    assert run_pack(bundle, "--push", "s3://a/b").returncode == 2
    monkeypatch.setitem(sys.modules, LIBRARY, None)
    with pytest.raises(UserError, match=r"pip install 'chimle\[hub\]'"):
        chimle.load("hf://ada/night")


def test_addresses_are_split() -> None:
    assert split_address("models/x") is None
    assert split_address("hf://a/b-c.d") == HubAddress("a/b-c.d")
    assert split_address("hf://a/b@refs/pr/1") == HubAddress("a/b", "refs/pr/1")
    assert str(HubAddress("a/b", "v1")) == "hf://a/b@v1"


@pytest.mark.parametrize(
    ("license_", "expected"),
    [
        ("Apache-2.0", "apache-2.0"),
        ("GPL-3.0-only", "gpl-3.0"),
        ("unknown", "unknown"),
        ("LicenseRef-studio", "other"),
    ],
)
def test_licenses_are_named_as_hubs_read_them(
    bundle: Path, tmp_path: Path, license_: str, expected: str
) -> None:
    assert hub_license(license_) == expected
    pack(chimle.load(bundle).bundle, tmp_path / "packed", license_, tmp_path)
    data = ModelCard.load(tmp_path / "packed" / "README.md").data.to_dict()
    assert data["license"] == expected
    assert data.get("license_name") == (license_ if expected == "other" else None)
