"""Which build of torch is installed: PyPI's, for CUDA, or PyTorch's own for machines without an NVIDIA GPU.

PyPI's build brings NVIDIA's libraries with it: 2.7 GB of wheels, 4.7 GB unpacked, where the CPU build takes 0.2 and
0.7 GB (torch 2.13.0, read from the wheels).
"""

import re
import shlex
from typing import List, NamedTuple

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
#: Beside PyPI, not in its place: pip prefers 2.13.0+cpu to 2.13.0, and has PyPI's where the index cannot be reached.
CPU_PIP_ARGS = "--extra-index-url " + CPU_INDEX

TorchBuild = NamedTuple("TorchBuild", [("pip_args", List[str]), ("remark", str)])


def choose_torch_build(asked, nvidia_gpu, own_sources):
    # type: (str, bool, bool) -> TorchBuild
    """pip's options for torch, and a line for the user ("" where nothing was decided).

    Args:
        asked: TORCH_PIP_ARGS, "" to let this decide.
        nvidia_gpu: whether this machine has one.
        own_sources: whether pip has been told where packages come from (a mirror, a folder of wheels). Then torch comes
            from there too: somebody has chosen it, and PyTorch's index may be out of reach.
    """
    if asked:
        return TorchBuild(shlex.split(asked), "")
    if nvidia_gpu:
        return TorchBuild([], "NVIDIA GPU found: torch as PyPI has it, for CUDA")
    if own_sources:
        return TorchBuild([], "no NVIDIA GPU found: should pip's own sources hold torch for CUDA only, "
                              "TORCH_PIP_ARGS='{}' takes the CPU build, 4 GB smaller".format(CPU_PIP_ARGS))
    return TorchBuild(shlex.split(CPU_PIP_ARGS), "no NVIDIA GPU found: torch in its CPU build from {} "
                                                 "(another: TORCH_PIP_ARGS)".format(CPU_INDEX))


def names_sources(configuration):
    # type: (str) -> bool
    """Whether the output of `pip config list` says where packages come from."""
    return re.search(r"\.(index-url|extra-index-url|find-links|no-index)=", configuration) is not None
