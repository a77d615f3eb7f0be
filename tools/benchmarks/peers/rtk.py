"""RTK, the Reconstruction Toolkit: its forward projector after Joseph, on all cores."""

from __future__ import annotations

import itk
import numpy as np
from geometry import Shot
from volume_files import VolumeFiles

_IMAGE = itk.Image[itk.F, 3]


class Rtk:
    """``rtk::JosephForwardProjectionImageFilter``: bilinear in voxel planes, one sample a plane."""

    def load(self, volume: VolumeFiles) -> None:
        """Takes the volume over as an ITK image, x fastest as ITK has it."""
        affine = volume.affine
        spacing = np.linalg.norm(affine[:3, :3], axis=0)
        self._volume = itk.image_from_array(np.ascontiguousarray(volume.density.transpose(2, 1, 0)))
        self._volume.SetSpacing(spacing.tolist())
        self._volume.SetOrigin(affine[:3, 3].tolist())
        self._volume.SetDirection(itk.matrix_from_array(affine[:3, :3] / spacing))

    def aim(self, shot: Shot) -> None:
        """Sets geometry and an empty picture; the detector's origin is its middle."""
        geometry = itk.RTK.ThreeDCircularProjectionGeometry.New()
        point, vector = itk.Point[itk.D, 3], itk.Vector[itk.D, 3]
        along = [(step / shot.pixel_mm).tolist() for step in (shot.column_step, shot.row_step)]
        added = geometry.AddProjection(
            point(shot.source.tolist()), point(shot.detector_center.tolist()), vector(along[0]), vector(along[1]))
        if not added:
            raise ValueError("RTK refused the geometry")
        rows, columns = shot.shape
        self._empty = itk.RTK.ConstantImageSource[_IMAGE].New()
        self._empty.SetSize([columns, rows, 1])
        self._empty.SetSpacing([shot.pixel_mm, shot.pixel_mm, 1.0])
        self._empty.SetOrigin([-(columns - 1) / 2 * shot.pixel_mm, -(rows - 1) / 2 * shot.pixel_mm, 0.0])
        self._empty.SetConstant(0.0)
        self._projector = itk.RTK.JosephForwardProjectionImageFilter[_IMAGE, _IMAGE].New()
        self._projector.SetInput(0, self._empty.GetOutput())
        self._projector.SetInput(1, self._volume)
        self._projector.SetGeometry(geometry)

    def render(self) -> np.ndarray:
        """(R, C) float32, g/cm^3 mm."""
        self._empty.Modified()
        self._projector.Update()
        return itk.array_from_image(self._projector.GetOutput())[0]
