"""What a run leaves to look at: one line an epoch in CSV and JSON, curves as PNG, progress lines in the terminal."""

from __future__ import annotations

import csv
import io
import json
import sys
import time
from pathlib import Path

import lightning
from lightning.pytorch.callbacks import Callback

from synthex_perception.training.data import LoadedSplit
from synthex_perception.training.evaluate import evaluate
from synthex_sim.whole_files import write_whole

#: Back to the line's start and erase it: progress lines overwrite each other in a terminal.
_CLEAR_LINE = "\r\x1b[K"

#: Columns of metrics.csv: name -> meaning.
COLUMNS: dict[str, str] = {
    "epoch": "passes over the training split so far",
    "step": "optimiser steps",
    "minutes": "wall time of the run",
    "learning_rate": "of the last step",
    "loss": "running mean of the training loss",
    "loss_dice": "Dice term",
    "loss_cross_entropy": "cross-entropy term",
    "loss_heatmap": "heatmap term",
    "hip_dice": "mean over the bones of the mean Dice over images that show them",
    "cm_dice": "mean Dice of the manipulator over images that show it",
    "cm_false_positive_rate": "share of images without manipulator in which one was seen",
    "hip_error_px": "mean landmark error, pixels of the image",
    "hip_error_detector_mm": "the same, millimetres on the detector",
    "hip_activation": "share of landmarks in the image that were confident enough",
    "cm_error_detector_mm": "mean error of base and tip, millimetres on the detector",
    "cm_activation": "share of bases and tips in the image that were confident enough",
}


class EpochLog(Callback):
    """Evaluates after each epoch, writes metrics.csv, metrics.json and curves.png, and prints a line."""

    def __init__(self, out: Path, split: LoadedSplit, label_names, landmark_names, heatmap_sigma_px: float) -> None:
        self._out, self._split = out, split
        self._names = (label_names, landmark_names)
        self._sigma_px = heatmap_sigma_px
        self._last_line = time.perf_counter()
        self._last: tuple[int, dict] | None = None

    def on_train_batch_end(self, trainer: lightning.Trainer, module, outputs, batch, batch_idx: int) -> None:
        """A progress line every few seconds: the same in a terminal and in a log file."""
        now = time.perf_counter()
        if now - self._last_line < (2.0 if sys.stdout.isatty() else 20.0):
            return
        self._last_line = now
        line = (
            f"epoch {trainer.current_epoch + 1}  step {trainer.global_step}  {100 * module.progress:3.0f} %  "
            f"{module.seconds / 60:.1f} min  loss {module.recent['total']:.3f} "
            f"(dice {module.recent['dice']:.3f}, ce {module.recent['cross_entropy']:.3f}, "
            f"heatmap {module.recent['heatmap']:.3f})"
        )
        print(_CLEAR_LINE + line if sys.stdout.isatty() else line, end="" if sys.stdout.isatty() else "\n", flush=True)

    def on_train_epoch_end(self, trainer: lightning.Trainer, module) -> None:
        self.record(trainer, module)

    def record(self, trainer: lightning.Trainer, module) -> dict:
        """Evaluate now and append a row; if nothing was learned since the last row, that one stands."""
        if self._last is not None and self._last[0] == trainer.global_step:
            return self._last[1]
        summary = evaluate(
            module.evaluated_network(), self._split, *self._names, self._sigma_px, reduction=module.reduction()
        )
        row = _row(trainer, module, summary)
        path = self._out / "metrics.csv"
        rows = [r for r in read_rows(path) if int(r["step"]) < row["step"]] + [row]
        table = io.StringIO(newline="")
        writer = csv.DictWriter(table, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
        write_whole(path, table.getvalue())
        document = {"columns": COLUMNS, "epochs": rows, "last": summary}
        write_whole(self._out / "metrics.json", json.dumps(document, indent=1) + "\n")
        draw_curves(read_rows(path), self._out / "curves.png")
        shown = {name: _short(row[name]) for name in COLUMNS}
        print(
            f"{_CLEAR_LINE if sys.stdout.isatty() else ''}after epoch {shown['epoch']} ({shown['minutes']} min): "
            f"hip Dice {shown['hip_dice']}, "
            f"CM Dice {shown['cm_dice']} (false positives {shown['cm_false_positive_rate']}), hip landmarks "
            f"{shown['hip_error_detector_mm']} detector mm at activation {shown['hip_activation']}, base and tip "
            f"{shown['cm_error_detector_mm']} detector mm at {shown['cm_activation']}",
            flush=True,
        )
        self._last = (trainer.global_step, summary)
        return summary


def read_rows(path: Path) -> list[dict[str, str]]:
    """Rows of a metrics.csv; none if there is no file."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def draw_curves(rows: list[dict], path: Path) -> None:
    """Losses, Dice, errors and activation over the epochs, as PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels = {
        "training loss": ("loss", "loss_dice", "loss_cross_entropy", "loss_heatmap"),
        "Dice, validation": ("hip_dice", "cm_dice"),
        "landmark error, detector mm": ("hip_error_detector_mm", "cm_error_detector_mm"),
        "activation": ("hip_activation", "cm_activation"),
    }
    figure, axes = pyplot.subplots(1, 4, figsize=(18, 4), layout="constrained")
    for axis, (title, names) in zip(axes, panels.items(), strict=True):
        for name in names:
            points = [(float(r["epoch"]), float(r[name])) for r in rows if r[name] not in ("", None)]
            if points:
                axis.plot(*zip(*points, strict=True), marker=".", label=name)
        axis.set(title=title, xlabel="epoch", ylim=(0, None))
        axis.grid(alpha=0.3)
        if axis.has_data():
            axis.legend(fontsize=8)
    picture = io.BytesIO()
    figure.savefig(picture, dpi=90)
    pyplot.close(figure)
    write_whole(path, picture.getvalue())


def _row(trainer: lightning.Trainer, module, summary: dict) -> dict:
    cm_structure = summary["structures"].get("continuum_manipulator", {})
    hip, cm = summary["hip_landmarks"], summary.get("cm_landmarks", {})
    batches = max(1, len(trainer.train_dataloader))
    return {
        "epoch": round(trainer.global_step / batches, 2),
        "step": trainer.global_step,
        "minutes": module.seconds / 60.0,
        "learning_rate": module.learning_rate(),
        "loss": module.recent.get("total"),
        "loss_dice": module.recent.get("dice"),
        "loss_cross_entropy": module.recent.get("cross_entropy"),
        "loss_heatmap": module.recent.get("heatmap"),
        "hip_dice": summary["hip_dice"],
        "cm_dice": summary.get("cm_dice"),
        "cm_false_positive_rate": cm_structure.get("false_positive_rate"),
        "hip_error_px": _mean(hip.get("error_px")),
        "hip_error_detector_mm": _mean(hip.get("error_detector_mm")),
        "hip_activation": hip.get("activation"),
        "cm_error_detector_mm": _mean(cm.get("error_detector_mm")),
        "cm_activation": cm.get("activation"),
    }


def _mean(statistics: dict | None) -> float | None:
    return statistics["mean"] if statistics else None


def _short(value) -> str:
    return "-" if value is None else f"{value:.3g}"
