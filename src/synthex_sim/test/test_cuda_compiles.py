"""Every CUDA source compiles for real GPUs, with the compiler that CuPy uses; no GPU is needed for that."""

from pathlib import Path

import pytest
from nvrtc import compiled

import synthex_sim.xray
from synthex_sim.xray.cuda import cuda_source
from synthex_sim.xray.cuda.projector import SOURCES

XRAY = Path(synthex_sim.xray.__file__).parent
SOURCE_FILES = sorted(XRAY.rglob("*.cu"), key=lambda path: path.name)


@pytest.mark.parametrize("path", SOURCE_FILES, ids=lambda path: path.stem)
def test_every_source_compiles_for_the_hopper_generation(path):
    kernels = compiled(cuda_source(path.stem), "sm_90")
    assert kernels and all(resources.spilled == 0 for resources in kernels.values()), kernels


def test_the_projectors_sources_compile_together_for_older_generations():
    for architecture in ("sm_70", "sm_86"):
        assert set(compiled(cuda_source(*SOURCES), architecture)) == {
            "march_0", "march_1", "march_2", "cast_labels", "cast_covered_labels", "subtract_hidden", "find_pieces",
            "cast_tools",
        }


def test_rays_stay_in_registers():
    """Half of a multiprocessor's threads or more are under way at once, and nothing of a ray lies in local memory."""
    kernels = compiled(cuda_source(*SOURCES), "sm_90")
    for name in ("march_0", "march_1", "march_2", "cast_labels"):
        assert kernels[name].registers <= 64 and kernels[name].stack == 0, (name, kernels[name])


def test_an_error_in_a_source_is_told():
    with pytest.raises(RuntimeError, match="nowhere"):
        compiled('extern "C" __global__ void broken() { nowhere(); }')


def test_headers_are_included_once():
    assert cuda_source("march", "labels", "overlap", "tools").count("struct WorldView {") == 1
    assert "#include" not in cuda_source("tools")


def test_a_source_that_is_not_there_is_told():
    with pytest.raises(FileNotFoundError, match="nothing.cu"):
        cuda_source("nothing")
