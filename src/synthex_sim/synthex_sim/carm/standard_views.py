"""The standard views of the pelvis by name: how far the arm is turned for each, and why that way.

Supine patient, tube under the table, detector above. A view is named by the line of its beam through the patient,
which is the same whether the patient is rolled under a fixed beam (the X-ray room) or the arm is turned about the
patient (here). ``orbital`` > 0 moves the detector to the patient's left, ``angular`` > 0 to the patient's head.

- **Inlet, outlet.** The inlet beam runs caudad from the front (tube above the table): from cranial-anterior to
  caudal-posterior. Here it runs along the same line the other way, so the detector stands cranial: angular > 0. The
  outlet beam runs cephalad from the front: angular < 0. Radiopaedia gives 25 to 40 degrees for the inlet and 20 to 35
  (men) or 30 to 45 (women) for the outlet. The angles at which sacral landmarks come out best in CT are 21 to 31 for
  the inlet and 38 to 63 for the outlet (Ricci 2010, a study of 2014, Chua). Ours are 40.
- **Judet views.** *Obturator oblique* of a hip: the supine patient is rolled 45 degrees so that the affected side is up
  (Radiopaedia: "the affected side is rotated roughly 45 degrees anterior"). What then points up in the room is the
  direction half way between the patient's front and the affected side, and along it the beam runs. Unrolled: the
  detector goes 45 degrees from the front to the affected side. For the left hip orbital = +45. It shows the ring of
  that side's obturator foramen en face and its iliac wing on edge. *Iliac oblique* of a hip: the other side is up, so
  the detector goes to the other side; for the left hip orbital = -45. It shows that side's iliac wing en face and its
  obturator foramen closed. So one exposure of the whole pelvis is the obturator oblique of one side and the iliac
  oblique of the other; the two names differ in the hip one aims at.
- **Lateral.** Detector at the patient's left.

Sources: radiopaedia.org "Pelvis (inlet view)", "Pelvis (outlet view)", "Pelvis (Judet view)", revision of March 2023;
Ricci et al., J Bone Joint Surg Am 92:1947 (2010); "Reexamination of pelvic inlet and outlet images using 3-dimensional
computed tomography reconstructions", J Orthop Trauma 28:324 (2014); Chua, Philippine Orthopaedic Association.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from numpy.typing import ArrayLike

from synthex_sim.carm.carm import CArm, CArmJoints

#: By so much a device may end short of a view's angle and still take it: at its limit. (Our choice: operators' own
#: angles scatter by more. The Cios Fusion's orbital range ends at -40 degrees, 5 short of two Judet views.)
SHORT_OF_DEG = 5.0


@dataclass(frozen=True)
class StandardView:
    """How far the arm is turned for a view, degrees, and what the view is for."""

    orbital_deg: float
    angular_deg: float
    purpose: str


STANDARD_VIEWS: Mapping[str, StandardView] = {
    "ap": StandardView(0.0, 0.0, "anterior-posterior"),
    "inlet": StandardView(0.0, 40.0, "pelvic ring from above: displacement to front and back"),
    "outlet": StandardView(0.0, -40.0, "sacrum and pubic rami from the front: vertical displacement"),
    "obturator_oblique_left": StandardView(45.0, 0.0, "left anterior column, posterior wall, obturator foramen"),
    "obturator_oblique_right": StandardView(-45.0, 0.0, "right anterior column, posterior wall, obturator foramen"),
    "iliac_oblique_left": StandardView(-45.0, 0.0, "left posterior column, anterior wall, iliac wing"),
    "iliac_oblique_right": StandardView(45.0, 0.0, "right posterior column, anterior wall, iliac wing"),
    "lao_30": StandardView(30.0, 0.0, "30 degrees left anterior oblique"),
    "rao_30": StandardView(-30.0, 0.0, "30 degrees right anterior oblique"),
    "lateral": StandardView(90.0, 0.0, "lateral, detector at the patient's left"),
}


def standard_joints(carm: CArm, name: str, target: ArrayLike, source_to_target_mm: float) -> CArmJoints:
    """Joints for a view by name, with a world point on the central ray.

    Args:
        name: one of ``STANDARD_VIEWS``.
        target: (3,) world millimetres; for a Judet view the hip (its femoral head), else the middle of the pelvis.
        source_to_target_mm: along the beam.

    Returns:
        The joints. Where the device ends up to ``SHORT_OF_DEG`` short of the view's angle, it stands at its limit.

    Raises:
        ValueError: an unknown name (the message lists the known ones), or a view out of the device's reach.
    """
    if name not in STANDARD_VIEWS:
        raise ValueError(f"unknown view '{name}'; known: {', '.join(STANDARD_VIEWS)}")
    view = STANDARD_VIEWS[name]
    orbital = _reached(carm, "orbital_deg", view.orbital_deg, name)
    angular = _reached(carm, "angular_deg", view.angular_deg, name)
    return carm.aim(target, source_to_target_mm, orbital, angular)


def _reached(carm: CArm, joint: str, wanted: float, name: str) -> float:
    low, high = carm.limits[joint]
    reached = min(max(wanted, low), high)
    if abs(reached - wanted) > SHORT_OF_DEG:
        raise ValueError(
            f"{carm.name} cannot take the view '{name}': it needs {joint} {wanted:g}, the device's limits are "
            f"[{low:g}, {high:g}]"
        )
    return reached
