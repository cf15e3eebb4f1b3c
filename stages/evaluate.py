"""Evaluate one task: a model bundle and test pairs become metrics, provenance and images."""

import json
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from chimle.bundles.bundle import Bundle, load_bundle
from chimle.data.augmentation import centre
from chimle.data.dataset import Pair, PairIndex, check_pair_size, pairs_hash, read_manifest
from chimle.data.even_spacing import evenly_spaced
from chimle.data.manifests import PAIRS
from chimle.device import choose_device
from chimle.images.decode import write_png
from chimle.images.pyramid import enlarge
from chimle.inference.sampling import sample_pairs
from chimle.io.files import replaced_folder, write_text
from chimle.metrics.evaluator import EvaluationConfig, Scores, evaluate, flat_values
from chimle.metrics.inception import load_inception
from chimle.metrics.metric_table import as_json, curve_csv, measured_with
from chimle.metrics.prediction import Prediction
from chimle.metrics.registry import split_headline
from chimle.metrics.seen_features import seen_features
from chimle.perceptual.lpips import load_perceptual
from chimle.provenance import digest
from chimle.settings.degradation import DegradationSettings
from chimle.settings.evaluate import EvaluateStageSettings
from chimle.settings.reading import build_settings
from stages._command import run_stage

Drawn = tuple[Pair, np.ndarray]
"""A test pair and its samples (S, H, W, 3) uint8."""
SMALLER = "lower `evaluate.batch_size`, `evaluate.samples` or `evaluate.resamples`"
"""What to do where memory is full."""


def write_gallery(folder: Path, shown: Sequence[Drawn]) -> None:
    """Inputs, samples and targets of a few test pairs for the report."""
    with replaced_folder(folder) as fresh:
        entries = [_write_entry(fresh, number, *one) for number, one in enumerate(shown)]
        write_text(fresh / "gallery.json", json.dumps(entries, indent=1) + "\n")


def predictions(
    drawn: Iterable[Drawn], rows: Container[int], kept: list[Drawn]
) -> Iterator[Prediction]:
    """Predictions, one at a time; the pairs of some rows stay in `kept`, with their samples."""
    for row, (pair, samples) in enumerate(drawn):
        if row in rows:
            kept.append((pair, samples))
        yield Prediction(pair.id, samples, pair.target, pair.input)


def _write_entry(folder: Path, number: int, pair: Pair, samples: np.ndarray) -> dict[str, Any]:
    """Images of one test pair, and its entry in `gallery.json`."""
    images = {"input": pair.input, "target": pair.target}
    size = (pair.target.shape[0], pair.target.shape[1])
    if pair.input.shape != pair.target.shape:
        images["enlarged"] = enlarge(pair.input, size)
    images |= {f"sample_{j:02}": image for j, image in enumerate(samples)}
    names = {part: f"{number:02}_{part}.png" for part in images}
    for part, image in images.items():
        write_png(folder / names[part], image)
    parts = {part: name for part, name in names.items() if not part.startswith("sample_")}
    drawn = [name for part, name in names.items() if part.startswith("sample_")]
    return {"id": pair.id, **parts, "samples": drawn}


def provenance(
    settings: EvaluateStageSettings,
    bundle: Bundle,
    config: EvaluationConfig,
    scores: Scores,
    pairs: Path,
) -> dict[str, Any]:
    """What the numbers were measured on and with, and what made the model."""
    return {
        "task": settings.task,
        "preset": bundle.settings.preset,
        "training_budget": bundle.settings.train.model_dump(mode="json"),
        "candidates": list(bundle.settings.search.candidates),
        "parameters": sum(p.numel() for p in bundle.tower.parameters()),
        "pairs_sha256": pairs_hash(pairs),
        "settings_sha256": digest(settings.model_dump(mode="json")),
        "model_settings_sha256": bundle.provenance.get("settings_sha256", "unknown"),
        **measured_with(config, scores, Path(__file__)),
    }


def load_evaluation(
    settings: EvaluateStageSettings, root: Path, device: str, pairs: Path
) -> EvaluationConfig:
    """The networks and numbers that the settings evaluate with, for the pairs of a folder.

    What the model was fitted to is not among them.
    """
    recorded = read_manifest(pairs)["degradation"]
    perceptual = load_perceptual(settings.perceptual, device, root).at_scales(1)
    return EvaluationConfig(
        perceptual=perceptual,
        inception=load_inception(settings.evaluate.inception, device, root),
        task=settings.definition,
        degradation=build_settings(DegradationSettings, recorded, f"{pairs / PAIRS}, degradation"),
        batch_size=settings.evaluate.batch_size,
        resamples=settings.evaluate.resamples,
        seed=settings.seed,
        records=root / "scratch" / "features",
    )


def main(settings: EvaluateStageSettings, root: Path) -> None:
    """Sample and score `settings.task` on its test split."""
    task, device = settings.task, str(choose_device())
    bundle = load_bundle(root / "models" / task, device)
    folder = root / "data" / "pairs" / task
    resolution = bundle.settings.tower.resolution
    check_pair_size(read_manifest(folder), resolution, f"the resolution of models/{task},")
    pairs = PairIndex(folder, "test", cache_bytes=0)  # Each is read once.
    config = load_evaluation(settings, root, device, folder)
    network, filtered = config.perceptual.info.name, bundle.tower.equaliser is not None
    seen = seen_features(settings.perceptual, network, filtered=filtered)
    config = replace(config, trained_features=seen)
    own, shown = settings.evaluate, list[Drawn]()
    drawn = sample_pairs(
        bundle.tower,
        settings.definition,
        (centre(pair, settings.definition, resolution) for pair in pairs),
        own.samples,
        seed=settings.seed,
        batch_size=own.batch_size,
    )
    # Over all ids: neighbouring ids are often similar images.
    rows = evenly_spaced(len(pairs), own.gallery)
    scores, baseline = evaluate(predictions(drawn, rows, shown), config)
    headline, details = split_headline(flat_values(scores, baseline))
    origin = provenance(settings, bundle, config, scores, folder)
    write_gallery(root / "galleries" / task, shown)
    write_text(root / "curves" / "best_of_k" / f"{task}.csv", curve_csv(scores))
    metrics = root / "metrics"
    write_text(metrics / f"{task}.provenance.json", as_json(origin))
    write_text(metrics / "details" / f"{task}.json", as_json(details))
    write_text(metrics / f"{task}.json", as_json(headline))


def command() -> None:
    """The command line `python -m stages.evaluate TASK [--root DIR]`."""
    run_stage(main, EvaluateStageSettings, __doc__, SMALLER)


if __name__ == "__main__":
    command()
