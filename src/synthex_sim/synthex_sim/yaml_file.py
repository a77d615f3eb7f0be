"""Reading a YAML file that must hold a mapping, with errors that name the file and the key."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml


class _EachKeyOnce(yaml.SafeLoader):
    """PyYAML keeps the last of two equal keys without a word; YAML 1.1 forbids them."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key.value}' occurs twice", key.start_mark)
            if isinstance(key, yaml.ScalarNode):
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_mapping(path: str | Path, what: str) -> dict[Any, Any]:
    """The mapping that a YAML file holds.

    Args:
        path: of the file.
        what: it is, for messages ("C-arm profile").

    Raises:
        OSError: it cannot be read.
        ValueError: it is not YAML, has a key twice, or holds something else or nothing.
    """
    try:
        document = yaml.load(Path(path).read_text(encoding="utf-8"), _EachKeyOnce)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{what} {path} is not a YAML file: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict) or not document:
        raise ValueError(f"{what} {path} must hold keys and values")
    return document


def check_keys(section: Any, known: Collection[str], where: str) -> Mapping[str, Any]:
    """The section, if it is a mapping with exactly the known keys.

    Raises:
        ValueError: a key is missing or unknown, or there is no mapping; the message begins with ``where``.
    """
    if not isinstance(section, dict):
        raise ValueError(f"{where} must hold the keys {', '.join(sorted(known))}")
    unknown = sorted(str(key) for key in set(section) - set(known))
    missing = sorted(set(known) - set(section))
    if unknown:
        raise ValueError(f"{where}: unknown keys {', '.join(unknown)}; allowed: {', '.join(sorted(known))}")
    if missing:
        raise ValueError(f"{where}: missing keys {', '.join(missing)}")
    return section
