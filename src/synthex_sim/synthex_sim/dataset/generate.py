"""Generating a data set: shard after shard, resumable after any kill, the same bytes each time.

Sample i depends only on (config, seed, i) and the code. A shard exists only when it is whole, so a killed run goes on
with the first shard that is missing; the manifest is written last and marks the set as finished.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from synthex_sim.carm.beam import volume_corners, why_missed
from synthex_sim.dataset.manifest import MANIFEST_NAME, Manifest, ShardEntry
from synthex_sim.dataset.shards import Sample, sha256, write_shard
from synthex_sim.dataset.tasks.task import DrawnScene, Task
from synthex_sim.dataset.terms import task_provenance
from synthex_sim.patient.collections.provenance import Provenance, merged, refuse_testing_only
from synthex_sim.patient.patient import Patient
from synthex_sim.version import code_version
from synthex_sim.whole_files import write_whole
from synthex_sim.xray.simulator import XraySimulator

SHARD_SIZE = 64
_ORDER_NAME = "order.json"


def generate(
    task: Task, simulator: XraySimulator, folder: Path, count: int, seed: int, progress: Callable[[int, int], None],
    provenance: Sequence[Provenance] = (),
) -> Manifest:
    """Renders ``count`` samples into ``folder``, or finishes what an earlier run of the same order left there.

    Args:
        progress: called with (samples done, count) after every sample.
        provenance: public collections that a given patient comes from, beside those of the files that the task's
            configuration names; the manifest carries all of them on.

    Raises:
        ValueError: an impossible count, or the folder holds another data set or one begun by another code version; or
            data for testing only are among those for training.
        OSError: the folder cannot be written; what was whole before stays.
    """
    if count < len(task.patient_names):
        raise ValueError(f"n must be at least {len(task.patient_names)}, one image for each patient, got {count}")
    provenance = merged(provenance, task_provenance(task.config))
    if any(split == "train" for split, _, _ in _plan(task, count)):
        refuse_testing_only(provenance, "training")
    folder.mkdir(parents=True, exist_ok=True)
    _claim(folder, task, count, seed)
    patients = _PatientOfTheHour(task, seed)
    shards = []
    for split, first, size in _plan(task, count):
        path = folder / f"{split}-{first:06d}.h5"
        if path.is_file():
            digest = sha256(path)
        else:
            samples = []
            for index in range(first, first + size):
                samples.append(_render(task, simulator, patients, seed, index, count))
                progress(index + 1, count)
            digest = write_shard(path, samples, _attributes(task, split))
        shards.append(ShardEntry(path.name, split, first, size, digest))
        progress(first + size, count)
    manifest = Manifest(
        task=task.name,
        seed=seed,
        config=task.config,
        count=count,
        image_shape=task.image_shape,
        label_names=task.label_names,
        landmark_names=task.landmark_names,
        patients=task.patient_names,
        backend={"projector": simulator.projector.name, "renderer": simulator.renderer.name,
                 "machine": platform.machine()},
        code_version=code_version(),
        shards=tuple(shards),
        provenance=provenance,
    )
    manifest.write(folder)
    return manifest


class _PatientOfTheHour:
    """Holds one patient; samples come in blocks of the same one."""

    def __init__(self, task: Task, seed: int) -> None:
        self._task, self._seed = task, seed
        self._number: int | None = None
        self._patient: Patient | None = None

    def get(self, number: int) -> Patient:
        if number != self._number:
            self._patient = self._task.load_patient(number, self._seed)
            self._number = number
        return self._patient


def _plan(task: Task, count: int) -> list[tuple[str, int, int]]:
    """(split, first sample, size) of every shard: at most SHARD_SIZE samples, never two splits in one."""
    plan: list[tuple[str, int, int]] = []
    for index in range(count):
        split = task.split_of(task.patient_of(index, count))
        if plan and plan[-1][0] == split and plan[-1][2] < SHARD_SIZE:
            plan[-1] = (split, plan[-1][1], plan[-1][2] + 1)
        else:
            plan.append((split, index, 1))
    return plan


def _render(
    task: Task, simulator: XraySimulator, patients: _PatientOfTheHour, seed: int, index: int, count: int
) -> Sample:
    number = task.patient_of(index, count)
    drawn = task.draw(patients.get(number), number, seed, index)
    _check_aim(drawn, index)
    radiograph, annotation = simulator.acquire(
        drawn.scene, drawn.view, drawn.exposure, drawn.physics, seed, index, task.landmark_names
    )
    return Sample(
        image=radiograph.counts,
        mask=annotation.mask,
        landmarks=annotation.landmarks.astype(np.float32),
        depth_mm=annotation.depth_mm.astype(np.float32),
        visible=annotation.visible,
        intrinsics=drawn.view.intrinsics,
        world_to_camera=drawn.view.world_to_camera,
        pixel_spacing_mm=drawn.view.pixel_spacing_mm,
        source_to_isocenter_mm=drawn.source_to_isocenter_mm,
        open_field=round(radiograph.open_field),
        patient=number,
        index=index,
    )


def _check_aim(drawn: DrawnScene, index: int) -> None:
    """Raises ValueError where the beam misses the patient: an image of nothing would teach a network nothing.

    An overlay may lie outside of the beam, as a femur does in a picture of the other hip.
    """
    patient = drawn.scene.patient
    if patient is None:
        return
    corners = volume_corners(drawn.scene.patient_pose @ patient.affine, patient.hu.shape)
    if reason := why_missed(drawn.view, corners, patient.name):
        raise ValueError(f"sample {index} shows nothing of its patient: {reason}")


def _attributes(task: Task, split: str) -> dict[str, object]:
    return {
        "task": task.name,
        "split": split,
        "label_names": list(task.label_names),
        "landmark_names": list(task.landmark_names),
        "notice": "simulated; research only, not for clinical use",
    }


def _claim(folder: Path, task: Task, count: int, seed: int) -> None:
    """Writes what was ordered into the folder, or checks that the same was ordered before."""
    order = json.loads(json.dumps({
        "task": task.name, "seed": seed, "count": count, "config": task.config, "code_version": code_version(),
    }))
    path = folder / _ORDER_NAME
    if path.is_file():
        before = json.loads(path.read_text())
        if other := sorted(key for key in order if before.get(key) != order[key]):
            raise ValueError(
                f"{folder} holds another data set (its {', '.join(other)} differ{'s' if len(other) == 1 else ''}); "
                "choose another folder or delete this one"
            )
        return
    if (folder / MANIFEST_NAME).exists() or any(folder.glob("*.h5")):
        raise ValueError(f"{folder} holds files of a data set but no {_ORDER_NAME}; choose another folder")
    write_whole(path, json.dumps(order, indent=1) + "\n")
