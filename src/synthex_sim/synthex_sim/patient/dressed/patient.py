"""A patient made of a label map without a CT."""

from __future__ import annotations

import numpy as np

from synthex_sim import anatomy
from synthex_sim.patient.ct_patient import LoadedPatient
from synthex_sim.patient.dressed import bone, cavity, tissue
from synthex_sim.patient.dressed.body import body_of, grid_around, skin_distances
from synthex_sim.patient.dressed.input_labels import input_labels
from synthex_sim.patient.label_map import label_map
from synthex_sim.patient.label_scheme import LabelScheme
from synthex_sim.patient.landmarks.find import find_landmarks
from synthex_sim.patient.patient import Patient
from synthex_sim.patient.phantom.dress import Dresser
from synthex_sim.patient.phantom.parameters import draw_person
from synthex_sim.patient.phantom.shapes import Grid
from synthex_sim.patient.phantom.texture import noise
from synthex_sim.patient.volume import Volume
from synthex_sim.random_streams import Purpose, stream

_SPACINGS_MM = (0.75, 6.0)
_HIPS = (anatomy.LEFT_HEMIPELVIS, anatomy.RIGHT_HEMIPELVIS)
_BACK = (anatomy.UPPER_SACRUM, anatomy.VERTEBRAE)
#: Depths below the skin: where nothing of the cavity is, and of the belly's wall where none was drawn.
_SKIN_AND_FAT_MM, _WALL_MM = 5.0, 30.0
#: How far below the hip centres bowel reaches, mm.
_LOW_MM = 15.0
#: From the top of the symphysis to the middle of the bladder.
_BLADDER_MM = np.array([0.0, 28.0, 18.0])


def dressed_patient(labels: Volume, scheme: LabelScheme | None = None, mask: Volume | None = None, seed: int = 0,
                    spacing_mm: float = 1.5) -> LoadedPatient:  # fmt: skip
    """Gives a label map Hounsfield units.

    Args:
        labels: label map with both hip bones, and as much else as was labelled; slices up to about 5 mm.
        scheme: what its ids mean; None for the project's own. Structures beyond the six bones are muscles unless their
            names say otherwise.
        mask: the body, on the same grid; None to take what lies around the labels.
        seed: of densities, fat where no mask shows it, bowel and texture.
        spacing_mm: edge of the cubic voxels, 0.75 to 6.

    Returns:
        a patient named ``dressed-<seed>`` in the label map's LPS frame, with int16 HU, uint8 labels smoothed on the new
        grid, and the landmarks that were found on them; notes say which were not.

    Raises:
        ValueError: a spacing out of range, or a label map or mask that cannot be used.
    """
    low, high = _SPACINGS_MM
    if not low <= spacing_mm <= high:
        raise ValueError(f"voxels of {spacing_mm:g} mm were asked for; {low:g} to {high:g} mm are possible")
    rng = stream(seed, 0, Purpose.ANATOMY)
    person = draw_person(seed, rng)
    drawn = input_labels(label_map(labels.values, labels.affine, scheme), labels.affine, mask)
    if not all((drawn.labels == hip).any() for hip in _HIPS):
        raise ValueError("a label map that is to be dressed needs both hip bones")
    body = body_of(drawn, person.fat_mm)
    grid = grid_around(body, drawn, spacing_mm)
    solids, muscles = bone.bone_solids(drawn, grid), tissue.muscle_solids(drawn, grid)
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine[:3, 3] = grid.origin_mm
    named = _labels(solids, muscles, grid)
    found = find_landmarks(named, affine)
    skin = skin_distances(body, drawn, grid)

    hu = np.empty(grid.shape, np.float32)
    tissue.fill_tissue(hu, skin, muscles, drawn, person, grid, rng)
    _fill_cavity(hu, named, skin, found.points, grid, rng)
    bone.add_discs(hu, solids, grid)
    texture = 0.6 * noise(rng, grid, 1.2) + 0.8 * noise(rng, grid, 4.0)
    heads = {name[-1]: point for name, point in found.points.items() if name.startswith("FH")}
    bone.add_bones(Dresser(hu, named, grid, person, texture), solids, heads, grid, rng)
    volume = np.clip(np.rint(hu), -1024, 3000).astype(np.int16)
    patient = Patient(f"dressed-{seed}", volume, affine, named, found.points, structures=drawn.structures)
    return LoadedPatient(patient, (*labels.notes, *_notes(found.refused, mask)))


def _labels(solids: dict[int, tuple], muscles: dict[int, tuple], grid: Grid) -> np.ndarray:
    named = np.zeros(grid.shape, np.uint8)
    for label, (block, _, field) in (*muscles.items(), *solids.items()):
        named[block][field < 0] = label
    return named


def _fill_cavity(hu, named, skin, landmarks, grid, rng) -> None:
    solid = named > 0
    heads = [landmarks[name] for name in ("FH-l", "FH-r") if name in landmarks]
    hips = np.flatnonzero(np.isin(named, _HIPS).any(axis=(0, 1)))
    low_mm = float(heads[0][2]) - _LOW_MM if heads else grid.origin_mm[2] + grid.spacing_mm * float(np.median(hips))
    space = cavity.cavity_distances(solid, skin < -_SKIN_AND_FAT_MM, low_mm, grid)
    if space is None:  # no belly wall was drawn: one along the skin, and the back from the spine on
        walls = solid | (skin > -_WALL_MM)
        walls[:, int(np.median(np.nonzero(np.isin(named, _BACK))[1])) if np.isin(named, _BACK).any() else -1:] = True
        space = cavity.cavity_distances(walls, skin < -_SKIN_AND_FAT_MM, low_mm, grid)
    if space is None:
        return
    ends = [landmarks[name] for name in ("SPS-l", "SPS-r") if name in landmarks]
    cavity.fill_cavity(hu, space, grid, np.mean(ends, axis=0) + _BLADDER_MM if ends else None, rng)


def _notes(refused: dict[str, str], mask: Volume | None) -> list[str]:
    notes = ["Hounsfield units were made up: only the outlines of this patient are real"]
    if mask is None:
        notes.append("no body mask was given; the skin was put around the labels")
    if refused:
        notes.append(f"landmarks that were not found: {', '.join(refused)}")
    return notes
