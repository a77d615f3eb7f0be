"""Everything that a training run is told, read once from YAML (config/training/*.yaml holds the units)."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path

import yaml

from synthex_perception.network.config import CompactTransUNetConfig
from synthex_perception.randomization.config import RandomizationConfig


@dataclass(frozen=True)
class TrainingConfig:
    """One run's recipe.

    Attributes:
        task: the data set must be of this task.
        network: sizes; classes, landmarks and input size are taken from the data set.
        randomization: ranges of the domain randomization.
        epochs: passes over the training split at most.
        batch_size: images a step.
        learning_rate: peak of AdamW's step size, after warm-up and before the cosine.
        weight_decay: of AdamW, on matrices and kernels (not on norms, biases, positions).
        warmup_steps: linear rise from 0.
        gradient_clip: largest gradient norm.
        ema_decay: decay of the averaged weights that are evaluated and exported; 0 switches averaging off.
        heatmap_sigma_mm: width of the landmark targets on the detector at the end of the run.
        heatmap_sigma_start_mm: their width at the start; it shrinks to ``heatmap_sigma_mm`` along a straight line.
        heatmap_sigma_shrinks_until: share of the run after which they have their final width.
        coarse_share: share of the run, at its start, that sees images of half the size: four times as many in the same
            time, and everything that is learned about where bones are carries over.
        heatmap_loss: mse, ncc or mse+ncc.
        dice_weight, cross_entropy_weight, heatmap_weight: factors of the loss terms.
        manipulator_weight: how much the manipulator, its base and its tip count beside a bone and its landmarks: it is
            a hundredth of a bone's size, and where its notched body begins hardly shows.
        landmark_weights: name -> how much a landmark counts instead of once, where it is seen seldom.
        checkpoint_every_steps: a resumable checkpoint is written this often.
        validation_images: at most this many of the validation split are evaluated after an epoch; 0 takes all.
    """

    task: str = "session"
    network: CompactTransUNetConfig = field(default_factory=CompactTransUNetConfig)
    randomization: RandomizationConfig = field(default_factory=RandomizationConfig)
    epochs: int = 40
    batch_size: int = 8
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    warmup_steps: int = 100
    gradient_clip: float = 5.0
    ema_decay: float = 0.99
    heatmap_sigma_mm: float = 3.9
    heatmap_sigma_start_mm: float = 15.6
    heatmap_sigma_shrinks_until: float = 0.6
    coarse_share: float = 0.5
    heatmap_loss: str = "mse+ncc"
    dice_weight: float = 0.5
    cross_entropy_weight: float = 0.5
    heatmap_weight: float = 1.0
    manipulator_weight: float = 1.0
    landmark_weights: dict[str, float] = field(default_factory=dict)
    checkpoint_every_steps: int = 100
    validation_images: int = 200

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "checkpoint_every_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"training.{name} must be at least 1, got {getattr(self, name)}")
        for name, weight in {"manipulator_weight": self.manipulator_weight, **self.landmark_weights}.items():
            if not weight > 0:
                raise ValueError(f"training.{name} must be positive, got {weight}")
        if not self.learning_rate > 0 or not self.heatmap_sigma_mm > 0:
            raise ValueError("training.learning_rate and heatmap_sigma_mm must be positive")
        if self.heatmap_sigma_start_mm < self.heatmap_sigma_mm or not 0.0 < self.heatmap_sigma_shrinks_until <= 1.0:
            raise ValueError("training.heatmap_sigma_start_mm must be at least heatmap_sigma_mm, "
                             "heatmap_sigma_shrinks_until in (0, 1]")
        if not 0.0 <= self.coarse_share < 1.0:
            raise ValueError(f"training.coarse_share must lie in [0, 1), got {self.coarse_share}")
        if not 0.0 <= self.ema_decay < 1.0:
            raise ValueError(f"training.ema_decay must lie in [0, 1), got {self.ema_decay}")

    @classmethod
    def from_yaml(cls, path: str | Path) -> TrainingConfig:
        """Read a recipe; ``randomization`` in it is the path of another YAML, relative to this one.

        Raises:
            FileNotFoundError: no such file.
            ValueError: an unknown key or a value that makes no sense.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"no training configuration at {path}")
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        unknown = set(values) - {spec.name for spec in fields(cls)}
        if unknown:
            raise ValueError(f"{path}: unknown key(s) {sorted(unknown)}; known: {[spec.name for spec in fields(cls)]}")
        if "network" in values:
            values["network"] = CompactTransUNetConfig.from_dict(values["network"])
        if "randomization" in values:
            values["randomization"] = RandomizationConfig.from_yaml(path.parent / values["randomization"])
        return cls(**values)
