"""Whose planned landmarks navigation may know when a recording is played: those of whom it shows."""

from __future__ import annotations

from pathlib import Path

from ..recording.bag_reader import bag_folder
from ..recording.details import RecordingDetails

#: A plan without landmarks: the pelvis stays unknown.
NO_PLAN = "none"
_PHANTOM = "phantom:"


def run_of(bag: Path) -> Path:
    """The folder that a bag's folder lies in; of a file that lies in no bag's folder, its own.

    Args:
        bag: as of ``SessionBag``.

    Raises:
        BagError: nothing there is a bag.
    """
    path = bag_folder(bag)
    folder = path if path.is_dir() else path.parent
    return folder.parent if (folder / "metadata.yaml").exists() else folder


def recorded_patient(bag: Path) -> str:
    """What was imaged, in the words of the ``recording.json`` of the bag's run; empty without one.

    Args:
        bag: as of ``SessionBag``.

    Raises:
        BagError: nothing there is a bag.
        ValueError: ``recording.json`` is damaged.
    """
    return RecordingDetails.read(run_of(bag)).patient


def plan_for(given: str, patient: str) -> str:
    """The plan to navigate a recording with.

    Args:
        given: ``phantom:SEED``, ``none``, or empty for that of the recording.
        patient: whom the recording shows (``recorded_patient``).

    Returns:
        ``phantom:SEED``, or ``none`` where no landmarks of the patient are known.

    Raises:
        ValueError: another plan, or one of somebody else: the pelvis would be put where it is not.
    """
    if not given:
        return patient if patient.startswith(_PHANTOM) else NO_PLAN
    if given != NO_PLAN and not given.startswith(_PHANTOM):
        raise ValueError(f"plan '{given}' is neither {_PHANTOM}SEED nor {NO_PLAN}")
    if given != NO_PLAN and patient and given != patient:
        raise ValueError(f"plan {given} is not of whom the recording shows ({patient})")
    return given
