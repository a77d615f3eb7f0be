"""Evaluation of weights on a data set: metrics, pictures, the table people read."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np

from synthex_perception.evaluation.contact_sheet import contact_sheet
from synthex_perception.evaluation.metrics import Evaluation, truth_of
from synthex_perception.inference.postprocess import PostprocessConfig
from synthex_perception.inference.predictor import Predictor
from synthex_sim.whole_files import write_whole

#: Images on the contact sheet, spread evenly over the split.
SHEET_IMAGES = 12


def evaluate_split(predictor: Predictor, split, limit: int = 0) -> tuple[dict, list]:
    """Look at every sample of a split through the session's own predictor.

    Args:
        split: samples as ``synthex_sim.dataset`` gives them.
        limit: at most this many, spread evenly; 0 takes all.

    Returns:
        summary of ``Evaluation`` with predict_ms added, and rows for the contact sheet.
    """
    names = predictor.metadata
    result = Evaluation(names.label_names, names.landmark_names)
    chosen = np.arange(len(split)) if not 0 < limit < len(split) else np.linspace(0, len(split) - 1, limit).round()
    shown = set(np.linspace(0, len(chosen) - 1, min(SHEET_IMAGES, len(chosen))).round().astype(int).tolist())
    rows, milliseconds = [], []
    for position, index in enumerate(chosen):
        sample = split[int(index)]
        started = time.perf_counter()
        found = predictor.predict(sample.image)
        milliseconds.append(1000.0 * (time.perf_counter() - started))
        truth = truth_of(sample)
        result.add(found, truth)
        if position in shown:
            rows.append((sample.image, found, truth))
    summary = result.summary()
    p50, p95 = np.percentile(milliseconds, [50, 95])
    summary["predict_ms"] = {"p50": float(p50), "p95": float(p95)}
    return summary, rows


def evaluate_weights(
    weights: Path, dataset, split: str, out: Path, config: PostprocessConfig, limit: int = 0, data: str = ""
) -> dict:
    """Evaluate a weights file on an open data set; writes metrics.json and overlays.png into ``out``.

    Raises:
        FileNotFoundError, WeightsError: the weights cannot be used for this data set.
        KeyError: no such split.
    """
    manifest = dataset.manifest
    predictor = Predictor.from_file(
        weights, config=config, task=manifest.task, label_names=tuple(manifest.label_names),
        landmark_names=tuple(manifest.landmark_names),
    )
    samples = dataset.split(split)
    out.mkdir(parents=True, exist_ok=True)
    summary, rows = evaluate_split(predictor, samples, limit)
    document = {
        "weights": str(weights),
        "weights_metadata": predictor.metadata.to_header(),
        "data": data,
        "split": split,
        "landmark_threshold": config.landmark_threshold,
        "cm_min_pixels": config.cm_min_pixels,
        **summary,
    }
    write_whole(out / "metrics.json", json.dumps(document, indent=1) + "\n")
    contact_sheet(rows, out / "overlays.png")
    return document
