"""Weights on disk: safetensors with a header that says what they are. Nothing is ever unpickled."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from synthex_perception.inference.preprocess import NORMALISATION
from synthex_perception.network.compact_transunet import CompactTransUNet, build_network
from synthex_perception.network.config import CompactTransUNetConfig
from synthex_sim.whole_files import write_whole

FORMAT = "synthex-perception-weights"
VERSION = "1"


class WeightsError(ValueError):
    """The file is there, but it holds no weights that this code can use; the message says why."""


@dataclass(frozen=True)
class WeightsMetadata:
    """What a weights file says about itself.

    Attributes:
        config: sizes of the network.
        task: name of the task it was trained for.
        label_names: mask value -> name.
        landmark_names: order of the heatmaps.
        heatmap_sigma_px: width of the Gaussian targets, pixels of the heatmap (stride 2 of the input).
        normalisation: words of ``preprocess.NORMALISATION`` at training time.
        training_data: fingerprint of the data set (SHA-256 of its manifest), or words.
        code_version: version of the code that trained it.
    """

    config: CompactTransUNetConfig
    task: str
    label_names: tuple[str, ...]
    landmark_names: tuple[str, ...]
    heatmap_sigma_px: float
    normalisation: str = NORMALISATION
    training_data: str = "none"
    code_version: str = "unknown"

    def __post_init__(self) -> None:
        if len(self.label_names) != self.config.num_classes or len(self.landmark_names) != self.config.num_landmarks:
            raise ValueError(
                f"{len(self.label_names)} label names and {len(self.landmark_names)} landmark names for a network of "
                f"{self.config.num_classes} classes and {self.config.num_landmarks} landmarks"
            )
        sigma_px = self.heatmap_sigma_px
        if not isinstance(sigma_px, (int, float)) or not 0.0 < sigma_px < math.inf:
            raise ValueError(f"heatmap_sigma_px must be a positive, finite number, got {sigma_px!r}")

    def to_header(self) -> dict[str, str]:
        """The safetensors header: text values only, structured ones as JSON."""
        values = asdict(self)
        return {"format": FORMAT, "version": VERSION} | {key: json.dumps(value) for key, value in values.items()}

    @classmethod
    def from_header(cls, header: dict[str, str] | None) -> WeightsMetadata:
        """Inverse of :meth:`to_header`.

        Raises:
            ValueError: not our format, or something is missing or malformed.
        """
        header = dict(header or {})
        if header.pop("format", None) != FORMAT:
            raise ValueError(f"its header does not name the format '{FORMAT}'")
        version = header.pop("version", None)
        if version != VERSION:
            raise ValueError(f"it has format version {version}, this code reads version {VERSION}")
        missing = set(cls.__dataclass_fields__) - set(header)
        if missing:
            raise ValueError(f"its header lacks {', '.join(sorted(missing))}")
        values = {key: json.loads(header[key]) for key in cls.__dataclass_fields__}
        values["config"] = CompactTransUNetConfig.from_dict(values["config"])
        for key in ("label_names", "landmark_names"):
            values[key] = tuple(values[key])
        return cls(**values)


def save_weights(path: str | Path, network: CompactTransUNet, metadata: WeightsMetadata) -> None:
    """Write the network as float16 safetensors, whole or not at all.

    Raises:
        WeightsError: a value is NaN or infinite, or too large for float16; nothing is written.
        OSError: the file could not be written.
    """
    path = Path(path)
    tensors = {name: tensor.detach().to(torch.float16).contiguous() for name, tensor in network.state_dict().items()}
    _check_finite(path, tensors)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, save(tensors, metadata=metadata.to_header()))


def read_metadata(path: str | Path) -> WeightsMetadata:
    """The header of a weights file, without its tensors. Raises as :func:`load_weights`."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no weights file at {path}; train one with `make weights` or pass another path")
    try:
        with safe_open(path, framework="pt") as file:
            return WeightsMetadata.from_header(file.metadata())
    except SafetensorError as error:
        raise WeightsError(f"{path} is not a safetensors file ({error})") from None
    except (ValueError, TypeError) as error:
        raise WeightsError(f"{path} holds no weights of this project: {error}") from None


def load_weights(
    path: str | Path,
    task: str | None = None,
    label_names: tuple[str, ...] | None = None,
    landmark_names: tuple[str, ...] | None = None,
) -> tuple[CompactTransUNet, WeightsMetadata]:
    """Build the network that a file describes and fill it (float32, evaluation mode).

    Args:
        path: a file written by :func:`save_weights`.
        task, label_names, landmark_names: what the caller needs; None accepts anything.

    Raises:
        FileNotFoundError: no such file.
        WeightsError: not a safetensors file, not ours, wrong shapes (the first tensor that differs is named with both
            shapes), values that are NaN or infinite, or made for another task, other labels, other landmarks or
            another normalisation.
    """
    metadata = read_metadata(path)
    _check_purpose(path, metadata, task, label_names, landmark_names)
    network = build_network(metadata.config)
    with safe_open(path, framework="pt") as file:
        stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    _check_tensors(path, network.state_dict(), stored)
    _check_finite(path, stored)
    network.load_state_dict({name: tensor.to(torch.float32) for name, tensor in stored.items()})
    return network.to(memory_format=torch.channels_last).eval(), metadata


def _check_purpose(path, metadata: WeightsMetadata, task, label_names, landmark_names) -> None:
    if task is not None and metadata.task != task:
        raise WeightsError(f"{path} was trained for the task '{metadata.task}', not for '{task}'")
    for what, found, wanted in (
        ("labels", metadata.label_names, label_names),
        ("landmarks", metadata.landmark_names, landmark_names),
    ):
        if wanted is not None and tuple(wanted) != found:
            raise WeightsError(f"{path} knows the {what} {', '.join(found)}; needed are {', '.join(wanted)}")
    if metadata.normalisation != NORMALISATION:
        raise WeightsError(
            f"{path} was trained on images normalised as '{metadata.normalisation}', this code normalises as "
            f"'{NORMALISATION}'; retrain it with `make weights`"
        )


def _check_tensors(path, expected: dict[str, torch.Tensor], stored: dict[str, torch.Tensor]) -> None:
    for name, tensor in expected.items():
        if name not in stored:
            raise WeightsError(f"{path} lacks the tensor {name} of shape {tuple(tensor.shape)}")
        if stored[name].shape != tensor.shape:
            raise WeightsError(
                f"{path}: tensor {name} has shape {tuple(stored[name].shape)}, the network that its header describes "
                f"needs {tuple(tensor.shape)}"
            )
    extra = sorted(set(stored) - set(expected))
    if extra:
        raise WeightsError(f"{path} holds the tensor {extra[0]}, which the network that its header describes lacks")


def _check_finite(path, tensors: dict[str, torch.Tensor]) -> None:
    """One such value makes every answer of the network NaN: no manipulator, no landmark, and no word about why."""
    for name, tensor in tensors.items():
        bad = int(torch.count_nonzero(~torch.isfinite(tensor)))
        if bad:
            raise WeightsError(
                f"{path}: {bad} of {tensor.numel()} values of the tensor {name} are NaN, infinite or too large for "
                "float16; the file is damaged or its training diverged, retrain it with `make weights`"
            )
