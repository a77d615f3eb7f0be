"""Bone put into a volume: partial volume at the surface, cortex by depth, textured cancellous bone inside."""

from __future__ import annotations

import numpy as np

_MARROW_HU = -30.0


class Dresser:
    """Writes bones into a volume.

    Attributes:
        hu: (I, J, K) float32 volume that is written to, HU.
        labels: (I, J, K) uint8 label map that is written to.
        grid: where their voxels lie.
        person: whose densities these bones have.
        texture: (I, J, K) float32 noise of about unit variance, the trabeculae.
    """

    def __init__(self, hu, labels, grid, person, texture) -> None:
        self.hu, self.labels, self.grid, self.person, self.texture = hu, labels, grid, person, texture

    def __call__(self, block, field, label, cortex_mm, marrow=0.0, cancellous=1.0, where=None) -> None:
        """Args:
        block: slices of the volume.
        field: signed distance of the bone there, mm.
        label: anatomy id, or 0 for bone without one.
        cortex_mm: thickness of the shell, scalar or array.
        marrow: 0 to 1, share of fat instead of cancellous bone, scalar or array.
        cancellous: factor on the person's cancellous density.
        where: voxels that take the label (all of the bone if None).
        """
        person, h = self.person, self.grid.spacing_mm
        cover = np.clip(0.5 - field / h, 0, 1)
        shell = np.clip((cortex_mm + field) / h + 0.5, 0, 1)
        spongy = person.trabecular_hu * cancellous + person.texture_hu * self.texture[block]
        spongy = spongy * (1 - marrow) + _MARROW_HU * marrow
        bone = spongy + (person.cortex_hu + 0.6 * person.texture_hu * self.texture[block] - spongy) * shell
        view = self.hu[block]
        view += (bone - view) * cover
        inside = field < 0 if where is None else (field < 0) & where
        self.labels[block][inside] = label
