"""A thorax from a seed: grid, tissues, organs, bones and lesions put together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthex_sim.patient.patient import Patient
from synthex_sim.patient.phantom import shapes
from synthex_sim.patient.phantom.dress import Dresser
from synthex_sim.patient.phantom.texture import noise
from synthex_sim.patient.thorax import body, lesions, lungs, mediastinum, ribs, shoulder, spine, structures
from synthex_sim.patient.thorax.cage import Cage
from synthex_sim.patient.thorax.lattice import Lattice
from synthex_sim.patient.thorax.parameters import ThoraxPerson, draw_thorax_person
from synthex_sim.random_streams import Purpose, stream

#: Streams of one person's seed: the body stays the same whatever lesions lie in it. The pelvis has number 0.
_BODY, _LESIONS = 1, 2
_MARGIN_MM = 46.0
_CALCIUM_HU, _CARTILAGE_HU = 420.0, 95.0


@dataclass(frozen=True, eq=False)
class Thorax:
    """A thorax and how it was made.

    Attributes:
        patient: volume and labels (ids of ``structures``), no landmarks.
        person: the drawn numbers.
        severity: 0 for a healthy person to 1.
        lesions: what was put into the lungs.
    """

    patient: Patient
    person: ThoraxPerson
    severity: float
    lesions: tuple[lesions.Lesion, ...]


def make_thorax(seed: int, spacing_mm: float = 1.5, with_lesions: bool | None = None) -> Thorax:
    """Builds the thorax that belongs to a seed.

    Args:
        seed: which person, 0 <= seed < 2**64.
        spacing_mm: edge of the cubic voxels, 0.8 to 6.
        with_lesions: whether there are lesions; None leaves it to the seed.

    Returns:
        a Thorax whose Patient is named ``thorax-<seed>``, in LPS mm with the middle of T7 as origin.

    Raises:
        ValueError: the spacing is out of range, or the seed is not an integer in range.
    """
    if not 0.8 <= spacing_mm <= 6.0:
        raise ValueError(f"spacing_mm must be within 0.8 and 6, got {spacing_mm}")
    rng = stream(seed, _BODY, Purpose.ANATOMY)
    lesion_rng = stream(seed, _LESIONS, Purpose.ANATOMY)
    person = draw_thorax_person(seed, rng)
    work = _Work(person, spacing_mm, rng)
    work.soft_tissue()
    work.lungs()
    severity = lesions.draw_severity(lesion_rng, with_lesions)
    drawn = work.lesions(severity, lesion_rng)
    work.vessels()
    work.bones()
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine[:3, 3] = work.grid.origin_mm
    volume = np.clip(np.rint(work.hu), -1024, 3000).astype(np.int16)
    patient = Patient(f"thorax-{seed}", volume, affine, work.labels, structures=structures.STRUCTURES)
    return Thorax(patient, person, severity, tuple(drawn))


class _Work:
    """The volume in the making; each method adds one kind of thing, in the order of ``make_thorax``."""

    def __init__(self, person: ThoraxPerson, spacing_mm: float, rng: np.random.Generator) -> None:
        self.person, self.rng = person, rng
        self.spine = spine.stack(person)
        self.cage = Cage.of(person, self.spine)
        self.sternum = ribs.sternum_points(person, self.cage)
        self.shoulders = shoulder.shoulders(person, self.cage, self.sternum[0][1], rng)
        low, high = self.spine["L3"].center[2], self.spine["C5"].center[2]
        self.organs = mediastinum.mediastinum(person, self.spine, float(low), rng)
        self.grid = self._grid(float(low), float(high), spacing_mm)
        self.lattice = Lattice(self.grid)
        self.hu = np.empty(self.grid.shape, dtype=np.float32)
        self.labels = np.zeros(self.grid.shape, dtype=np.uint8)

    def _grid(self, low: float, high: float, spacing_mm: float) -> shapes.Grid:
        cage, person = self.cage, self.person
        half = float(cage.half_width.max()) + 38 + person.fat_mm + _MARGIN_MM
        front = float(cage.front_y.min()) - 34 - 1.4 * person.fat_mm - (70 if person.breast else 0) * person.breast**0.5
        back = float(cage.back_y.max()) + 58 + 1.2 * person.fat_mm
        corner = np.array([-half, front, low])
        size = np.array([half, back, high]) - corner
        return shapes.Grid(corner, spacing_mm, tuple(int(n) for n in np.ceil(size / spacing_mm) + 1))

    def soft_tissue(self) -> None:
        """Walls, the organs of the abdomen, the mediastinum's fat and organs."""
        coarse, fine, person = self.lattice.coarse, self.lattice.fine, self.person
        x, y, z = coarse.axes()
        wall = self.wall = self.cage.distance(x, y, z)
        muscle = body.muscle_distance(person, self.cage, self.spine, self.shoulders, wall, coarse)
        skin = body.breasts(person, self.cage, muscle - body.fat_thickness(person, coarse), coarse)
        self.lung_coarse = lungs.lung_distance(person, self.cage, self.spine, self.organs, coarse)
        body.fill_walls(self.hu, fine(skin), fine(muscle), person, self.grid, self.rng)
        dome = lungs.diaphragm(person, self.cage, x, y)
        self.grain = noise(self.rng, self.grid, 1.3 * self.grid.spacing_mm)
        self._abdomen(body.under_diaphragm(person, wall, dome, coarse, self.rng))
        cavity = np.maximum(fine(wall), fine(np.broadcast_to(dome - z, coarse.shape).astype(np.float32)))
        self._blend(None, cavity, -85 + 12 * self.grain)
        self._mediastinum(cavity)

    def _abdomen(self, organs: dict[str, np.ndarray]) -> None:
        fine = self.lattice.fine
        mottle = noise(self.rng, self.grid, 7.0)
        self._blend(None, fine(organs["space"]), -75 + 12 * self.grain + 60 * np.clip(mottle, 0, 1.6))
        for name, value, label in (("spleen", 52.0, 0), ("liver", body.LIVER_HU, structures.LIVER),
                                   ("stomach", 30.0, structures.STOMACH)):  # fmt: skip
            field = fine(organs[name])
            self._blend(None, field, value + 7 * self.grain)
            if label:
                self.labels[field < 0] = label
        self._blend(None, fine(organs["gas"]), -970.0)

    def _mediastinum(self, cavity: np.ndarray) -> None:
        heart = np.maximum(self.lattice.fine(self.organs.heart_distance(self.lattice.coarse)), cavity)
        self._blend(None, heart, 46 + 7 * self.grain)
        self.labels[heart < 0] = structures.HEART
        for tube, value in [(self.organs.oesophagus, 35.0), *((v, 42.0) for v in self.organs.veins),
                            *((a, 44.0) for a in self.organs.arteries)]:  # fmt: skip
            self._blend(*tube.distance(self.grid), value)
        block, field = self.organs.aorta.distance(self.grid)
        self._blend(block, field, 44.0)
        old = np.clip((self.person.age_years - 55) / 35, 0, 1)
        spots = noise(self.rng, self.grid, 3.0)[block] > 2.6 - 1.1 * old
        self._blend(block, np.where(spots, np.abs(field + 0.5) - 0.9, 9.0), 420.0)  # calcified wall
        self.labels[block][field < 0] = structures.AORTA

    def lungs(self) -> None:
        """Parenchyma, fissures and labels of both lungs."""
        self.lung = self.lattice.fine(self.lung_coarse)
        tissue = lungs.parenchyma(self.person, self.grid, self.rng)
        lungs.add_fissures(tissue, self.lung, self.grid, self.rng)
        self._blend(None, self.lung, tissue)
        x = self.grid.axes()[0]
        self.labels[(self.lung < 0) & (x > 4)] = structures.LUNG_LEFT
        self.labels[(self.lung < 0) & (x <= 4)] = structures.LUNG_RIGHT

    def lesions(self, severity: float, rng: np.random.Generator) -> list[lesions.Lesion]:
        """Draws lesions and puts them into the lungs."""
        coarse = self.lattice.coarse
        self.sides = np.where(self.lung_coarse < 0, np.where(coarse.axes()[0] > 4, 1, -1), 0).astype(np.int8)
        drawn = lesions.draw_lesions(severity, np.maximum(-self.wall, 0.0), coarse, self.sides, rng)
        where = lesions.add_lesions(self.hu, self.lung, drawn, self.grid, rng)
        self.labels[where] = structures.LESION
        return drawn

    def vessels(self) -> None:
        """Vessels and bronchi in the lungs, then trachea and main bronchi."""
        grown, bronchi = lungs.trees(
            self.person, self.organs, self.lung_coarse, self.sides, self.lattice.coarse, self.rng
        )
        lungs.add_vessels(self.hu, self.lung, grown, self.grid)
        lungs.add_bronchi(self.hu, bronchi, self.grid)
        for tube in self.organs.airways:
            block, field = tube.distance(self.grid)
            self._blend(block, field - 1.6, 35.0)
            self._blend(block, field, -990.0)
            self.labels[block][field < 0] = structures.AIRWAYS

    def bones(self) -> None:
        """Vertebrae with discs, ribs with cartilage, sternum and shoulders."""
        person = self.person
        texture = 0.6 * noise(self.rng, self.grid, 1.2) + 0.8 * noise(self.rng, self.grid, 4.0)
        dress = Dresser(self.hu, self.labels, self.grid, person, texture)
        self._discs()
        for path, radii in ribs.cartilages(person, self.cage, all_ribs := ribs.ribs(person, self.spine, self.cage)):
            self._cartilage(path, radii)
        for vertebra in self.spine.values():
            block, field, cortex = spine.field(vertebra, self.grid)
            dress(block, field, structures.VERTEBRAE, cortex, cancellous=1.05)
        for rib in all_ribs:
            block, field = ribs.rib_field(rib, self.grid)
            dress(block, field, structures.RIBS, 1.1, marrow=0.15)
        points, radii, faces = self.sternum
        block, part = self.grid.block(*shapes.bounds(points, radii))
        dress(block, shapes.sphere_mesh(part, points, radii, faces, 0.8), structures.STERNUM, 1.0, marrow=0.25)
        for one in self.shoulders:
            self._shoulder(one, dress)

    def _discs(self) -> None:
        column = list(self.spine.values())
        for upper, lower in zip(column[:-1], column[1:], strict=True):
            middle = 0.5 * (upper.at(0, -0.5 * upper.height, 0) + lower.at(0, 0.5 * lower.height, 0))
            gap = np.linalg.norm(upper.at(0, -0.5 * upper.height, 0) - lower.at(0, 0.5 * lower.height, 0))
            axes = np.array([0.5 * lower.width, 0.6 * gap + 1.5, 0.5 * lower.depth])
            block, part = self.grid.block(middle - axes.max() - 2, middle + axes.max() + 2)
            self._blend(block, shapes.ellipsoid(part, middle, axes, lower.axes.T), 80.0)

    def _cartilage(self, path: np.ndarray, radii: np.ndarray) -> None:
        block, part = self.grid.block(*shapes.bounds(path, radii))
        field = shapes.tube(part, path, radii)
        self._blend(block, field, _CARTILAGE_HU)
        calcium = self.person.cartilage_calcium
        if calcium > 0.05:
            spots = noise(self.rng, part, 2.2) + 1.2 * (field > -2.5)
            amount = np.clip((spots - (3.2 - 2.4 * calcium)) * 1.5, 0, 1)
            self.hu[block] += amount * np.clip(0.5 - field / part.spacing_mm, 0, 1) * (_CALCIUM_HU - self.hu[block])

    def _shoulder(self, one: shoulder.Shoulder, dress: Dresser) -> None:
        points, radii, faces = one.scapula
        block, part = self.grid.block(*shapes.bounds(points, radii))
        dress(block, shapes.sphere_mesh(part, points, radii, faces, 0.6), structures.SCAPULAE, 1.2)
        path, radii = one.clavicle
        block, part = self.grid.block(*shapes.bounds(path, radii))
        dress(block, shapes.tube(part, path, radii), structures.CLAVICLES, 1.7, marrow=0.1)
        path, radii = one.humerus
        block, part = self.grid.block(*shapes.bounds(np.vstack([path, one.head]), np.append(radii, one.head_mm)))
        field = shapes.smooth_union(shapes.tube(part, path, radii), shapes.sphere(part, one.head, one.head_mm), 2.0)
        along = np.linalg.norm(np.stack(part.coordinates(np.eye(3), one.head)), axis=0)
        dress(block, field, structures.HUMERI, 1.0 + 2.5 * np.clip((along - 25) / 50, 0, 1),
              marrow=np.clip((along - 20) / 40, 0, 0.9), cancellous=0.9)  # fmt: skip

    def _blend(self, block, field, value) -> None:
        block = (slice(None),) * 3 if block is None else block
        view = self.hu[block]
        view += (value - view) * np.clip(0.5 - field / self.grid.spacing_mm, 0, 1)
