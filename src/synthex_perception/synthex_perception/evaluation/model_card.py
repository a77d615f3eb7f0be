"""``python -m synthex_perception.evaluation.model_card``: models/<name>.md, written from what was measured."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from synthex_perception.evaluation.data_terms import collection_lines, weights_terms
from synthex_perception.evaluation.table import (
    LANDMARK_COLUMNS,
    STRUCTURE_COLUMNS,
    dice_words,
    landmark_rows,
    markdown,
    structure_rows,
)
from synthex_perception.network.compact_transunet import build_network, parameter_count
from synthex_perception.network.weights import WeightsMetadata, read_metadata
from synthex_sim.dataset.manifest import Manifest
from synthex_sim.dataset.terms import dataset_provenance
from synthex_sim.patient.collections.provenance import Provenance, merged
from synthex_sim.whole_files import write_whole

NOTICE = "**Research and simulation only, not a medical device.**"


@dataclass(frozen=True)
class Domain:
    """One evaluation: what the images are, in words, and the metrics.json of ``evaluation.run`` on them."""

    name: str
    metrics: dict


def model_card(
    weights: Path, run: dict, domains: list[Domain], data: str, command: str, limits: list[str], hardware: str,
    provenance: Sequence[Provenance] = (),
) -> str:
    """The card as Markdown.

    Args:
        weights: the weights file the card is about.
        run: ``run.json`` of the training run: configuration, options, torch version, threads.
        domains: evaluations; the first is the one the summary quotes.
        data: where the training data come from and under which licence, in words.
        command: what reproduces the weights.
        limits: known failures and what the numbers do not say, one sentence each.
        hardware: what the training and the measurements ran on.
        provenance: public collections behind the training data.
    """
    metadata = read_metadata(weights)
    parts = [f"# {weights.name}\n", NOTICE + "\n", _summary(weights, metadata, domains)]
    if terms := weights_terms(provenance):
        parts.insert(2, terms)
    parts.append(_recipe(metadata, run, data, collection_lines(provenance), command, hardware))
    for domain in domains:
        parts.append(_domain(domain))
    parts.append("## Limits\n\n" + "\n".join(f"- {limit}" for limit in limits) + "\n")
    return "\n".join(parts)


def data_words(manifest: Manifest) -> str:
    """What a data set consists of and under which licence."""
    train = sum(shard.count for shard in manifest.shards if shard.split == "train")
    phantoms = all(name.startswith("phantom:") for name in manifest.patients)
    of = "built-in phantoms (this project, Apache-2.0); no real patient" if phantoms else "given patients"
    return (
        f"{manifest.count} simulated radiographs, {train} of them for training, of {len(manifest.patients)} {of}; the "
        "split is by patient."
    )


def hardware_words() -> str:
    """Processor and number of cores of this machine."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        models = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        name = models[0] if models else name
    return f"{name}, {os.cpu_count()} cores"


def _summary(weights: Path, metadata: WeightsMetadata, domains: list[Domain]) -> str:
    parameters = parameter_count(build_network(metadata.config))
    first = domains[0].metrics
    hip, cm = first["hip_landmarks"], first.get("cm_landmarks")
    lines = [
        f"- Task: `{metadata.task}`: {len(metadata.label_names)} labels ({', '.join(metadata.label_names)}), "
        f"{len(metadata.landmark_names)} landmarks ({', '.join(metadata.landmark_names)}).",
        f"- Network: compact TransUNet, {parameters:,} parameters, input {metadata.config.input_size_px} px, output "
        f"at half of that; {weights.stat().st_size / 1e6:.2f} MB as float16 safetensors.",
        f"- Input: raw detector counts (bone dark), {metadata.normalisation}.",
        "- Behind the network: the manipulator's base is not the heatmap's but measured in the image, by following the "
        "tube from the network's tip on; where it is sure, the manipulator's mask is cut to the notched body. The "
        "figures are those of both together.",
        f"- On *{domains[0].name}* ({first['images']} images): {dice_words('hip', first['hip_dice'])}, "
        f"{dice_words('manipulator', first.get('cm_dice'))}, hip landmarks: {_error(hip)}"
        + (f"; manipulator base and tip: {_error(cm)}" if cm else "") + ".",
    ]
    return "\n".join(lines) + "\n"


def _error(values: dict) -> str:
    if values["visible"] == 0:
        return "no ground truth in these images"
    if values["error_detector_mm"] is None:
        return "never confident enough to be reported"
    return (
        f"{values['error_detector_mm']['mean']:.2f} detector mm (median {values['error_detector_mm']['median']:.2f}; "
        f"{values['error_isocentre_mm']['mean']:.2f} isocentre mm) with {100 * values['activation']:.0f} % activated"
    )


