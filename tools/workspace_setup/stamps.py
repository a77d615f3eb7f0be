"""Remembers which step was done with which inputs, so that it is done again when, and only when, they change."""

import hashlib
import json
import os
from typing import Dict, Iterable, List


def digest(root, files, words=()):
    # type: (str, Iterable[str], Iterable[str]) -> str
    """A fingerprint of the contents of `files` (paths below `root`) and of `words`."""
    result = hashlib.sha256()
    for word in words:
        result.update(repr(word).encode())
    for file in sorted(files):
        result.update(os.path.relpath(file, root).encode() + b"\0")
        with open(file, "rb") as stream:
            result.update(hashlib.sha256(stream.read()).digest())
    return result.hexdigest()


def files_below(folder, endings=()):
    # type: (str, tuple) -> List[str]
    """All files below `folder` (those with one of `endings`, if given), bytecode left out."""
    found = []
    for here, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in ("__pycache__", ".pytest_cache", ".hypothesis")]
        found += [os.path.join(here, name) for name in names
                  if not name.endswith(".pyc") and (not endings or name.endswith(endings))]
    return found


class Stamps:
    """The stamps in one JSON file, which lies beside what they speak of, so that they vanish together."""

    def __init__(self, path):
        # type: (str) -> None
        self._path = path

    def has(self, step, value):
        # type: (str, str) -> bool
        """Whether `step` was last done with the fingerprint `value`."""
        return self._read().get(step) == value

    def set(self, step, value):
        # type: (str, str) -> None
        """Remembers that `step` has now been done with `value`."""
        self._write(dict(self._read(), **{step: value}))

    def clear(self, step):
        # type: (str) -> None
        """Forgets `step`: called before it begins, so that a step cut short counts as not done."""
        self._write({name: value for name, value in self._read().items() if name != step})

    def _read(self):
        # type: () -> Dict[str, str]
        try:
            with open(self._path, encoding="utf-8") as stream:
                return json.load(stream)
        except (OSError, ValueError):
            return {}

    def _write(self, stamps):
        # type: (Dict[str, str]) -> None
        os.makedirs(os.path.dirname(self._path), exist_ok=True)
        with open(self._path + ".new", "w", encoding="utf-8") as stream:
            json.dump(stamps, stream, indent=1, sort_keys=True)
        os.replace(self._path + ".new", self._path)
