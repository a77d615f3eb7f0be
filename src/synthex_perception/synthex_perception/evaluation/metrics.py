"""How good detections are, against the truth of the same image. Numbers carry their n, errors their activation rate."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from synthex_perception.inference.detections import Detections
from synthex_sim.anatomy import BONE_LABELS, MANIPULATOR, MANIPULATOR_LANDMARKS


@dataclass(frozen=True, eq=False)
class Truth:
    """What is in one image.

    Attributes:
        mask: (R, C) uint8 label ids.
        landmarks: (L, 2) float (column, row); NaN where there is none: no manipulator in the scene, or a patient whose
            anatomical landmarks nobody marked.
        visible: (L,) bool, in the image.
        pixel_spacing_mm: on the detector.
        isocentre_scale: SAD / SDD, detector millimetres -> millimetres at the isocentre.
    """

    mask: np.ndarray
    landmarks: np.ndarray
    visible: np.ndarray
    pixel_spacing_mm: float
    isocentre_scale: float


def truth_of(sample) -> Truth:
    """The truth of a data set's sample."""
    sdd_mm = abs(float(sample.intrinsics[0, 0])) * sample.pixel_spacing_mm
    visible = np.asarray(sample.visible, dtype=bool) & np.isfinite(sample.landmarks).all(axis=1)
    return Truth(
        sample.mask, sample.landmarks, visible, sample.pixel_spacing_mm, sample.source_to_isocenter_mm / sdd_mm
    )


def dice(prediction: np.ndarray, truth: np.ndarray) -> float:
    """2 |A and B| / (|A| + |B|) of two bool masks; NaN where both are empty (counted nowhere, reported apart)."""
    total = int(np.count_nonzero(prediction)) + int(np.count_nonzero(truth))
    return 2.0 * int(np.count_nonzero(prediction & truth)) / total if total else float("nan")


@dataclass
class Evaluation:
    """Collects images and sums them up. ``add`` each image, then ``summary``."""

    label_names: tuple[str, ...]
    landmark_names: tuple[str, ...]
    _dice: dict[int, list[float]] = field(default_factory=dict)
    _absent: dict[int, list[bool]] = field(default_factory=dict)
    _errors: list[np.ndarray] = field(default_factory=list)
    _scales: list[tuple[float, float]] = field(default_factory=list)
    _known: list[np.ndarray] = field(default_factory=list)
    _seen: list[np.ndarray] = field(default_factory=list)
    _active: list[np.ndarray] = field(default_factory=list)

    def add(self, found: Detections, truth: Truth) -> None:
        """Compare one image."""
        for label in range(1, len(self.label_names)):
            there, said = truth.mask == label, found.mask == label
            if there.any():
                self._dice.setdefault(label, []).append(dice(said, there))
            else:
                self._absent.setdefault(label, []).append(bool(said.any()))
        self._errors.append(np.linalg.norm(found.landmarks - truth.landmarks, axis=1))
        self._scales.append((truth.pixel_spacing_mm, truth.isocentre_scale))
        # A patient has its anatomy, marked or not: without a true pixel nothing can be said about what was found.
        # The manipulator is known to be absent then.
        manipulators = np.array([name in MANIPULATOR_LANDMARKS for name in self.landmark_names])
        self._known.append(np.isfinite(truth.landmarks).all(axis=1) | manipulators)
        self._seen.append(np.asarray(truth.visible, dtype=bool))
        self._active.append(np.asarray(found.visible, dtype=bool))

    def summary(self) -> dict:
        """Plain numbers, ready for JSON; None where nothing was counted."""
        structures = {self.label_names[label]: self._structure(label) for label in range(1, len(self.label_names))}
        bones = [structures[self.label_names[k]]["dice"] for k in BONE_LABELS if k < len(self.label_names)]
        bones = [value for value in bones if value is not None]
        hip = [i for i, name in enumerate(self.landmark_names) if name not in MANIPULATOR_LANDMARKS]
        tool = [i for i, name in enumerate(self.landmark_names) if name in MANIPULATOR_LANDMARKS]
        result = {
            "images": len(self._errors),
            "hip_dice": float(np.mean(bones)) if bones else None,
            "structures": structures,
            "hip_landmarks": self._landmarks(hip),
            "landmarks": {name: self._landmarks([i]) for i, name in enumerate(self.landmark_names)},
        }
        if MANIPULATOR < len(self.label_names):
            result["cm_dice"] = structures[self.label_names[MANIPULATOR]]["dice"]
        if tool:
            result["cm_landmarks"] = self._landmarks(tool)
        return result

    def _structure(self, label: int) -> dict:
        """Dice over the images that show the structure; false positive rate over those that do not."""
        present, absent = self._dice.get(label, []), self._absent.get(label, [])
        return {
            "dice": float(np.mean(present)) if present else None,
            "dice_sd": float(np.std(present, ddof=1)) if len(present) > 1 else None,
            "images": len(present),
            "false_positive_rate": float(np.mean(absent)) if absent else None,
            "images_without": len(absent),
        }

    def _landmarks(self, indices: list[int]) -> dict:
        """Errors over landmarks that are in the image and were reported; activation over all that are in the image;
        false activation over all that are known not to be."""
        if not self._errors or not indices:
            return {"visible": 0, "activated": 0, "activation": None, "false_activation": None}
        pixels = np.stack(self._errors)[:, indices]
        seen, active = np.stack(self._seen)[:, indices], np.stack(self._active)[:, indices]
        spacing, scale = (np.array(column)[:, None] for column in zip(*self._scales, strict=True))
        absent = np.stack(self._known)[:, indices] & ~seen
        counted = seen & active & np.isfinite(pixels)
        result = {
            "visible": int(seen.sum()),
            "activated": int(counted.sum()),
            "activation": float(counted.sum() / seen.sum()) if seen.any() else None,
            "false_activation": float((active & absent).sum() / absent.sum()) if absent.any() else None,
        }
        for name, values in (
            ("error_px", pixels),
            ("error_detector_mm", pixels * spacing),
            ("error_isocentre_mm", pixels * spacing * scale),
        ):
            kept = values[counted]
            result[name] = _statistics(kept) if kept.size else None
        return result


def _statistics(values: np.ndarray) -> dict[str, float]:
    """Mean, its 95 % confidence half width (1.96 sd / sqrt n), sd, median and 95th percentile."""
    sd = float(values.std(ddof=1)) if values.size > 1 else 0.0
    return {
        "mean": float(values.mean()),
        "ci95": 1.96 * sd / values.size**0.5,
        "sd": sd,
        "median": float(np.median(values)),
        "p95": float(np.percentile(values, 95)),
    }
