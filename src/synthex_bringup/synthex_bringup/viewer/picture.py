"""SessionPicture: a session's images, room and figures as rerun entities. Arrays in, nothing known of messages.

The room is drawn in metres in the frame ``world`` (z up).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import rerun as rr

from cm_kinematics.geometry import CmGeometry
from cm_kinematics.solid import solid_pieces
from cm_kinematics.surface import tube_surface
from synthex_sim.anatomy import LABEL_NAMES, MANIPULATOR
from synthex_sim.display import LABEL_COLORS_RGB

from .carm_shape import CArmShape
from .layout import DICE, ERROR, LATENCY, NETWORK, STATUS, TRUTH, WORLD, XRAY, session_layout
from .recordings import Recordings

M_PER_MM = 1e-3
#: Entity of each frame of the room that stands still.
PLACES = {"table": f"{WORLD}/table", "ct_lps": f"{WORLD}/table/patient"}
CARM = f"{WORLD}/carm"

_STEEL, _GREY, _BEAM = (150, 165, 180), (110, 118, 128), (255, 214, 90)
#: In the words that a legend uses: green, red.
_TARGET, _SEEN_TIP = (0, 170, 70), (220, 0, 0)
_MANIPULATOR_COLOR = LABEL_COLORS_RGB[MANIPULATOR]
_LANDMARK_COLOR = (255, 255, 255)
_BONE_OPACITY = 110
_FACETS = 16
#: Legend and colour of each curve.
CURVES = {
    f"{LATENCY}/image": ("image received", (150, 160, 175)),
    f"{LATENCY}/detections": ("detections", (90, 160, 255)),
    f"{LATENCY}/navigation": ("navigation", (255, 150, 30)),
    f"{ERROR}/tip": ("manipulator's tip", (255, 120, 180)),
    f"{ERROR}/landmarks": ("hip landmarks, median", (90, 160, 255)),
    f"{DICE}/hip": ("hip", (90, 160, 255)),
    f"{DICE}/manipulator": ("manipulator", (255, 120, 180)),
}


@dataclass(frozen=True, eq=False)
class Overlay:
    """What lies on an X-ray image.

    Attributes:
        mask: (R, C) uint8 label ids, or None.
        points: name -> (column, row) pixels of what is to be marked.
    """

    mask: np.ndarray | None
    points: Mapping[str, tuple[float, float]]


class SessionPicture:
    """Draws a session.

    Args:
        recordings: where to.
        manipulator: geometry of the device.
    """

    def __init__(self, recordings: Recordings, manipulator: CmGeometry) -> None:
        self._out = recordings
        self._geometry = manipulator
        self._surface = tube_surface(manipulator, _FACETS)
        self._carm: CArmShape | None = None
        self._image_shape: tuple[int, ...] = ()
        self._begin()

    def _begin(self) -> None:
        static = self._out.log_static
        colors = [rr.AnnotationInfo(id=i, label=name.replace("_", " "), color=(*LABEL_COLORS_RGB[i], 255 if i else 0))
                  for i, name in enumerate(LABEL_NAMES)]
        static(XRAY, rr.AnnotationContext(colors))
        static(WORLD, rr.ViewCoordinates.RIGHT_HAND_Z_UP)
        # its outline only, a metre of it: where head and feet are is seen from the bones
        outline = [(x, y, 0.0) for x, y in ((-0.5, -0.25), (0.5, -0.25), (0.5, 0.25), (-0.5, 0.25), (-0.5, -0.25))]
        static(f"{WORLD}/table/top", rr.LineStrips3D([outline], radii=[0.004], colors=[_GREY]))
        static(f"{WORLD}/table/manipulator", rr.Mesh3D.from_fields(
            triangle_indices=self._surface.triangles, albedo_factor=_MANIPULATOR_COLOR))
        for entity, (name, color) in CURVES.items():
            static(entity, rr.SeriesLines(names=name, colors=[color], widths=[1.5]))

    # -- the room -------------------------------------------------------------------------------------------------
    def place(self, frame: str, in_parent_mm: np.ndarray) -> None:
        """Where a frame of ``PLACES`` stands in its parent: (4, 4), mm."""
        self._out.log_static(PLACES[frame], _transform(in_parent_mm))

    def bones(self, name: str, corners_m: np.ndarray, color: tuple[int, int, int]) -> None:
        """One structure's surface: (3 t, 3) corners of t triangles, metres in ct_lps."""
        points, triangles, normals = _indexed(corners_m)
        self._out.log_static(f"{PLACES['ct_lps']}/bones/{name}", rr.Mesh3D(
            vertex_positions=points, triangle_indices=triangles, vertex_normals=normals,
            albedo_factor=(*color, _BONE_OPACITY)))

    def target(self, point_m: np.ndarray, name: str = "target") -> None:
        """The planned target: (3,) metres in ct_lps."""
        self._out.log_static(f"{PLACES['ct_lps']}/target", rr.Points3D(
            [point_m], radii=[0.008], colors=[_TARGET], labels=[name], show_labels=False))

    def manipulator(self, stamp_ns: int, shaft_in_table_mm: np.ndarray, joint_angles: np.ndarray) -> None:
        """The manipulator: (4, 4) pose of its shaft in the table frame, (n,) radians."""
        pieces = solid_pieces(self._geometry, joint_angles).transformed(shaft_in_table_mm)
        points, normals = self._surface.posed(pieces)
        self._out.log(stamp_ns, f"{WORLD}/table/manipulator", rr.Mesh3D.from_fields(
            vertex_positions=(points * M_PER_MM).astype(np.float32), vertex_normals=normals.astype(np.float32)))

    def carm(self, stamp_ns: int, source_in_world_mm: np.ndarray, shape: CArmShape, image: np.ndarray) -> None:
        """The C-arm with the live image on its detector.

        Args:
            source_in_world_mm: (4, 4) pose of the X-ray source.
            image: (R, C) uint8 as stored.
        """
        if self._carm is None or not np.array_equal(self._carm.corners, shape.corners):
            self._carm = shape
            self._draw_carm(shape)
        self._out.log(stamp_ns, CARM, _transform(source_in_world_mm))
        self._out.log(stamp_ns, f"{CARM}/detector/image", rr.Mesh3D(
            vertex_positions=shape.corners * M_PER_MM, triangle_indices=[[0, 1, 2], [0, 2, 3]],
            vertex_texcoords=[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]],
            albedo_texture=np.repeat(image[:, :, None], 3, axis=2)))

    def _draw_carm(self, shape: CArmShape) -> None:
        static = self._out.log_static
        static(f"{CARM}/arm", rr.LineStrips3D([shape.arm * M_PER_MM], radii=[0.03], colors=[_GREY]))
        # of the detector only the edges: the image on its lower side is to be seen from above, too
        for name, centre, half, fill in (
            ("tube", shape.tube_centre, shape.tube_half_size, "solid"),
            ("detector", shape.detector_centre, shape.detector_half_size, "majorwireframe"),
        ):
            static(f"{CARM}/{name}", rr.Boxes3D(centers=[centre * M_PER_MM], half_sizes=[half * M_PER_MM],
                                                colors=[_STEEL], fill_mode=fill))
        static(f"{CARM}/beam", rr.LineStrips3D(shape.beam * M_PER_MM, radii=[0.0015], colors=[_BEAM]))

    def seen_tip(self, stamp_ns: int, in_world_mm: np.ndarray | None) -> None:
        """Where navigation sees the tip: (3,) mm in world, None where it does not."""
        entity = f"{WORLD}/navigation/tip"
        if in_world_mm is None:
            self._out.log(stamp_ns, entity, rr.Clear(recursive=False))
            return
        self._out.log(stamp_ns, entity, rr.Points3D([in_world_mm * M_PER_MM], radii=[0.007], colors=[_SEEN_TIP],
                                                    labels=["tip, as seen"], show_labels=False))

    # -- the images -----------------------------------------------------------------------------------------------
    def xray(self, stamp_ns: int, image: np.ndarray, network: Overlay | None, truth: Overlay | None) -> None:
        """One image, (R, C) uint8 bone bright, with what lies on it; None clears an overlay."""
        if image.shape != self._image_shape:
            self._image_shape = image.shape
            self._out.arrange(session_layout(image.shape))
        self._out.log(stamp_ns, f"{XRAY}/image", rr.Image(image, color_model="L"))
        for entity, overlay in ((NETWORK, network), (TRUTH, truth)):
            self._overlay(stamp_ns, entity, overlay)

    def _overlay(self, stamp_ns: int, entity: str, overlay: Overlay | None) -> None:
        if overlay is None:
            self._out.log(stamp_ns, entity, rr.Clear(recursive=True))
            return
        if overlay.mask is not None:
            self._out.log(stamp_ns, f"{entity}/mask", rr.SegmentationImage(overlay.mask, opacity=0.35))
        # Landmarks lie so close together that their names would hide them: they are shown under the mouse. The
        # manipulator's ends are what a person looks for.
        for part, marked, color, labelled in (
            ("landmarks", {n: p for n, p in overlay.points.items() if not n.startswith("CM-")}, _LANDMARK_COLOR, False),
            ("manipulator", {n: p for n, p in overlay.points.items() if n.startswith("CM-")}, _MANIPULATOR_COLOR, True),
        ):
            self._out.log(stamp_ns, f"{entity}/{part}", rr.Points2D(
                list(marked.values()) or np.zeros((0, 2)), colors=[color],
                labels=[n.removeprefix("CM-") for n in marked], radii=rr.Radius.ui_points(3.5), show_labels=labelled))

    # -- the figures ----------------------------------------------------------------------------------------------
    def figures(self, stamp_ns: int, values: Iterable[tuple[str, float | None]]) -> None:
        """(entity of ``CURVES``, value) at one moment; None is left out."""
        for entity, value in values:
            if value is not None:
                self._out.log(stamp_ns, entity, rr.Scalars(float(value)))

    def status(self, stamp_ns: int, markdown: str) -> None:
        """What stands beside the plots."""
        self._out.log(stamp_ns, STATUS, rr.TextDocument(markdown, media_type="text/markdown"))


def _transform(pose_mm: np.ndarray) -> rr.Transform3D:
    return rr.Transform3D(translation=pose_mm[:3, 3] * M_PER_MM, mat3x3=pose_mm[:3, :3])


def _indexed(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Triangles given corner by corner as shared vertices, indices and smooth normals."""
    corners = np.ascontiguousarray(corners, dtype=np.float32)
    points, index = np.unique(corners, axis=0, return_inverse=True)
    triangles = index.reshape(-1, 3)
    a, b, c = (points[triangles[:, i]] for i in range(3))
    normals = np.zeros_like(points)
    np.add.at(normals, triangles, np.cross(b - a, c - a)[:, None, :])
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    return points, triangles, normals / np.maximum(lengths, 1e-12)
