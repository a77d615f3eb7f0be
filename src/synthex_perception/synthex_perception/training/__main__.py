"""``python -m synthex_perception.training``: train a network from a data set on disk."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 done, 1 the run could not start or broke, 2 wrong usage, 130 interrupted."""
    parser = argparse.ArgumentParser(prog="python -m synthex_perception.training", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data set")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run: metrics, curves, checkpoints")
    parser.add_argument("--config", type=Path, required=True, help="recipe, e.g. config/training/session.yaml")
    parser.add_argument("--epochs", type=int, help="instead of the recipe's")
    parser.add_argument("--max-minutes", type=float, help="wall time at most; the schedule is fitted to it")
    parser.add_argument("--seed", type=int, default=0, help="of initial weights, order and randomization")
    # With a value too: a launch file can hand a word on, but not leave an option out.
    parser.add_argument("--resume", nargs="?", const="true", default="false", choices=("true", "false"),
                        help="go on from the newest checkpoint in --out")
    parser.add_argument("--export", type=Path, help="also write the weights here, e.g. models/session.safetensors")
    parser.add_argument("--threads", type=int, default=0, help="torch threads; 0 = torch's choice")
    options = parser.parse_args(arguments)

    # Threads that wait sleep instead of spinning: 6 % slower on an idle machine, many times faster on a shared one.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    # Lightning takes seconds to import: not before the arguments are known to be right.
    from synthex_perception.training.config import TrainingConfig
    from synthex_perception.training.run import RESUME_HINT, RunOptions, TrainingError, newest_checkpoint, train

    try:
        config = TrainingConfig.from_yaml(options.config)
        if options.epochs is not None:
            config = replace(config, epochs=options.epochs)
        train(config, RunOptions(options.data, options.out, options.seed, options.max_minutes, options.resume == "true",
                                 options.export, options.threads))
    except (TrainingError, FloatingPointError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        kept = newest_checkpoint(options.out).is_file()
        print("interrupted;", RESUME_HINT if kept else "there is no checkpoint yet to resume from", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
