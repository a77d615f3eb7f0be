"""``python -m synthex_perception.evaluation``: measure weights on a data set."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 measured, 1 weights or data cannot be used, 2 wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m synthex_perception.evaluation", description=__doc__)
    parser.add_argument("--weights", type=Path, required=True, help="weights, .safetensors")
    parser.add_argument("--data", type=Path, required=True, help="folder of the data set")
    parser.add_argument("--split", default="valid", help="split of the data set")
    parser.add_argument("--out", type=Path, required=True, help="folder for metrics.json and overlays.png")
    parser.add_argument("--threshold", type=float, default=0.6, help="least confidence (NCC) of a visible landmark")
    parser.add_argument("--cm-min-pixels", type=int, default=40, help="least size of the manipulator's mask, px")
    parser.add_argument("--limit", type=int, default=0, help="at most this many images; 0 = all")
    options = parser.parse_args(arguments)

    from rich.console import Console

    from synthex_perception.evaluation.run import evaluate_weights
    from synthex_perception.evaluation.table import dice_words, tables
    from synthex_perception.inference.postprocess import PostprocessConfig
    from synthex_sim.dataset.reader import open_dataset

    try:
        config = PostprocessConfig(options.threshold, options.cm_min_pixels)
        summary = evaluate_weights(
            options.weights, open_dataset(options.data), options.split, options.out, config, options.limit,
            str(options.data),
        )
    except (ValueError, OSError, KeyError) as error:
        print(f"error: {error.args[0] if isinstance(error, KeyError) else error}", file=sys.stderr)
        return 1
    console = Console()
    for table in tables(summary):
        console.print(table)
    console.print(
        f"{summary['images']} images: {dice_words('hip', summary['hip_dice'])}, "
        f"{dice_words('manipulator', summary.get('cm_dice'))}, {summary['predict_ms']['p50']:.0f} ms an image; "
        f"{options.out}/metrics.json"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
