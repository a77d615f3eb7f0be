"""How the views are arranged: readable at 1280 x 800 without a click."""

from __future__ import annotations

import rerun.blueprint as rrb

#: Entities that views begin at.
XRAY, NETWORK, TRUTH = "xray", "xray/network", "xray/truth"
WORLD = "world"
LATENCY, ERROR, DICE = "latency_ms", "error_detector_mm", "dice"
STATUS = "status"


def session_layout(image_shape: tuple[int, int] | None = None) -> rrb.Blueprint:
    """X-ray with the network's overlays beside ground truth and the room in 3D; below, plots and status.

    Args:
        image_shape: (rows, columns) that both X-ray views show; None while unknown.
    """
    bounds = None
    if image_shape is not None:
        bounds = rrb.VisualBounds2D(x_range=(0.0, float(image_shape[1])), y_range=(0.0, float(image_shape[0])))
    newest = rrb.VisibleTimeRange(
        "time", start=rrb.TimeRangeBoundary.cursor_relative(seconds=-60.0), end=rrb.TimeRangeBoundary.cursor_relative()
    )
    images = rrb.Horizontal(
        rrb.Spatial2DView(origin=XRAY, contents=["$origin/image", f"/{NETWORK}/**"], name="X-ray, network",
                          visual_bounds=bounds),
        rrb.Spatial2DView(origin=XRAY, contents=["$origin/image", f"/{TRUTH}/**"], name="X-ray, ground truth",
                          visual_bounds=bounds),
        rrb.Spatial3DView(
            origin=WORLD,
            name="Room",
            line_grid=rrb.LineGrid3D(visible=False),
            eye_controls=rrb.EyeControls3D(position=(-0.9, 1.0, 1.6), look_target=(0.0, -0.05, 1.03),
                                           eye_up=(0.0, 0.0, 1.0)),
        ),
        column_shares=[1, 1, 1.15],
    )
    plots = rrb.Horizontal(
        rrb.TimeSeriesView(origin=LATENCY, name="Latency, ms", time_ranges=newest),
        rrb.TimeSeriesView(origin=ERROR, name="Error, detector mm", time_ranges=newest),
        rrb.TimeSeriesView(origin=DICE, name="Dice", time_ranges=newest, axis_y=rrb.ScalarAxis(range=(0.0, 1.0))),
        rrb.TextDocumentView(origin=STATUS, name="Navigation"),
        column_shares=[1, 1, 1, 0.9],
    )
    return rrb.Blueprint(rrb.Vertical(images, plots, row_shares=[1.45, 1]), collapse_panels=True)
