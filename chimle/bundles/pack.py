"""A bundle to publish: with license, metrics, and a model card that shows samples."""

import copy
import io
import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import torch
from jinja2 import Environment, PackageLoader, StrictUndefined

from chimle.bundles.bundle import CARD, METRICS, SAMPLES, Bundle, save_bundle, strange_weight
from chimle.bundles.hub_licenses import hub_license
from chimle.errors import UserError
from chimle.images.contact_sheet import contact_sheet
from chimle.images.decode import read_rgb, write_png
from chimle.io.files import replaced_folder, write_bytes, write_text
from chimle.io.terminal import printable
from chimle.metrics.metric import INPUT_BASELINE
from chimle.report.results import read_gallery, read_metrics, read_provenance

_SIDE = 128
_SHOWN = 5
_EPOCH = (1980, 1, 1, 0, 0, 0)


def _measured(bundle: Bundle, project: Path) -> dict[str, Any]:
    """`metrics`, `details` and `provenance` of the bundle's model; empty where it has none.

    Raises:
        UserError: the project's metrics are damaged, or those of another model.
    """
    task = bundle.settings.task
    file = project / "metrics" / f"{task}.json"
    details = project / "metrics" / "details" / f"{task}.json"
    provenance = file.with_suffix(".provenance.json")
    if not all(path.is_file() for path in (file, details, provenance)):
        return {}
    origin = read_provenance(provenance)
    own = bundle.provenance
    if (origin.get("model_settings_sha256"), origin.get("pairs_sha256")) != (
        own.get("settings_sha256"),
        own.get("pairs_sha256"),
    ):
        raise UserError(
            f"{file} was measured on another model: evaluate this one first, or name its project "
            "by `--project`"
        )
    metrics = {"metrics": read_metrics(file), "details": read_metrics(details)}
    return {**metrics, "provenance": origin}


def _draw_samples(folder: Path, out: Path) -> bool:
    """Draw input, samples and target of the gallery as a grid; False where there is no gallery."""
    if not (folder / "gallery.json").is_file():
        return False
    rows = [
        [read_rgb(folder / n) for n in (e["input"], *e["samples"][:_SHOWN], e["target"])]
        for e in read_gallery(folder)
    ]
    count = len(rows[0]) - 2
    headings = ["input", *(f"sample {i}" for i in range(count)), "target"]
    write_png(out, contact_sheet(rows, _SIDE, headings))
    return True


def _facts(provenance: dict[str, Any]) -> dict[str, str | int]:
    """Texts and whole numbers of a provenance, `features` of its distance among them.

    Anyone may have written it, so a value of another kind counts as absent.
    """
    extractor = provenance.get("extractor")
    features = extractor.get("name") if isinstance(extractor, dict) else None
    found = {**provenance, "features": features}.items()
    return {
        name: value
        for name, value in found
        if isinstance(value, str | int) and not isinstance(value, bool)
    }


def _cell(value: object) -> str:
    """A value in a table of a Markdown file: on one line, without the end of its cell."""
    return printable(" ".join(str(value).split())).replace("|", "\\|")


def _card(
    bundle: Bundle, measured: dict[str, Any], license_: str, has_samples: bool, address: str
) -> str:
    environment = Environment(
        loader=PackageLoader("chimle.bundles", "."),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["cell"] = _cell
    metrics, details = measured.get("metrics", {}), measured.get("details", {})
    rows = [
        (name, value, details.get(INPUT_BASELINE + name)) for name, value in sorted(metrics.items())
    ]
    return environment.get_template("card.md.j2").render(
        bundle=bundle,
        settings=bundle.settings,
        title=bundle.settings.definition.title,
        parameters=sum(p.numel() for p in bundle.tower.parameters()),
        rows=rows,
        origin=measured.get("provenance", {}),
        provenance=_facts(bundle.provenance),
        license=license_,
        hub_license=hub_license(license_),
        has_samples=has_samples,
        address=address,
    )


def _zipped(folder: Path) -> bytes:
    """The folder's files as one zip file, the same bytes every time."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(folder.iterdir()):
            archive.writestr(zipfile.ZipInfo(path.name, _EPOCH), path.read_bytes())
    return buffer.getvalue()


def _fill(
    folder: Path, bundle: Bundle, license_: str, project: Path, half: bool, address: str
) -> None:
    """Write a bundle with metrics, samples and card into an empty folder."""
    measured = _measured(bundle, project)
    tower = copy.deepcopy(bundle.tower).half() if half else bundle.tower
    if half and (strange := strange_weight(tower.state_dict())):
        raise UserError(
            f"`{strange}` has weights beyond {torch.finfo(torch.half).max:,.0f}, which half "
            "precision does not hold: leave out `--half`"
        )
    save_bundle(folder, tower, bundle.settings, bundle.provenance, license_, bundle.degradation)
    gallery = project / "galleries" / bundle.settings.task
    has_samples = bool(measured) and _draw_samples(gallery, folder / SAMPLES)
    if measured:
        write_text(folder / METRICS, json.dumps(measured, indent=1, sort_keys=True) + "\n")
    write_text(folder / CARD, _card(bundle, measured, license_, has_samples, address))


def pack(
    bundle: Bundle,
    out: Path,
    license_: str | None,
    project: Path,
    half: bool = False,
    address: str = "path/to/this/bundle",
) -> None:
    """Write a bundle with license, metrics, samples and a model card.

    Args:
        bundle: the model.
        out: folder, or one file where the name ends in `.zip`; must not exist.
        license_: SPDX identifier of the weights' license; None: the one that the model has.
        project: folder with `metrics/` and `galleries/` of the model.
        half: store the weights in half precision, which halves the file; metrics and samples are
            those of the full weights.
        address: where the card says that the bundle is.

    Raises:
        UserError: `out` exists, the project's metrics are those of another model, or half precision
            does not hold the weights.
    """
    if out.exists():
        raise UserError(f"{out} exists already: name another path or remove it")
    with tempfile.TemporaryDirectory(prefix="chimle-") as name:
        folder = Path(name) / "bundle"
        _fill(folder, bundle, license_ or bundle.license, project, half, address)
        if out.suffix == ".zip":
            write_bytes(out, _zipped(folder))
            return
        with replaced_folder(out) as fresh:
            for path in folder.iterdir():
                write_bytes(fresh / path.name, path.read_bytes())
