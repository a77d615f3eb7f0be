"""The named phantom of the benchmark: a torso with a pelvis, CT-like in density, edges and texture, the same anywhere.

``torso`` is 320 mm of an elliptic trunk (300 x 230 mm) that leaves no pixel of the Cios Fusion's field unfilled: fat
and muscle, a spine of vertebral bodies with discs between them, a sacrum, two hip bones as bent shells with sockets and
two femora. Bones are cortical shells (1050..1500 HU) about cancellous bone (180..430 HU); tissue varies smoothly over
centimetres and, as an image from a scanner does, from voxel to voxel (25 HU, correlated over a voxel), from a fixed
seed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, zoom

NAME = "torso"
#: Side of the cube it fills.
SIDE_MM = 320.0
#: What is darker is the air around it.
AIR_UP_TO_HU = -800
#: Half axes of the trunk's cross-section, left-right and front-back.
TRUNK_MM = (150.0, 115.0)
_AIR, _FAT, _MUSCLE = -1000.0, -90.0, 55.0
_SEED = 20231

#: Label ids as in ``synthex_sim.anatomy``.
LEFT_HEMIPELVIS, RIGHT_HEMIPELVIS, VERTEBRAE, SACRUM, LEFT_FEMUR, RIGHT_FEMUR = 1, 2, 3, 4, 5, 6


@dataclass(frozen=True)
class Bone:
    """An ellipsoid or (``tube``) an elliptic cylinder with a shell.

    Attributes:
        label: id of the structure.
        center: LPS mm, the trunk's middle being the origin.
        half_axes: mm; a tube's last one is half its length.
        shell_mm: thickness of the cortical shell; the rest is cancellous.
        cortical, cancellous: HU.
        hollow: cancellous part left as it is: a bent shell such as the ilium.
        low, high: corners of the box it is cut to, LPS mm.
        tube: a cylinder along z with flat ends.
    """

    label: int
    center: tuple[float, float, float]
    half_axes: tuple[float, float, float]
    shell_mm: float = 2.5
    cortical: float = 1200.0
    cancellous: float = 300.0
    hollow: bool = False
    low: tuple[float, float, float] = (-1e9, -1e9, -1e9)
    high: tuple[float, float, float] = (1e9, 1e9, 1e9)
    tube: bool = False


def _bones() -> list[Bone]:
    bones = []
    for level in range(5):
        z = 12.0 + 34.0 * level
        bones.append(Bone(VERTEBRAE, (0.0, 45.0, z), (24.0, 17.0, 13.5), 1.6, 1100.0, 260.0, tube=True))
        bones.append(Bone(VERTEBRAE, (0.0, 82.0, z), (5.0, 16.0, 9.0), 2.0, 1300.0, 420.0))
    bones.append(Bone(SACRUM, (0.0, 60.0, -45.0), (48.0, 20.0, 48.0), 2.0, 1150.0, 230.0))
    for sign, hip, femur in ((1.0, LEFT_HEMIPELVIS, LEFT_FEMUR), (-1.0, RIGHT_HEMIPELVIS, RIGHT_FEMUR)):
        # the wing of the ilium: the outer wall of an ellipsoid; the socket: three quarters of a sphere
        inner, outer = sorted((sign * 50.0, sign * 160.0))
        bones.append(Bone(hip, (sign * 40.0, 20.0, 30.0), (78.0, 70.0, 110.0), 6.0, 1050.0, hollow=True,
                          low=(inner, -55.0, -55.0), high=(outer, 90.0, 60.0)))
        bones.append(Bone(hip, (sign * 92.0, -10.0, -62.0), (31.0, 31.0, 31.0), 5.0, 1250.0, hollow=True,
                          low=(-160.0, -160.0, -75.0)))
        bones.append(Bone(hip, (sign * 45.0, -35.0, -95.0), (44.0, 13.0, 14.0), 2.5, 1250.0, 330.0))
        bones.append(Bone(femur, (sign * 92.0, -10.0, -64.0), (23.5, 23.5, 23.5), 2.0, 1300.0, 430.0))
        bones.append(Bone(femur, (sign * 112.0, 0.0, -130.0), (17.0, 17.0, 55.0), 6.0, 1500.0, 180.0, tube=True))
    return bones


def torso(side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The phantom on ``side`` x ``side`` x ``side`` voxels of SIDE_MM / side.

    Returns:
        hu: (I, J, K) int16, indexed along left, posterior, superior.
        labels: (I, J, K) uint8.
        affine: (4, 4) voxel index -> LPS mm; the trunk's middle is the origin.
    """
    spacing = SIDE_MM / side
    axis = ((np.arange(side) + 0.5) * spacing - SIDE_MM / 2).astype(np.float32)
    x, y = axis[:, None, None], axis[None, :, None]
    trunk = np.sqrt((x / TRUNK_MM[0]) ** 2 + (y / TRUNK_MM[1]) ** 2)
    hu = np.empty((side, side, side), np.float32)
    hu[:] = np.where(trunk > 1.0, _AIR, np.where(trunk > 0.9, _FAT, _MUSCLE))
    labels = np.zeros(hu.shape, np.uint8)
    for bone in _bones():
        _paint(bone, axis, hu, labels)
    inside = np.broadcast_to(trunk <= 1.0, hu.shape)
    hu += np.where(inside, _texture(side), np.float32(0.0))
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = axis[0]
    return np.clip(np.rint(hu), -1024, 3071).astype(np.int16), labels, affine


