"""A patient whose hip bones and sacrum are samples of shape models."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from synthex_sim.patient.ct_patient import LoadedPatient
from synthex_sim.patient.landmarks.find import find_landmarks
from synthex_sim.patient.phantom.build import assemble
from synthex_sim.patient.phantom.frame import Pelvis
from synthex_sim.patient.phantom.parameters import draw_person
from synthex_sim.patient.shape_model.atlas import Atlas, load_atlas
from synthex_sim.patient.shape_model.bones import CenteredPelvis, SampledBones, upper_sacrum_points
from synthex_sim.patient.shape_model.placement import place, sampled_hip
from synthex_sim.patient.shape_model.statismo import MOST_SD
from synthex_sim.random_streams import Purpose, stream

_SPACINGS_MM = (0.5, 6.0)
#: Correlation of the coefficients of a person's two hip bones: they differ by 1 to 2 mm.
_ALIKE = 0.95


def shape_model_patient(folder: Path, seed: int = 0, spacing_mm: float = 1.5) -> LoadedPatient:
    """Makes a patient: sampled pelvic bones, and the phantom's femora, spine, soft tissue and densities.

    Args:
        folder: with ``LeftHip.h5``, ``RightHip.h5`` and ``Sacrum.h5`` in the statismo layout.
        seed: which person.
        spacing_mm: edge of the cubic voxels, 0.5 to 6.

    Returns:
        a patient named ``shape-model-<seed>`` like one of ``make_phantom``; its landmarks are found on its bones.

    Raises:
        FileNotFoundError: the folder lacks one of the files.
        ValueError: a file that is no shape model of this bone, or a spacing out of range.
    """
    low, high = _SPACINGS_MM
    if not low <= spacing_mm <= high:
        raise ValueError(f"voxels of {spacing_mm:g} mm were asked for; {low:g} to {high:g} mm are possible")
    atlas = load_atlas(folder)
    rng = stream(seed, 0, Purpose.ANATOMY)
    person = draw_person(seed, rng)
    pelvis, bones = sample_pelvis(atlas, Pelvis.of(person), rng)
    patient = assemble(f"shape-model-{seed}", pelvis, bones, rng, spacing_mm)
    found = find_landmarks(patient.labels, patient.affine)
    notes = ["hip bones and sacrum are samples of a shape model; all else is the phantom's"]
    if found.refused:
        notes.append(f"landmarks that were not found: {', '.join(found.refused)}")
    return LoadedPatient(replace(patient, landmarks=found.points), tuple(notes))


def sample_pelvis(atlas: Atlas, pelvis: Pelvis, rng: np.random.Generator) -> tuple[CenteredPelvis, SampledBones]:
    """Draws and places the bones of one person.

    Both hip bones are samples of one side's model, the left one's or the right one's by chance, one of them mirrored:
    the modes of two separate models do not correspond, and drawn apart the two would be bones of two people.
    """
    source = "lr"[int(rng.integers(2))]
    model = atlas.hips[source]
    both = model.draw(rng)
    other = np.clip(_ALIKE * both + np.sqrt(1 - _ALIKE**2) * model.draw(rng), -MOST_SD, MOST_SD)
    hips = {1: sampled_hip(atlas, source, both, 1), -1: sampled_hip(atlas, source, other, -1)}
    reference = upper_sacrum_points(pelvis)
    placed = place(pelvis, hips, atlas.sacrum.shape(atlas.sacrum.draw(rng)), atlas.sacrum, reference)
    person = replace(pelvis.person, head_radius_mm=placed.socket_mm - pelvis.person.hip_gap_mm)
    centered = CenteredPelvis(person, pelvis.rotation, placed.centers[1], placed.centers[-1])
    return centered, SampledBones(centered, placed, atlas.sacrum.faces, reference)
