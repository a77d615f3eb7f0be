"""What only shows in processes of their own: the same pixels whether compiled now or before, and memory."""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent

DIGEST = """
import hashlib
import numpy as np
from sim_worlds import AIM, CONFIG, on_table, paint_ball, water_box
from synthex_sim.carm.carm import CArm
from synthex_sim.xray.radiograph import Exposure
from synthex_sim.xray.scene import Scene
from synthex_sim.xray.simulator import XraySimulator
carm = CArm.from_yaml(CONFIG / "carm" / "cios_fusion.yaml")
patient = paint_ball(water_box(40, 4.0), (10, 0, 0), 30.0, 900, 1)
patient.hu[:] += np.random.default_rng(0).integers(-20, 20, patient.hu.shape, dtype=np.int16)
views = [carm.view(carm.aim(AIM, 700.0, a, 10.0)).resized((128, 128)) for a in (0.0, 40.0, 90.0)]
for renderer in ("heuristic", "realistic"):
    simulator = XraySimulator(carm, renderer)
    images, projection = simulator.render(Scene(patient, on_table(patient)), views, Exposure(90, 0.5), seed=4)
    made = projection.areas, projection.hits, images.counts
    print(renderer, *(hashlib.sha256(a.tobytes()).hexdigest() for a in made))
"""

MEMORY = """
import resource
import numpy as np
from sim_worlds import AIM, CONFIG, on_table
from synthex_sim.carm.carm import CArm
from synthex_sim.patient.patient import Patient
from synthex_sim.xray.radiograph import Exposure
from synthex_sim.xray.scene import Scene
from synthex_sim.xray.simulator import XraySimulator
carm = CArm.from_yaml(CONFIG / "carm" / "cios_fusion.yaml")
size = 512
hu = np.full((size,) * 3, 20, np.int16)
labels = np.full(hu.shape, 0, np.uint8)  # written, not only promised
labels[200:300, 200:300, 200:300] = 1
affine = np.diag([0.6, 0.6, 0.6, 1.0])
affine[:3, 3] = -0.3 * (size - 1)
patient = Patient("large", hu, affine, labels)
views = [carm.view(carm.aim(AIM, 780.0, a, 0.0)).resized((360, 360)) for a in (0.0, 10.0, 20.0, 30.0)]
XraySimulator(carm).render(Scene(patient, on_table(patient)), views, Exposure(90, 0.5))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""


def run(code, cache):
    """Standard output of a Python process with its own cache of compiled functions."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_compiled_now_or_read_from_the_cache_every_pixel_is_the_same(tmp_path):
    """numba may run one translation of a function when it has just compiled it, and another from its cache."""
    assert run(DIGEST, tmp_path) == run(DIGEST, tmp_path)


def test_a_volume_of_512_voxels_a_side_takes_less_than_three_gibibytes(tmp_path):
    """Process memory at most, GiB: volume, labels, their packed forms and four views; it is held once for all views."""
    used = float(run(MEMORY, os.environ.get("NUMBA_CACHE_DIR", tmp_path)))
    print(f"{used:.2f} GiB")
    assert used < 3.0