def without_air(
    hu: np.ndarray, labels: np.ndarray, affine: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same volume, labels and affine cut to the body's bounding box and one voxel of air, where there is one."""
    box = []
    for axis in range(3):
        used = np.flatnonzero((hu > AIR_UP_TO_HU).any(axis=tuple(a for a in range(3) if a != axis)))
        box.append(slice(max(int(used[0]) - 1, 0), int(used[-1]) + 2))
    shifted = affine.copy()
    shifted[:3, 3] += affine[:3, :3] @ [part.start for part in box]
    return np.ascontiguousarray(hu[tuple(box)]), np.ascontiguousarray(labels[tuple(box)]), shifted


def _paint(bone: Bone, axis: np.ndarray, hu: np.ndarray, labels: np.ndarray) -> None:
    """Draws one bone into its bounding box."""
    box = []
    for middle, half in zip(bone.center, bone.half_axes, strict=True):
        low, high = np.searchsorted(axis, [middle - half, middle + half])
        box.append(slice(int(low), int(high)))
    x, y, z = (axis[part] - middle for part, middle in zip(box, bone.center, strict=True))
    x, y, z = x[:, None, None], y[None, :, None], z[None, None, :]
    a, b, c = bone.half_axes
    thin = bone.shell_mm
    if bone.tube:
        whole = ((x / a) ** 2 + (y / b) ** 2 <= 1.0) & (np.abs(z) <= c)
        core = ((x / (a - thin)) ** 2 + (y / (b - thin)) ** 2 <= 1.0) & (np.abs(z) <= c - thin)
    else:
        whole = (x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2 <= 1.0
        core = (x / (a - thin)) ** 2 + (y / (b - thin)) ** 2 + (z / (c - thin)) ** 2 <= 1.0
    kept = np.ones(whole.shape, bool)
    for part, low, high, shape in zip(box, bone.low, bone.high, ((-1, 1, 1), (1, -1, 1), (1, 1, -1)), strict=True):
        kept &= ((axis[part] >= low) & (axis[part] <= high)).reshape(shape)
    shell = whole & ~core & kept
    filled = shell if bone.hollow else whole & kept
    hu[tuple(box)] = np.where(shell, bone.cortical, np.where(filled, bone.cancellous, hu[tuple(box)]))
    labels[tuple(box)] = np.where(filled, np.uint8(bone.label), labels[tuple(box)])


def _texture(side: int) -> np.ndarray:
    """(side, side, side) float32 HU: organs' slow variation and a scanner's noise."""
    rng = np.random.default_rng(_SEED)
    slow = gaussian_filter(rng.standard_normal((20, 20, 20)).astype(np.float32), 1.0)
    slow *= 30.0 / slow.std()
    result = zoom(slow, side / 20, order=1, grid_mode=True, mode="nearest")
    fast = rng.standard_normal((side, side, side), dtype=np.float32)
    gaussian_filter(fast, 0.7, output=fast, truncate=3.0)
    fast *= np.float32(25.0 / fast.std())
    result += fast
    return result
