"""One training run: data set in, weights and curves out."""

from __future__ import annotations

import hashlib
import json
import logging
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint

from synthex_perception.network.compact_transunet import OUTPUT_STRIDE, parameter_count
from synthex_perception.network.config import CompactTransUNetConfig
from synthex_perception.network.weights import WeightsMetadata, save_weights
from synthex_perception.training.config import TrainingConfig
from synthex_perception.training.data import BatchStream, LoadedSplit, load_split
from synthex_perception.training.log import EpochLog
from synthex_perception.training.module import TrainingModule
from synthex_sim.anatomy import LABEL_NAMES, MANIPULATOR, MANIPULATOR_LANDMARKS
from synthex_sim.dataset.terms import dataset_provenance
from synthex_sim.patient.collections.provenance import refuse_testing_only
from synthex_sim.version import code_version
from synthex_sim.whole_files import write_whole

#: How each of the ways to start a run spells it.
RESUME_HINT = "go on with it by --resume (make train RESUME=true, launch argument resume:=true)"


class TrainingError(RuntimeError):
    """The run cannot start; the message says what to do."""


@dataclass(frozen=True)
class RunOptions:
    """What the command line says beside the recipe.

    Attributes:
        data: folder of the data set.
        out: folder of the run.
        seed: of weights, order and randomization.
        max_minutes: wall time at most, evaluation included; None for no limit.
        resume: go on from the run's newest checkpoint.
        export: where the finished weights go (besides ``out/weights.safetensors``); None for nowhere else.
        threads: torch threads; 0 leaves torch's choice.
    """

    data: Path
    out: Path
    seed: int = 0
    max_minutes: float | None = None
    resume: bool = False
    export: Path | None = None
    threads: int = 0


