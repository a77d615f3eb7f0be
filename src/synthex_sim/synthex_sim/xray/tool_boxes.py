"""Where tools are in views, and how finely pixels are split there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from synthex_sim.carm.view import View

#: The manipulator's slits are 0.33 mm wide: what every tool is resolved to.
FINEST_DETAIL_MM = 0.33
MAX_SUBRAYS_PER_AXIS = 6


def tool_boxes(views: Sequence[View], centres: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """The part of each view that holds tools, from spheres around their pieces.

    A sphere that reaches the source's plane, such as that of a long rod across the beam, has no bounded shadow: the
    part is the whole detector then.

    Args:
        views: V of one detector shape.
        centres: (P, 3) world mm.
        radii: (P,) mm.

    Returns:
        (V, 5) int32 (``ToolBox`` of tools.cu): row0, row1, column0, column1 around all spheres in front of the source,
        and sub-rays along each direction of a pixel, as many as the finest detail takes where a pixel is smallest;
        zeros where there are none.
    """
    world_to_camera = np.stack([view.world_to_camera for view in views])
    intrinsics = np.stack([view.intrinsics for view in views])
    camera = centres @ world_to_camera[:, :3, :3].transpose(0, 2, 1) + world_to_camera[:, None, :3, 3]
    depth = camera[..., 2]
    ahead = depth > radii + 1.0
    safe = np.where(ahead, depth, np.inf)
    focal = np.stack([intrinsics[:, 0, 0], intrinsics[:, 1, 1]], axis=-1)
    offset = camera[..., :2] / safe[..., None]
    pixels = offset * focal[:, None] + intrinsics[:, None, :2, 2]
    # a sphere's shadow reaches at most focal * r / (z - r) from its centre's, and is stretched off the central ray
    tilt = np.hypot(1.0, np.linalg.norm(offset, axis=-1))
    reach = (radii * tilt / (safe - radii))[..., None] * np.abs(focal)[:, None] * 1.1 + 1.0
    low = np.where(ahead[..., None], np.floor(pixels - reach), np.inf).min(axis=1)
    high = np.where(ahead[..., None], np.ceil(pixels + reach) + 1.0, -np.inf).max(axis=1)
    rows, columns = views[0].shape
    low, high = np.clip(low, 0, [columns, rows]), np.clip(high, 0, [columns, rows])
    reaching = ~ahead & (depth > -radii)
    whole = reaching.any(axis=1, keepdims=True)
    low, high = np.where(whole, 0, low), np.where(whole, [columns, rows], high)
    nearest = np.where(ahead.any(axis=1), safe.min(axis=1), np.where(reaching, depth, 0.0).max(axis=1).clip(min=0.0))
    footprint_mm = nearest / np.abs(focal).max(axis=1)
    subrays = np.clip(np.ceil(2 * footprint_mm / FINEST_DETAIL_MM), 1, MAX_SUBRAYS_PER_AXIS)
    boxes = np.stack([low[:, 1], high[:, 1], low[:, 0], high[:, 0], subrays], axis=-1)
    return np.where((low < high).all(axis=1, keepdims=True), boxes, 0).astype(np.int32)
