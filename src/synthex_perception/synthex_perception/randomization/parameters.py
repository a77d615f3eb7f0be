"""Drawing: everything random about one image of one epoch, as plain numbers that can be looked at and replayed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from synthex_perception.randomization.config import RandomizationConfig


@dataclass(frozen=True)
class StrongOperation:
    """One drawn operation of the strong list: its name and its numbers."""

    name: str
    values: dict


@dataclass(frozen=True)
class SampleParameters:
    """What will be done to one image.

    Attributes:
        affine: (3, 3) float64, maps normalised input coordinates (x right, y down, the image is [-1, 1]^2) to output.
        gamma: exponent.
        noise_sigma: fraction of the image's range.
        strong: operations in the order of application.
        empty_noise: relative noise of an empty exposure that replaces the image; None keeps it.
        noise_seed: seed of every field of noise on this image.
    """

    affine: np.ndarray
    gamma: float
    noise_sigma: float
    strong: tuple[StrongOperation, ...]
    empty_noise: float | None
    noise_seed: int


def sample_generator(seed: int, sample: int, epoch: int) -> torch.Generator:
    """The random stream of one image in one epoch; independent of batch, order and of every other stream."""
    state = np.random.SeedSequence([seed, sample, epoch]).generate_state(1, np.uint64)[0]
    generator = torch.Generator()
    generator.manual_seed(int(state) & (2**63 - 1))
    return generator


def draw(config: RandomizationConfig, seed: int, sample: int, epoch: int) -> SampleParameters:
    """Draw the parameters of image ``sample`` in ``epoch``: the same arguments give the same parameters anywhere."""
    dice = _Dice(sample_generator(seed, sample, epoch))
    affine = _draw_affine(config, dice)
    gamma, noise_sigma = dice.uniform(config.gamma), dice.uniform(config.noise_sigma)
    strong = _draw_strong(config, dice)
    empty_noise = dice.uniform(config.empty_noise) if dice.chance(config.empty_probability) else None
    return SampleParameters(affine, gamma, noise_sigma, strong, empty_noise, dice.integer(0, 2**31 - 1))


class _Dice:
    """Scalars from one generator, drawn in blocks because a torch call costs more than the number."""

    def __init__(self, generator: torch.Generator) -> None:
        self._generator = generator
        self._stock: list[float] = []

    def unit(self) -> float:
        if not self._stock:
            self._stock = torch.rand(64, generator=self._generator, dtype=torch.float64).tolist()
        return self._stock.pop()

    def uniform(self, limits: tuple[float, float]) -> float:
        return limits[0] + (limits[1] - limits[0]) * self.unit()

    def integer(self, low: int, high: int) -> int:
        """low <= n <= high."""
        return min(high, low + int(self.unit() * (high - low + 1)))

    def chance(self, probability: float) -> bool:
        return self.unit() < probability


def _draw_affine(config: RandomizationConfig, dice: _Dice) -> np.ndarray:
    crop = dice.uniform(config.crop_fraction)
    crop_x, crop_y = (dice.uniform((crop - 1.0, 1.0 - crop)) for _ in range(2))
    # A square crop, enlarged to the full image again, is a zoom about the crop's centre.
    zoom = np.array([[1 / crop, 0, -crop_x / crop], [0, 1 / crop, -crop_y / crop], [0, 0, 1]])
    angle, shear = math.radians(dice.uniform(config.rotation_deg)), math.radians(dice.uniform(config.shear_deg))
    scale = dice.uniform(config.scale)
    shift = [2.0 * dice.uniform(config.translation_fraction) for _ in range(2)]
    if not dice.chance(config.affine_probability):
        return zoom
    rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    linear = scale * rotation @ np.array([[1.0, math.tan(shear)], [0.0, 1.0]])
    return zoom @ np.block([[linear, np.array(shift)[:, None]], [np.array([[0.0, 0.0, 1.0]])]])


def _draw_strong(config: RandomizationConfig, dice: _Dice) -> tuple[StrongOperation, ...]:
    if config.strong_max_operations < 1 or not dice.chance(config.strong_probability):
        return ()
    weights = {name: weight for name, weight in config.strong_weights.items() if weight > 0}
    chosen = []
    for _ in range(dice.integer(1, config.strong_max_operations)):
        if not weights:
            break
        point, total = dice.unit() * sum(weights.values()), 0.0
        for name, weight in weights.items():  # noqa: B007 - the one it stops at is used
            total += weight
            if point < total:
                break
        weights.pop(name)
        chosen.append(StrongOperation(name, _draw_values(name, config, dice)))
    return tuple(chosen)


def _draw_values(name: str, config: RandomizationConfig, dice: _Dice) -> dict:
    if name == "invert":
        return {}
    if name == "contrast":
        kind = ("linear", "log", "sigmoid")[dice.integer(0, 2)]
        gain = dice.uniform(config.sigmoid_gain if kind == "sigmoid" else config.contrast_gain)
        return {"kind": kind, "gain": gain, "cutoff": dice.uniform((0.4, 0.6))}
    if name == "blur":
        return {"sigma_px": dice.uniform(config.blur_sigma_px)}
    if name == "boxes":
        return {"boxes": tuple(_draw_box(config, dice) for _ in range(dice.integer(*config.box_count))),
                "noise_sigma": config.box_noise_sigma}
    if name == "dropout":
        return {"fraction": dice.uniform(config.dropout_fraction),
                "box": _draw_box(config, dice) if dice.chance(0.5) else None}
    if name == "multiply":
        return {"factor": config.multiply, "each_pixel": True} if dice.chance(0.5) else {
            "factor": dice.uniform(config.multiply), "each_pixel": False}
    if name == "shading":
        amplitudes = [dice.uniform((-config.shading_amplitude, config.shading_amplitude)) for _ in range(9)]
        return {"grid": tuple(amplitudes)}
    if name == "pool":
        return {"kernel_px": dice.integer(*config.pool_kernel_px), "kind": ("avg", "max", "min")[dice.integer(0, 2)]}
    raise ValueError(f"unknown strong operation {name}")


def _draw_box(config: RandomizationConfig, dice: _Dice) -> tuple[float, float, float, float]:
    """(top, left, height, width) as fractions of the image."""
    height, width = dice.uniform(config.box_side_fraction), dice.uniform(config.box_side_fraction)
    return dice.uniform((0.0, 1.0 - height)), dice.uniform((0.0, 1.0 - width)), height, width
