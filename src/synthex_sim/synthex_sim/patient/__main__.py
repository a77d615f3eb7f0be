"""``python -m synthex_sim.patient``: what a CT or label map is, before a session uses it; and where to get some."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from synthex_sim.patient.collections import command as fetch_command
from synthex_sim.patient.inspection import Request, inspect_source
from synthex_sim.patient.planes import write_planes
from synthex_sim.patient.volume_file import FORMATS

_DISCLAIMER = "research and simulation only, not a medical device"


def main(arguments: list[str] | None = None) -> int:
    """Command line entry; returns the exit code: 0 for a usable patient, 1 for an error, 2 for a volume of no use."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except (OSError, ValueError) as error:
        print(f"patient: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m synthex_sim.patient", description=f"{__doc__} ({_DISCLAIMER})")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    inspect = commands.add_parser(
        "inspect", help="print what a CT was understood as, and draw three planes through it",
        description=f"Prints what a CT was understood as, and draws three planes through it; {_DISCLAIMER}.")
    inspect.add_argument("path", help=f"{FORMATS}; or phantom:SEED, thorax:SEED and others of docs/patients.md")
    inspect.add_argument("--labels", default="",
                         help="label map, in the same formats; totalsegmentator[:fast] to have it made; none "
                         "(empty: bone by its brightness)")
    inspect.add_argument("--label-scheme", default="",
                         help="what its ids mean: a name in CONFIG_FOLDER/labels or a file (empty: the project's own)")
    inspect.add_argument("--landmarks", default="",
                         help="landmarks marked on the CT in 3D Slicer (.mrk.json, .fcsv); others are found")
    inspect.add_argument("--config-folder", type=Path, default=Path("config"), help="folder with labels/")
    inspect.add_argument("--series", type=int, help="number of the DICOM series, as path#NUMBER")
    inspect.add_argument("--spacing-mm", type=float, help="resample to cubes of this edge (of a phantom: make it so)")
    inspect.add_argument("--out", type=Path, default=Path("patient.png"), help="the picture (patient.png)")
    inspect.set_defaults(run=_inspect)
    fetch_command.add_parser(commands, _DISCLAIMER)
    return parser


def _inspect(options: argparse.Namespace) -> int:
    _check_picture(options.out)  # before minutes of work whose result could not be written
    found = inspect_source(Request(
        options.path, options.labels, options.label_scheme, str(options.config_folder / "labels"), options.series,
        options.spacing_mm, options.landmarks,
    ))
    for line in found.lines:
        print(line)
    write_planes(found.picture, options.out)
    print(f"picture: {options.out}; {_DISCLAIMER}")
    return 0 if found.usable else 2


def _check_picture(path: Path) -> None:
    if path.suffix.lower() != ".png":
        raise ValueError(f"--out {path}: the picture is a PNG; give it a name that ends in .png")
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(f"--out {path}: the folder {path.parent} does not exist; make it first")


if __name__ == "__main__":
    sys.exit(main())
