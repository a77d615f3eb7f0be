"""The command line: `launch [--show-args] <package> <file> [name:=value ...]` or `launch <path> [name:=value ...]`."""

import argparse
import os
import sys
import time
from pathlib import Path

from .description import declared_arguments, describe
from .errors import LaunchError
from .packages import package_share
from .supervisor import launch


def main(argv: "list[str] | None" = None) -> int:
    """Runs a launch file; returns the exit status (2: the launch file or its arguments are wrong, nothing started)."""
    parser = argparse.ArgumentParser(prog="launch", description="Runs a declarative YAML launch file.")
    parser.add_argument("-s", "--show-args", action="store_true", help="show the arguments of the launch file")
    parser.add_argument("target", nargs="+", metavar="package file | path, then name:=value",
                        help="what to launch and with which arguments")
    options = parser.parse_args(argv)
    try:
        file, rest = _launch_file(options.target)
        if options.show_args:
            _show(file)
            return 0
        description = describe(file, _arguments(rest), os.environ)
    except LaunchError as error:
        print(f"launch: error: {error}", file=sys.stderr)
        return 2
    logs = Path(os.environ.get("ROS_LOG_DIR") or Path("log") / "ros")
    return launch(description, logs / f"{time.strftime('%Y-%m-%d-%H-%M-%S')}-{file.name.split('.')[0]}-{os.getpid()}")


def _launch_file(target: list[str]) -> tuple[Path, list[str]]:
    if Path(target[0]).is_file():
        return Path(target[0]).absolute(), target[1:]
    if len(target) < 2 or ":=" in target[1]:
        raise LaunchError(f"'{target[0]}' is no file; give a path, or a package and the name of its launch file")
    share = package_share(target[0], os.environ)
    found = sorted(share.rglob(target[1]))
    if not found:
        known = sorted(path.name for path in share.rglob("*.launch.yaml"))
        raise LaunchError(f"package '{target[0]}' has no launch file '{target[1]}' (it has: {', '.join(known)})")
    return found[0], target[2:]


def _arguments(words: list[str]) -> dict[str, str]:
    given = {}
    for word in words:
        name, sign, value = word.partition(":=")
        if not (name and sign and value):
            raise LaunchError(f"malformed launch argument '{word}', expected name:=value")
        given[name] = value
    return given


def _show(file: Path) -> None:
    print("Arguments (pass arguments as '<name>:=<value>'):")
    for argument in declared_arguments(file, os.environ):
        choices = f" Valid choices are: {', '.join(argument.choices)}" if argument.choices else ""
        print(f"\n    '{argument.name}':\n        {argument.description or 'no description given'}{choices}")
        print("        (required)" if argument.default is None else f"        (default: '{argument.default}')")
