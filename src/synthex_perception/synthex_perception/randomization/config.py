"""Ranges of the domain randomization, read once from YAML (config/randomization/*.yaml holds the units)."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path

import yaml

Range = tuple[float, float]

#: Operations of the strong list, of which at most ``strong_max_operations`` are concatenated on one image.
STRONG_OPERATIONS: tuple[str, ...] = ("invert", "contrast", "blur", "boxes", "dropout", "multiply", "shading", "pool")


@dataclass(frozen=True)
class RandomizationConfig:
    """Ranges are (low, high) of a uniform draw. Intensities refer to the range max - min of the log image.

    Attributes:
        noise_sigma: standard deviation of Gaussian noise, fraction of the image's range.
        gamma: exponent on the image scaled to [0, 1].
        crop_fraction: side of the random square crop as a fraction of the image; 1 crops nothing.
        affine_probability: share of images that are moved at all.
        rotation_deg, translation_fraction, scale, shear_deg: affine motion about the image centre.
        strong_probability: share of images that get one or more strong operations.
        strong_max_operations: most strong operations on one image.
        strong_weights: relative probability of each strong operation; 0 switches one off.
        contrast_gain: slope of linear, gain of logarithmic contrast; sigmoid uses ``sigmoid_gain``.
        blur_sigma_px: Gaussian blur.
        box_count, box_side_fraction, box_noise_sigma: box corruption with large noise (fraction of the range).
        dropout_fraction: share of pixels set to the image's mean.
        multiply: factor on the whole image or on each pixel.
        shading_amplitude: relative peak of the low-frequency multiplicative field.
        pool_kernel_px: side of the pooling window, integers.
        empty_probability: share of images replaced by an exposure of nothing (flat field and noise, no labels).
        empty_noise: relative noise of that exposure.
    """

    noise_sigma: Range = (0.002, 0.04)
    gamma: Range = (0.7, 1.3)
    crop_fraction: Range = (0.9, 1.0)
    affine_probability: float = 0.9
    rotation_deg: Range = (-10.0, 10.0)
    translation_fraction: Range = (-0.06, 0.06)
    scale: Range = (0.9, 1.1)
    shear_deg: Range = (-2.0, 2.0)
    strong_probability: float = 0.7
    strong_max_operations: int = 2
    strong_weights: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STRONG_OPERATIONS, 1.0))
    contrast_gain: Range = (0.5, 2.0)
    sigmoid_gain: Range = (3.0, 10.0)
    blur_sigma_px: Range = (0.3, 1.5)
    box_count: tuple[int, int] = (1, 4)
    box_side_fraction: Range = (0.05, 0.2)
    box_noise_sigma: float = 0.2
    dropout_fraction: Range = (0.01, 0.1)
    multiply: Range = (0.5, 1.5)
    shading_amplitude: float = 0.3
    pool_kernel_px: tuple[int, int] = (2, 3)
    empty_probability: float = 0.02
    empty_noise: Range = (0.0, 0.05)

    def __post_init__(self) -> None:
        for spec in fields(self):
            value = getattr(self, spec.name)
            if isinstance(value, (list, tuple)):
                if len(value) != 2 or value[0] > value[1]:
                    raise ValueError(f"randomization.{spec.name} must be [low, high] with low <= high, got {value}")
                object.__setattr__(self, spec.name, tuple(value))
        for name in ("affine_probability", "strong_probability", "empty_probability"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"randomization.{name} must lie in [0, 1], got {getattr(self, name)}")
        unknown = set(self.strong_weights) - set(STRONG_OPERATIONS)
        if unknown:
            raise ValueError(f"unknown strong operation(s) {sorted(unknown)}; known: {list(STRONG_OPERATIONS)}")
        if self.crop_fraction[0] <= 0 or self.scale[0] <= 0:
            raise ValueError("randomization.crop_fraction and scale must be positive")

    @classmethod
    def nothing(cls) -> RandomizationConfig:
        """No randomization at all: every apply is the identity."""
        return cls(
            noise_sigma=(0.0, 0.0), gamma=(1.0, 1.0), crop_fraction=(1.0, 1.0), affine_probability=0.0,
            strong_probability=0.0, empty_probability=0.0,
        )

    @classmethod
    def from_yaml(cls, path: str | Path) -> RandomizationConfig:
        """Read the file's mapping.

        Raises:
            FileNotFoundError: no such file.
            ValueError: a key that does not exist, or a range that is none.
        """
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
        unknown = set(values) - {spec.name for spec in fields(cls)}
        if unknown:
            raise ValueError(f"{path}: unknown key(s) {sorted(unknown)}; known: {[spec.name for spec in fields(cls)]}")
        return cls(**values)
