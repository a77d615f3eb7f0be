"""How the C-arm keeps up with the frames that are due, for exposure messages, sweeps and diagnostics."""

from __future__ import annotations

from dataclasses import dataclass, field

from cm_kinematics.nodes.diagnostics import Latency, Level, Status

#: Share of frames that may be skipped before diagnostics warn.
_MAX_SKIPPED = 0.05


@dataclass
class FrameCounts:
    """Counts since the node's activation.

    Attributes:
        published: frames made, single shots too; the number of the last one.
        skipped: frames that were due and not made.
        render_time: from the scene's sampling to the finished image, over activations.
    """

    published: int = 0
    skipped: int = 0
    render_time: Latency = field(default_factory=Latency)

    def restart(self) -> None:
        """Counts from nothing again."""
        self.published = self.skipped = 0

    def report(self) -> Status:
        """What diagnostics say of an active C-arm."""
        values = {"published": self.published, "skipped": self.skipped, **self.render_time.values("render")}
        late = self.skipped > _MAX_SKIPPED * (self.published + self.skipped)
        return Status(Level.WARN if late else Level.OK, "frames are skipped" if late else "exposing", values)
