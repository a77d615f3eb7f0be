"""The table of an evaluation, for the terminal (rich) and for Markdown."""

from __future__ import annotations

from rich.table import Table


def structure_rows(summary: dict) -> list[tuple[str, ...]]:
    """(structure, Dice, images showing it, false positive rate, images without it) as text."""
    rows = []
    for name, values in summary["structures"].items():
        rows.append((name, number(values["dice"], 3), str(values["images"]),
                     number(values["false_positive_rate"], 3), str(values["images_without"])))
    return rows


def landmark_rows(summary: dict) -> list[tuple[str, ...]]:
    """(landmark, detector mm, isocentre mm, px, activation, n) as text; groups first, those seen nowhere left out."""
    groups = {"all of the hip": summary["hip_landmarks"]}
    if "cm_landmarks" in summary:
        groups["manipulator base and tip"] = summary["cm_landmarks"]
    rows = []
    for name, values in {**groups, **summary["landmarks"]}.items():
        if values["visible"] == 0:
            continue
        rows.append((name, spread(values.get("error_detector_mm")), spread(values.get("error_isocentre_mm")),
                     spread(values.get("error_px")), number(values["activation"], 3),
                     f"{values['activated']}/{values['visible']}"))
    return rows


STRUCTURE_COLUMNS = ("structure", "Dice", "images with it", "false positive rate", "images without it")
LANDMARK_COLUMNS = (
    "landmark", "error, detector mm (mean, median)", "error, isocentre mm", "error, px", "activation",
    "activated/visible",
)


def tables(summary: dict) -> list[Table]:
    """Two rich tables: structures, landmarks."""
    result = []
    for columns, rows in ((STRUCTURE_COLUMNS, structure_rows(summary)), (LANDMARK_COLUMNS, landmark_rows(summary))):
        table = Table(*columns)
        for row in rows:
            table.add_row(*row)
        result.append(table)
    return result


def markdown(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A GitHub-flavoured table."""
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def number(value: float | None, digits: int) -> str:
    """A number, or a dash where nothing was counted."""
    return "-" if value is None else f"{value:.{digits}f}"


def dice_words(structure: str, value: float | None) -> str:
    """'hip Dice 0.812', or that there was nothing to compare with."""
    return f"{structure} Dice {number(value, 3)}" + (" (no ground truth)" if value is None else "")


def spread(statistics: dict | None) -> str:
    """mean +- sd (median)."""
    if statistics is None:
        return "-"
    return f"{statistics['mean']:.2f} ± {statistics['sd']:.2f} ({statistics['median']:.2f})"
