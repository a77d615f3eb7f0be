"""Reading one section of a manipulator's device file (config/cm/*.yaml) with errors that name the key."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import yaml

SECTIONS = ("geometry", "actuation")


def read_section(path: str | Path, section: str, schema: type) -> dict[str, Any]:
    """The keys and values of one section, complete and without unknown keys.

    Args:
        path: a YAML file with the sections ``geometry`` and ``actuation``.
        section: which one.
        schema: a dataclass whose fields are exactly the keys the section must have.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not YAML, or a section or key is missing or unknown.
    """
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a YAML file: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold the sections {', '.join(SECTIONS)}, it holds {type(content).__name__}")
    unknown_sections = sorted(str(key) for key in set(content) - set(SECTIONS))
    if unknown_sections:
        raise ValueError(f"{path} has unknown sections {', '.join(unknown_sections)}; allowed: {', '.join(SECTIONS)}")
    values = content.get(section)
    if not isinstance(values, dict):
        raise ValueError(f"{path} needs a section '{section}' with keys and values")
    wanted = {field.name for field in dataclasses.fields(schema)}
    unknown = sorted(str(key) for key in set(values) - wanted)
    missing = sorted(wanted - set(values))
    if unknown:
        raise ValueError(f"{path}, section '{section}': unknown keys {', '.join(unknown)}; allowed: "
                         f"{', '.join(sorted(wanted))}")
    if missing:
        raise ValueError(f"{path}, section '{section}': missing keys {', '.join(missing)}")
    return values
