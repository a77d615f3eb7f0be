"""The manifest of a data set: one JSON file that says what the shards beside it hold. Its schema is fixed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from synthex_sim.patient.collections.provenance import Provenance
from synthex_sim.whole_files import write_whole

FORMAT = "synthex-dataset"
VERSION = 1
MANIFEST_NAME = "manifest.json"


@dataclass(frozen=True)
class ShardEntry:
    """One HDF5 file: the samples [first, first + count) of the data set, all of one split."""

    file: str
    split: str
    first: int
    count: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """Everything about a data set that is not in its shards.

    Attributes:
        task: name of the task (session, hip, cm, covid).
        seed: seed of the whole set; sample i depends only on (config, seed, i).
        config: all that the images depend on beside seed and code, as plain data: the task's file, the C-arm, the
            manipulator; where one given patient was imaged, the digest of its voxels and labels.
        count: number of samples.
        image_shape: (rows, columns) of every image.
        label_names: index in the mask -> name.
        landmark_names: order of the landmarks.
        patients: names of the patients by index; the split is by patient, never by image.
        backend: projector and processor type on which the bytes repeat exactly.
        code_version: version of the code that made it.
        shards: the files, in order of their samples.
        provenance: public collections that its patients come from, with their licences; empty for phantoms.
    """

    task: str
    seed: int
    config: dict[str, Any]
    count: int
    image_shape: tuple[int, int]
    label_names: tuple[str, ...]
    landmark_names: tuple[str, ...]
    patients: tuple[str, ...]
    backend: dict[str, str]
    code_version: str
    shards: tuple[ShardEntry, ...]
    provenance: tuple[Provenance, ...] = ()

    def write(self, folder: Path) -> None:
        """Writes ``manifest.json`` whole or not at all (temporary name, then rename)."""
        document = {"format": FORMAT, "version": VERSION, **asdict(self)}
        document["provenance"] = [entry.to_document() for entry in self.provenance]
        if not self.provenance:  # sets of phantoms keep the bytes, and with them the fingerprint, that they had before
            del document["provenance"]
        write_whole(folder / MANIFEST_NAME, json.dumps(document, indent=1) + "\n")

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Reads the manifest of a data set folder.

        Raises:
            FileNotFoundError: the folder holds no (finished) data set.
            ValueError: it is not a manifest of this format and version.
        """
        path = Path(folder) / MANIFEST_NAME
        if not path.is_file():
            raise FileNotFoundError(
                f"{folder} holds no finished data set (no {MANIFEST_NAME}); make one with `make dataset`, "
                "or run the same command again to finish an interrupted one"
            )
        document = json.loads(path.read_text())
        if document.pop("format", None) != FORMAT or document.pop("version", None) != VERSION:
            raise ValueError(f"{path} is not a {FORMAT} manifest of version {VERSION}")
        document["shards"] = tuple(ShardEntry(**entry) for entry in document["shards"])
        for name in ("image_shape", "label_names", "landmark_names", "patients"):
            document[name] = tuple(document[name])
        document["provenance"] = tuple(map(Provenance.from_document, document.get("provenance", ())))
        return cls(**document)
