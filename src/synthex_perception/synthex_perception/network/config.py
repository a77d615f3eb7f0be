"""The sizes of a compact TransUNet, as data that travels with the weights."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class CompactTransUNetConfig:
    """Sizes of the network; the defaults are those of the shipped ``session`` weights.

    Attributes:
        input_size_px: rows and columns of the square training image; a multiple of 16. Position embeddings are
            learned for this size and interpolated for others.
        num_classes: segmentation classes, background included.
        num_landmarks: heatmaps.
        width: channels of the encoder's finest level (stride 2); deeper levels have 2, 4 and 8 times as many.
        head_width: channels of the decoder's finest level, which the heads read. A landmark takes about one of them for
            itself: with fewer than there are landmarks and classes, the rarest are not learnt.
        embed_dim: channels of the transformer at stride 16.
        depth: transformer blocks.
        heads: attention heads; divides ``embed_dim``.
        mlp_ratio: hidden units of a block's MLP over ``embed_dim``.
    """

    input_size_px: int = 256
    num_classes: int = 8
    num_landmarks: int = 16
    width: int = 16
    head_width: int = 32
    embed_dim: int = 192
    depth: int = 4
    heads: int = 6
    mlp_ratio: float = 3.0

    def __post_init__(self) -> None:
        for name in ("input_size_px", "num_classes", "num_landmarks", "width", "head_width", "embed_dim", "heads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.depth < 0:
            raise ValueError(f"depth must not be negative, got {self.depth}")
        if self.input_size_px % 16:
            raise ValueError(f"input_size_px must be a multiple of 16, got {self.input_size_px}")
        if self.embed_dim % self.heads:
            raise ValueError(f"embed_dim {self.embed_dim} is not divisible by heads {self.heads}")
        for name in ("width", "head_width"):
            if getattr(self, name) % 8:
                raise ValueError(f"{name} must be a multiple of 8 (normalisation groups), got {getattr(self, name)}")

    def to_dict(self) -> dict[str, int | float]:
        """Plain values for YAML and JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> CompactTransUNetConfig:
        """Inverse of :meth:`to_dict`.

        Raises:
            ValueError: unknown keys or values that make no network.
        """
        unknown = set(values) - set(cls.__dataclass_fields__)
        if unknown:
            raise ValueError(f"unknown network setting(s) {sorted(unknown)}; known: {sorted(cls.__dataclass_fields__)}")
        return cls(**values)
