"""``generate_dataset``: renders a labelled data set, or finishes an interrupted one."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from cm_kinematics.geometry import load_geometry
from synthex_sim import anatomy
from synthex_sim.carm.carm import CArm
from synthex_sim.dataset.contact_sheet import write_contact_sheet
from synthex_sim.dataset.generate import generate
from synthex_sim.dataset.reader import open_dataset
from synthex_sim.dataset.tasks.session import SessionTask
from synthex_sim.dataset.tasks.task import Task
from synthex_sim.patient.collections.provenance import find_provenance
from synthex_sim.patient.source import load_checked_patient
from synthex_sim.xray.renderer import RENDERERS
from synthex_sim.xray.simulator import PROJECTORS, XraySimulator
from synthex_sim.yaml_file import read_mapping

TASKS = {SessionTask.name: SessionTask}


def main(arguments: list[str] | None = None) -> int:
    """Command line entry; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        _run(options)
    except (OSError, ValueError, KeyError) as error:
        print(f"generate_dataset: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; the same command goes on from here", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="generate_dataset", description=__doc__)
    parser.add_argument("--task", default="session", help=f"one of {', '.join(TASKS)}")
    parser.add_argument("--n", type=int, default=200, help="number of images")
    parser.add_argument("--seed", type=int, default=1, help="seed of the whole set")
    parser.add_argument("--out", type=Path, help="folder of the data set (default: runs/datasets/TASK)")
    parser.add_argument("--config-folder", type=Path, default=Path("config"), help="folder with tasks/, carm/ and cm/")
    parser.add_argument("--patient", default="", help="image this CT or phantom:SEED only, for validation")
    parser.add_argument("--labels", default="", help="label map of that CT")
    parser.add_argument("--label-scheme", default="",
                        help="what its ids mean: a name in CONFIG_FOLDER/labels or a file")
    parser.add_argument("--landmarks", default="",
                        help="landmarks marked on that CT in 3D Slicer (.mrk.json, .fcsv); others are found")
    parser.add_argument("--carm", default="cios_fusion", help="C-arm profile in CONFIG_FOLDER/carm")
    parser.add_argument("--renderer", default="realistic", choices=tuple(RENDERERS), help="X-ray physics")
    parser.add_argument("--projector", default="cpu", choices=tuple(PROJECTORS), help="where rays are cast")
    parser.add_argument("--cm", default="notched_27", help="manipulator in CONFIG_FOLDER/cm")
    return parser


def _run(options: argparse.Namespace) -> None:
    task = _make_task(options)
    carm = CArm.from_yaml(options.config_folder / "carm" / f"{options.carm}.yaml")
    folder = options.out or Path("runs/datasets") / options.task
    progress = _Progress()
    provenance = find_provenance([options.patient, options.labels])
    for entry in provenance:
        print(f"of the collection {entry.collection}: {', '.join(entry.licences)}; {', '.join(entry.restrictions)}")
    simulator = XraySimulator(carm, options.renderer, options.projector)
    generate(task, simulator, folder, options.n, options.seed, progress, provenance)
    progress.close()
    sheet = folder / "contact_sheet.png"
    write_contact_sheet(open_dataset(folder), sheet)
    print(f"{options.n} images in {folder}; a page of them: {sheet}")


def _make_task(options: argparse.Namespace) -> Task:
    if options.task not in TASKS:
        raise ValueError(f"unknown task '{options.task}'; known: {', '.join(TASKS)}")
    path = options.config_folder / "tasks" / f"{options.task}.yaml"
    if not path.is_file():
        raise FileNotFoundError(f"no configuration for task '{options.task}': {path} does not exist")
    carm = CArm.from_yaml(options.config_folder / "carm" / f"{options.carm}.yaml")
    geometry = load_geometry(options.config_folder / "cm" / f"{options.cm}.yaml")
    patient = None
    if not options.patient and (options.labels or options.label_scheme or options.landmarks):
        raise ValueError("--labels, --label-scheme and --landmarks go with --patient, and none is given")
    if options.patient:
        schemes = str(options.config_folder / "labels")
        loaded = load_checked_patient(options.patient, options.labels, options.label_scheme, schemes,
                                      landmarks=options.landmarks)
        for note in loaded.notes:
            print(f"note: {note}")
        if loaded.patient is None:
            raise ValueError("patient none has nothing to image; leave --patient away for the population of phantoms")
        patient = loaded.patient
        if patient.labels is None or not np.isin(patient.labels, anatomy.BONE_LABELS).any():
            raise ValueError(
                f"patient '{options.patient}' shows none of the structures that task '{options.task}' labels "
                f"({', '.join(anatomy.LABEL_NAMES[label] for label in anatomy.BONE_LABELS)}); a CT needs --labels"
            )
    return TASKS[options.task](read_mapping(path, "task"), carm, geometry, patient)


class _Progress:
    """A line with rate and time left: in place on a terminal, every ten seconds elsewhere."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._shown = 0.0
        self._first: int | None = None
        self._terminal = sys.stdout.isatty()

    def __call__(self, done: int, count: int) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first = done
        if done < count and now - self._shown < (0.5 if self._terminal else 10.0):
            return
        self._shown = now
        rate = (done - self._first) / max(now - self._start, 1e-9)
        left = f"{(count - done) / rate:.0f} s left" if rate > 0 else "..."
        print(f"\rrendered {done}/{count}, {rate:.1f} images/s, {left}   ", end="" if self._terminal else "\n",
              flush=True)

    def close(self) -> None:
        if self._terminal:
            print()


if __name__ == "__main__":
    sys.exit(main())