def _recipe(
    metadata: WeightsMetadata, run: dict, data: str, collections: list[str], command: str, hardware: str
) -> str:
    config, options = run["config"], run["options"]
    limit = f"at most {options['max_minutes']} minutes" if options.get("max_minutes") else "no time limit"
    lines = [
        "## Data and recipe\n",
        f"- Data: {data} Fingerprint of the manifest: `{metadata.training_data}`.",
        *collections,
        f"- Command: `{command}`; seed {options['seed']}, {limit}, at most {config['epochs']} epochs"
        + (f"; {run['trained']['steps']} steps in {run['trained']['minutes']:.1f} minutes" if "trained" in run else "")
        + ".",
        f"- AdamW, step size {config['learning_rate']:g}, weight decay {config['weight_decay']:g}, batch "
        f"{config['batch_size']}, linear warm-up of {config['warmup_steps']} steps, cosine to zero, averaged weights "
        f"(decay {config['ema_decay']:g}); the first {100 * config['coarse_share']:.0f} % of the run on images of half "
        "the size.",
        f"- Loss: {config['dice_weight']:g} Dice + {config['cross_entropy_weight']:g} cross-entropy + "
        f"{config['heatmap_weight']:g} heatmap ({config['heatmap_loss']}; Gaussians of "
        f"{config['heatmap_sigma_start_mm']:g} shrinking to {config['heatmap_sigma_mm']:g} detector mm, "
        f"{metadata.heatmap_sigma_px:.2f} px of the heatmap); the manipulator, its base and tip count "
        f"{config['manipulator_weight']:g} times"
        + "".join(f", {name} {weight:g} times" for name, weight in config["landmark_weights"].items()) + ".",
        "- Domain randomization: " + ", ".join(f"{k} {v}" for k, v in config["randomization"].items()) + ".",
        f"- Hardware: {hardware}; torch {run['torch']}, {run['threads']} threads. Code version "
        f"{metadata.code_version}.",
    ]
    return "\n".join(lines) + "\n"


def _domain(domain: Domain) -> str:
    metrics = domain.metrics
    return "\n".join([
        f"## Accuracy on {domain.name}\n",
        f"{metrics['images']} images, split `{metrics['split']}`; landmark threshold "
        f"{metrics['landmark_threshold']:g}, manipulator at least {metrics['cm_min_pixels']} px; "
        f"{metrics['predict_ms']['p50']:.0f} ms an image (median). "
        "Dice over images that show the structure; false positives over those that do not. Landmark errors over "
        "landmarks in the image that were confident enough: mean ± sd (median); detector mm = pixels x pixel spacing, "
        "isocentre mm = x SAD/SDD.\n",
        markdown(STRUCTURE_COLUMNS, structure_rows(metrics)),
        markdown(LANDMARK_COLUMNS, landmark_rows(metrics)),
    ])


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 written, 1 something that is needed is missing."""
    parser = argparse.ArgumentParser(prog="python -m synthex_perception.evaluation.model_card", description=__doc__)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True, help="folder of the training run (run.json)")
    parser.add_argument("--domain", action="append", required=True, metavar="NAME=METRICS.JSON",
                        help="an evaluation and what its images are; may be given again")
    parser.add_argument("--data", type=Path, required=True, help="folder of the data set that it was trained on")
    parser.add_argument("--command", default="make weights", help="what reproduces the weights")
    parser.add_argument("--limit", action="append", default=[],
                        help="a known failure, one sentence; may be given again")
    parser.add_argument("--hardware", default=None, help="default: this machine")
    parser.add_argument("--out", type=Path, default=None, help="default: beside the weights, .md")
    options = parser.parse_args(arguments)
    try:
        domains = [_read_domain(text) for text in options.domain]
        run = json.loads((options.run / "run.json").read_text(encoding="utf-8"))
        card = model_card(options.weights, run, domains, data_words(Manifest.read(options.data)), options.command,
                          options.limit or ["No failure has been looked for beyond the numbers above."],
                          options.hardware or hardware_words(), _provenance(run, options.data))
        out = options.out or options.weights.with_suffix(".md")
        write_whole(out, card)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"model card: {out}")
    return 0


def _provenance(run: dict, data: Path) -> tuple[Provenance, ...]:
    """Of what the run was trained on, and of the data set named now, should they differ."""
    return merged(dataset_provenance(data), map(Provenance.from_document, run.get("provenance", [])))


def _read_domain(text: str) -> Domain:
    name, separator, path = text.partition("=")
    if not separator:
        raise ValueError(f"--domain takes NAME=METRICS.JSON, got '{text}'")
    return Domain(name, json.loads(Path(path).read_text(encoding="utf-8")))


if __name__ == "__main__":
    sys.exit(main())
