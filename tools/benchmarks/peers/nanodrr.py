"""nanodrr: trilinear samples by PyTorch's ``grid_sample``, or by its fused kernel where there is a GPU."""

from __future__ import annotations

import numpy as np
import torch
from geometry import Shot
from nanodrr.camera import make_k_inv
from nanodrr.data import Subject
from nanodrr.drr import DRR
from torchio import ScalarImage
from volume_files import VolumeFiles


class Nanodrr:
    """``nanodrr.drr.DRR`` with as many samples as Joseph's method takes planes."""

    def __init__(self, device: str = "cpu") -> None:
        self._device = torch.device(device)

    def load(self, volume: VolumeFiles) -> None:
        """Gives the densities as they are: no conversion from Hounsfield units."""
        density, affine = torch.from_numpy(volume.density), volume.affine
        subject = Subject.from_images(ScalarImage(tensor=density[None], affine=affine), convert_to_mu=False)
        self._subject = subject.to(self._device)
        self._size, self._index_from_lps = np.array(density.shape), np.linalg.inv(affine[:3, :3])

    def aim(self, shot: Shot) -> None:
        """Makes its camera: x along columns, y along rows, z along the beam."""
        rows, columns = shot.shape
        distance = shot.source_to_detector_mm
        k_inv = make_k_inv(distance, shot.pixel_mm, shot.pixel_mm, 0.0, 0.0, rows, columns, dtype=torch.float32)
        self._drr = DRR(k_inv, torch.tensor([distance]), rows, columns).to(self._device)
        pose = np.eye(4)
        pose[:3] = np.stack(
            [shot.column_step / shot.pixel_mm, shot.row_step / shot.pixel_mm, shot.normal, shot.source], axis=1)
        self._pose = torch.tensor(pose[None], dtype=torch.float32, device=self._device)
        # it clips rays to a voxel beyond the outer centres, so this makes steps of one voxel along the main axis
        self._samples = int(self._size[np.abs(self._index_from_lps @ shot.normal).argmax()]) + 1

    @torch.inference_mode()
    def render(self) -> np.ndarray:
        """(R, C) float32, g/cm^3 mm."""
        return self._drr(self._subject, self._pose, n_samples=self._samples)[0, 0].cpu().numpy()
