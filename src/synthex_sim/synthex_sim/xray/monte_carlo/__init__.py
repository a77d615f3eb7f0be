"""Monte Carlo photon transport through voxels: reference images of scattered radiation.

    grid = MaterialGrid.from_patient(patient, TissueThresholds(), patient_pose)
    scatter = monte_carlo_scatter(grid, view, spectrum, absorbed_fraction, photons=20_000_000, seed=1)

Research and simulation only, not a medical device.
"""

from synthex_sim.xray.monte_carlo.history_random import history_key
from synthex_sim.xray.monte_carlo.material_grid import MaterialGrid
from synthex_sim.xray.monte_carlo.ray_sums import ray_sums
from synthex_sim.xray.monte_carlo.reference import monte_carlo_scatter
from synthex_sim.xray.monte_carlo.simulation import Problem, Tally, make_problem, photon_transport

__all__ = [
    "MaterialGrid", "Problem", "Tally", "history_key", "make_problem", "monte_carlo_scatter", "photon_transport",
    "ray_sums",
]
