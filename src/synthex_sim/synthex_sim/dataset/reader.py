"""Reading a data set: ``open_dataset(folder).split("train")[17].image``."""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from pathlib import Path

import h5py

from synthex_sim.dataset.manifest import Manifest, ShardEntry
from synthex_sim.dataset.shards import Sample, read_sample


@dataclass(frozen=True)
class Dataset:
    """A finished data set on disk."""

    folder: Path
    manifest: Manifest

    def split(self, name: str) -> DatasetSplit:
        """The samples of one split.

        Raises:
            KeyError: there is no such split.
        """
        shards = tuple(s for s in self.manifest.shards if s.split == name)
        if not shards:
            known = sorted({s.split for s in self.manifest.shards})
            raise KeyError(f"data set {self.folder} has no split '{name}'; it has {', '.join(known)}")
        return DatasetSplit(self.folder, shards)


class DatasetSplit:
    """A read-only sequence of samples. Shards are opened on first use and stay open."""

    def __init__(self, folder: Path, shards: tuple[ShardEntry, ...]) -> None:
        self._folder = folder
        self._shards = shards
        self._ends = []
        total = 0
        for shard in shards:
            total += shard.count
            self._ends.append(total)
        self._files: dict[str, h5py.File] = {}

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(f"sample {index} of a split of {len(self)}")
        position = bisect.bisect_right(self._ends, index)
        shard = self._shards[position]
        row = index - (self._ends[position] - shard.count)
        return read_sample(self._open(shard.file), row)

    def _open(self, name: str) -> h5py.File:
        if name not in self._files:
            self._files[name] = h5py.File(self._folder / name, "r")
        return self._files[name]


def open_dataset(folder: str | Path) -> Dataset:
    """Opens a finished data set.

    Raises:
        FileNotFoundError: no finished data set there, or a shard is missing.
        ValueError: the manifest is of another format.
    """
    folder = Path(folder)
    manifest = Manifest.read(folder)
    for shard in manifest.shards:
        if not (folder / shard.file).is_file():
            raise FileNotFoundError(f"data set {folder} lacks its shard {shard.file}; generate it again")
    return Dataset(folder, manifest)
