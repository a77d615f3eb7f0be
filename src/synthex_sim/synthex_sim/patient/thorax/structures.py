"""The label ids of a thorax: one map for phantoms, data sets and networks. Ids 1 to 7 belong to the pelvis's task."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

LUNG_LEFT, LUNG_RIGHT, LESION = 8, 9, 10
HEART, AORTA, AIRWAYS = 11, 12, 13
RIBS, VERTEBRAE, STERNUM, CLAVICLES, SCAPULAE, HUMERI = 14, 15, 16, 17, 18, 19
LIVER, STOMACH = 20, 21

#: id -> name. A lesion lies in a lung: the lungs of a patient are the voxels of both lungs and of the lesions.
STRUCTURES: Mapping[int, str] = MappingProxyType(
    {
        LUNG_LEFT: "left_lung",
        LUNG_RIGHT: "right_lung",
        LESION: "lesion",
        HEART: "heart",
        AORTA: "aorta",
        AIRWAYS: "airways",
        RIBS: "ribs",
        VERTEBRAE: "thoracic_vertebrae",
        STERNUM: "sternum",
        CLAVICLES: "clavicles",
        SCAPULAE: "scapulae",
        HUMERI: "humeri",
        LIVER: "liver",
        STOMACH: "stomach",
    }
)