def train(config: TrainingConfig, options: RunOptions, dataset=None) -> dict:
    """Train, evaluate, export.

    Args:
        dataset: an open data set; None opens ``options.data``.

    Returns:
        the last evaluation's summary (see ``evaluation.metrics``).

    Raises:
        TrainingError: no data set, one of another task, or nothing to resume.
        ValueError: the data are for testing only.
        KeyboardInterrupt: Ctrl-C; SIGINT is ignored from then on.
    """
    dataset = _open(options.data) if dataset is None else dataset
    _check_task(dataset, config)
    refuse_testing_only(dataset_provenance(options.data), "training")
    checkpoint = newest_checkpoint(options.out)
    _check_folder(options, checkpoint)
    options.out.mkdir(parents=True, exist_ok=True)
    if options.threads:
        torch.set_num_threads(options.threads)

    training = load_split(dataset.split("train"))
    validation = load_split(dataset.split("valid"), config.validation_images)
    network = _network_config(config, dataset.manifest, training)
    sigma_px = heatmap_sigma_px(config, training)
    stream = BatchStream(
        training, config.batch_size, options.seed, config.randomization, network.num_classes, OUTPUT_STRIDE
    )
    max_seconds = options.max_minutes * 60.0 if options.max_minutes else None
    weights = loss_weights(config, dataset.manifest.label_names, dataset.manifest.landmark_names)
    module = TrainingModule(config, network, sigma_px, config.epochs * len(stream), max_seconds, options.seed, weights)
    metadata = WeightsMetadata(
        network, config.task, tuple(dataset.manifest.label_names), tuple(dataset.manifest.landmark_names), sigma_px,
        training_data=fingerprint(options.data), code_version=code_version(),
    )
    _write_run(config, options, metadata)
    log = EpochLog(options.out, validation, metadata.label_names, metadata.landmark_names, sigma_px)
    print(
        f"training '{config.task}': {len(training)} images, {len(validation)} to evaluate on, network of "
        f"{parameter_count(module.network):,} parameters, {len(stream)} steps an epoch, heatmaps {sigma_px:.2f} px",
        flush=True,
    )
    trainer = _trainer(config, options, log)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            trainer.fit(module, stream, ckpt_path=checkpoint if options.resume else None, weights_only=True)
    except SystemExit as ended:
        # Lightning catches Ctrl-C, ignores SIGINT while it shuts down and calls sys.exit(1): whether a run was
        # interrupted or broke is for the caller to know, and ending the process is the caller's.
        if isinstance(ended.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise
    summary = log.record(trainer, module)
    _write_run(config, options, metadata, {"steps": trainer.global_step, "minutes": module.seconds / 60.0})
    for path in [options.out / "weights.safetensors", *([options.export] if options.export else [])]:
        save_weights(path, module.evaluated_network(), metadata)
        print(f"weights: {path} ({path.stat().st_size / 1e6:.2f} MB)", flush=True)
    return summary


def loss_weights(
    config: TrainingConfig, label_names: Sequence[str], landmark_names: Sequence[str]
) -> tuple[list[float], list[float]]:
    """How much each class and each landmark counts in the loss.

    Raises:
        ValueError: a weight for a landmark that the data do not have.
    """
    unknown = set(config.landmark_weights) - set(landmark_names)
    if unknown:
        raise ValueError(f"training.landmark_weights names {sorted(unknown)}; landmarks are {list(landmark_names)}")
    classes = {LABEL_NAMES[MANIPULATOR]: config.manipulator_weight}
    landmarks = dict.fromkeys(MANIPULATOR_LANDMARKS, config.manipulator_weight) | config.landmark_weights
    return [classes.get(name, 1.0) for name in label_names], [landmarks.get(name, 1.0) for name in landmark_names]


def newest_checkpoint(out: Path) -> Path:
    """Where the run in a folder keeps what ``resume`` goes on from; there is no such file before the first one."""
    return out / "checkpoints" / "last.ckpt"


def heatmap_sigma_px(config: TrainingConfig, split: LoadedSplit) -> float:
    """Width of the targets in pixels of the heatmap: millimetres on the detector over the size of such a pixel."""
    return config.heatmap_sigma_mm / (float(np.median(split.pixel_spacing_mm)) * OUTPUT_STRIDE)


def fingerprint(folder: Path) -> str:
    """SHA-256 of the data set's manifest, which itself holds the digest of every shard; 'memory' without a file."""
    path = Path(folder) / "manifest.json"
    return "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "memory"


class _StopAtTimeLimit(Callback):
    """Ends the run when the time is used up, in the middle of an epoch if need be."""

    def on_train_batch_end(self, trainer: lightning.Trainer, module: TrainingModule, *_args) -> None:
        if module.progress >= 1.0:
            trainer.should_stop = True


def _trainer(config: TrainingConfig, options: RunOptions, log: EpochLog) -> lightning.Trainer:
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    keeper = ModelCheckpoint(
        dirpath=options.out / "checkpoints", filename="step", save_last=True, save_top_k=1,
        enable_version_counter=False, every_n_train_steps=config.checkpoint_every_steps, auto_insert_metric_name=False,
    )
    return lightning.Trainer(
        accelerator="cpu", devices=1, max_epochs=config.epochs, gradient_clip_val=config.gradient_clip,
        logger=False, enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
        callbacks=[_StopAtTimeLimit(), log, keeper], default_root_dir=options.out,
    )


def _open(folder: Path):
    from synthex_sim.dataset.reader import open_dataset

    try:
        return open_dataset(folder)
    except (FileNotFoundError, ValueError, KeyError) as error:
        raise TrainingError(f"cannot train on {folder}: {error}") from None


def _check_task(dataset, config: TrainingConfig) -> None:
    found = dataset.manifest.task
    if found != config.task:
        raise TrainingError(f"the data set is of the task '{found}', the configuration trains '{config.task}'")


def _check_folder(options: RunOptions, checkpoint: Path) -> None:
    if options.resume and not checkpoint.is_file():
        raise TrainingError(f"nothing to resume: {checkpoint} does not exist; start anew without resume")
    if not options.resume and checkpoint.is_file():
        raise TrainingError(f"{options.out} already holds a run; {RESUME_HINT}, or name another folder to start anew")


def _network_config(config: TrainingConfig, manifest, split: LoadedSplit) -> CompactTransUNetConfig:
    rows, columns = split.shape
    if rows != columns or rows % 16:
        raise TrainingError(f"images of {rows} x {columns}: the network needs square images with a side of 16 n pixels")
    return replace(
        config.network, input_size_px=rows, num_classes=len(manifest.label_names),
        num_landmarks=len(manifest.landmark_names),
    )


def _write_run(
    config: TrainingConfig, options: RunOptions, metadata: WeightsMetadata, trained: dict | None = None
) -> None:
    document = {
        "config": asdict(config),
        "options": {key: str(value) if isinstance(value, Path) else value for key, value in asdict(options).items()},
        "weights": metadata.to_header(),
        "provenance": [entry.to_document() for entry in dataset_provenance(options.data)],
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        **({"trained": trained} if trained else {}),
    }
    write_whole(options.out / "run.json", json.dumps(document, indent=1) + "\n")
