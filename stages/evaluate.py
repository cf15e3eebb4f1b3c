"""Evaluate one task: a model bundle and test pairs become metrics, provenance and pictures."""

import json
from pathlib import Path

import numpy as np

from chimle.data.batch import centre, conditioning
from chimle.data.dataset import Pair, PairIndex, image_key, pairs_hash
from chimle.device import choose_device
from chimle.files import replaced_folder, write_text
from chimle.images.decode import write_png
from chimle.metrics.evaluate import evaluate_samples
from chimle.metrics.fidelity import LARGEST_SUBSET
from chimle.model_bundle import Bundle, load_bundle
from chimle.perceptual import Perceptual, load_perceptual
from chimle.provenance import code_version, commit, settings_hash
from chimle.sampling import plain_names, sample
from chimle.settings import RunSettings
from stages._command import run_stage


def write_gallery(
    folder: Path, pairs: list[Pair], samples: np.ndarray, settings: RunSettings
) -> None:
    """Pictures of the first test inputs for the report."""
    count = min(settings.evaluate.gallery, len(pairs))
    # Spread over the ids, so that a gallery is no row of neighbours.
    shown = np.linspace(0, len(pairs) - 1, count).round().astype(int)
    entries = []
    with replaced_folder(folder) as fresh:
        for number, row in enumerate(shown):
            pair = pairs[row]
            names = [f"{number:02}_sample_{j:02}.png" for j in range(samples.shape[1])]
            for name, picture in zip(names, samples[row], strict=True):
                write_png(fresh / name, picture)
            entry = {"id": pair.id, "input": f"{number:02}_input.png", "samples": names}
            entry["target"] = f"{number:02}_target.png"
            write_png(fresh / f"{number:02}_input.png", pair.input)
            write_png(fresh / f"{number:02}_target.png", pair.target)
            entries.append(entry)
        write_text(fresh / "gallery.json", json.dumps(entries, indent=1) + "\n")


def provenance(
    settings: RunSettings, bundle: Bundle, perceptual: Perceptual, pairs: Path, count: int
) -> dict:
    """What the numbers were measured on and with."""
    info = perceptual.info
    warnings = []
    if info.origin == "random":
        warnings.append(
            "No pretrained perceptual weights could be had: training and every perceptual number "
            "used fixed-seed random features. Numbers compare within this run only."
        )
    return {
        "task": settings.task,
        "preset": settings.preset,
        "n": count,
        "samples_per_input": settings.evaluate.samples,
        "kernel_subset_size": min(LARGEST_SUBSET, count),
        "seed": settings.seed,
        "extractor": {"name": info.name, "origin": info.origin, "sha256": info.sha256},
        "training_budget": settings.train.model_dump(mode="json"),
        "candidates": list(settings.search.candidates),
        "parameters": sum(p.numel() for p in bundle.tower.parameters()),
        "pairs_sha256": pairs_hash(pairs),
        "settings_sha256": settings_hash(settings),
        "model_settings_sha256": bundle.provenance.get("settings_sha256", "unknown"),
        "code_sha256": code_version(),
        "commit": commit(),
        "warnings": warnings,
    }


def main(settings: RunSettings, root: Path) -> None:
    """Sample and score `settings.task` on its test split."""
    task, device = settings.task, choose_device()
    bundle = load_bundle(root / "models" / task, str(device))
    tower = bundle.settings.tower
    definition = settings.definition
    folder = root / "data" / "pairs" / task
    pairs = [centre(p, definition, tower.resolution) for p in PairIndex(folder, "test")]
    perceptual = load_perceptual(settings.perceptual, str(device), root)
    inputs = np.stack([pair.input for pair in pairs])
    levels = conditioning(definition, tower, list(inputs))
    samples = sample(
        bundle.tower,
        [level.to(device) for level in levels],
        [image_key(pair.id) for pair in pairs],
        plain_names(settings.evaluate.samples, tower.levels),
        seed=settings.seed,
        batch_size=settings.evaluate.batch_size,
    )
    targets = np.stack([pair.target for pair in pairs])
    metrics = evaluate_samples(samples, targets, inputs, settings, perceptual)
    origin = provenance(settings, bundle, perceptual, folder, len(pairs))
    write_gallery(root / "pictures" / task, pairs, samples, settings)
    for name, content in ((f"{task}.provenance.json", origin), (f"{task}.json", metrics)):
        text = json.dumps(content, indent=2, sort_keys=True) + "\n"
        write_text(root / "metrics" / name, text)


if __name__ == "__main__":
    run_stage(main, __doc__)
