"""DiffDRR: its trilinear renderer, PyTorch's ``grid_sample``."""

from __future__ import annotations

import numpy as np
import torch
from diffdrr.data import read
from diffdrr.drr import DRR
from diffdrr.pose import RigidTransform
from geometry import Shot, crossing, rays_in_voxels
from torchio import ScalarImage
from volume_files import VolumeFiles


class DiffDrr:
    """``diffdrr.drr.DRR`` (renderer "trilinear") with steps of one voxel along the main axis."""

    def load(self, volume: VolumeFiles) -> None:
        """Gives the densities as they are in place of those it makes of Hounsfield units."""
        self._affine = volume.affine
        self._density = torch.from_numpy(volume.density)
        image = ScalarImage(tensor=self._density[None], affine=self._affine)
        self._subject = read(image, orientation=None, center_volume=False)

    def aim(self, shot: Shot) -> None:
        """Makes its camera: x along columns, y against rows, z along the beam."""
        rows, columns = shot.shape
        self._drr = DRR(
            self._subject, sdd=shot.source_to_detector_mm, height=rows, width=columns, delx=shot.pixel_mm,
            renderer="trilinear", reverse_x_axis=False)
        self._drr.density = self._density
        pose = np.eye(4)
        pose[:3] = np.stack(
            [shot.column_step / shot.pixel_mm, -shot.row_step / shot.pixel_mm, shot.normal, shot.source], axis=1)
        self._pose = RigidTransform(torch.tensor(pose[None], dtype=torch.float32))
        self._points = self._points_needed(shot)

    def _points_needed(self, shot: Shot) -> int:
        """All its rays are sampled between the nearest entry and the farthest exit of any."""
        start, way = rays_in_voxels(shot, self._affine)
        enter, leave = crossing(start, way, np.full(3, -0.5), np.array(self._density.shape) + 0.5)
        main = np.abs(way[shot.shape[0] // 2, shot.shape[1] // 2]).argmax()
        return int(np.ceil((leave.max() - enter.min()) * np.abs(way[..., main]).max())) + 1

    @torch.inference_mode()
    def render(self) -> np.ndarray:
        """(R, C) float32, g/cm^3 mm."""
        return self._drr(self._pose, n_points=self._points)[0, 0].numpy()
