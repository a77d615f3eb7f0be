"""Message definitions for writing and reading bags without ROS.

The standard types are those that rosbags carries for Jazzy; all others are read from the ``.msg`` files that the
package installed (``share/<package>/msg``) or, when a bag is read, from the bag itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore


class UnknownMessageTypeError(LookupError):
    """A message type whose definition was found nowhere."""


def standard_types() -> Typestore:
    """A fresh store with the standard messages of ROS 2 Jazzy."""
    return get_typestore(Stores.ROS2_JAZZY)


def installed_message_folder(package: str) -> Path | None:
    """``share/<package>/msg`` in the first prefix of AMENT_PREFIX_PATH that has it, None if none has."""
    for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep):
        folder = Path(prefix) / "share" / package / "msg"
        if prefix and folder.is_dir():
            return folder
    return None


def register_folder(types: Typestore, package: str, folder: Path) -> None:
    """Add every ``.msg`` file of a folder to the store as ``<package>/msg/<file name>``."""
    definitions: dict = {}
    for path in sorted(folder.glob("*.msg")):
        definitions.update(get_types_from_msg(path.read_text(encoding="utf-8"), f"{package}/msg/{path.stem}"))
    types.register({name: body for name, body in definitions.items() if name not in types.fielddefs})


def types_for(names: Iterable[str]) -> Typestore:
    """A store that knows all of these message types and those nested in them.

    Raises:
        UnknownMessageTypeError: a package's definitions are not installed; the message names the package.
    """
    types = standard_types()
    for name in names:
        require(types, name)
    return types


def require(types: Typestore, name: str) -> None:
    """Make the store know ``name`` (``package/msg/Type``), from the installed package if need be.

    Raises:
        UnknownMessageTypeError: as ``types_for``.
    """
    if name in types.fielddefs:
        return
    package = name.split("/", maxsplit=1)[0]
    folder = installed_message_folder(package)
    if folder is not None:
        register_folder(types, package, folder)
    if name not in types.fielddefs:
        raise UnknownMessageTypeError(
            f"no definition of {name}: no prefix of AMENT_PREFIX_PATH has share/{package}/msg with it; "
            "build the workspace and source its setup.bash"
        )
