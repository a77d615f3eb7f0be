"""The counter-based noise: known answers, distributions, independence of batch and threads, and the same in CUDA C."""

import numpy as np
import pytest
from cuda_host import HostModule
from numba import get_num_threads, set_num_threads
from scipy import stats

from synthex_sim.random_streams import Purpose
from synthex_sim.xray.cuda import cuda_source
from synthex_sim.xray.noise import GROUP, LANES, absorbed_energy, noise_address, unit_normals
from synthex_sim.xray.philox import philox


def words(text):
    return np.array([int(word, 16) for word in text.split()], np.uint32)


@pytest.mark.parametrize(("counter", "key", "expected"), [
    ("0 0 0 0", "0 0", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
])
def test_philox_gives_the_known_answers_of_its_authors(counter, key, expected):
    """Random123's kat_vectors, philox4x32-10."""
    assert (philox(words(counter), words(key)) == words(expected)).all()


def test_the_address_of_a_pixel_is_the_documented_one():
    """Pixel 1024 g + 256 j + l of sample s: word j of counter (256 g + l, purpose and draw, s), key = seed."""
    seed, sample = 0x1234567890ABCDEF, 0xFEDCBA0987654321
    normals = unit_normals((1, 1, 5000), seed, [sample], Purpose.READOUT_NOISE, draw=2)[0, 0]
    for pixel in (0, 255, 256, 1023, 1024, 4321):
        group, j, lane = pixel // GROUP, pixel % GROUP // LANES, pixel % LANES
        counter = [LANES * group + lane, (int(Purpose.READOUT_NOISE) << 16) | 2, sample & 0xFFFFFFFF, sample >> 32]
        word = philox(np.array(counter, np.uint32), np.array([seed & 0xFFFFFFFF, seed >> 32], np.uint32))[j]
        assert normals[pixel] == pytest.approx(stats.norm.ppf((float(word) + 0.5) / 2**32), abs=2e-6)


def quanta(mean, count=400_000, seed=5):
    """Counts of ``count`` pixels that expect ``mean`` quanta of 50 keV."""
    energy = np.full((1, 1, count), 50.0 * mean, np.float32)
    return absorbed_energy(energy, energy * np.float32(50), seed, [3])[0, 0].astype(float) / 50


@pytest.mark.parametrize("mean", [0.01, 0.3, 3.0, 9.99, 10.01, 30.0, 1e3, 1e5, 1e7])
def test_drawn_quanta_are_poisson_distributed(mean):
    """Mean and variance within 4 standard errors; Kolmogorov-Smirnov distance as of true Poisson counts."""
    drawn = quanta(mean)
    standard_error = np.sqrt(mean / drawn.size)
    assert abs(drawn.mean() - mean) < 4 * standard_error
    assert drawn.var() / mean == pytest.approx(1.0, abs=4 * np.sqrt((2 + 1 / mean) / drawn.size))
    counts = np.rint(drawn)
    assert np.abs(drawn - counts).max() <= max(1e-3, 1e-6 * mean)
    steps, occurrences = np.unique(counts, return_counts=True)
    distance = np.abs(np.cumsum(occurrences) / drawn.size - stats.poisson.cdf(steps, mean)).max()
    assert distance < 1.6 / np.sqrt(drawn.size)  # exceeded by 1.2 % of true samples; less often for lattices


def test_the_expansion_is_the_poisson_quantile_just_above_its_threshold():
    """At n = 10.01, where the expansion is worst, 99.9 % of the pixels have exactly the count of scipy's quantile."""
    mean = 10.01
    energy = np.full((1, 1, 20000), 50.0 * mean, np.float32)
    drawn = np.rint(absorbed_energy(energy, energy * np.float32(50), 8, [0])[0, 0] / 50)
    z = unit_normals((1, 1, 20000), 8, [0], Purpose.QUANTUM_NOISE)[0, 0]
    assert (drawn == stats.poisson.ppf(stats.norm.cdf(z), mean)).mean() > 0.999


def test_normals_are_normal_and_their_tails_are_there():
    z = unit_normals((1, 1000, 1000), 1, [0], Purpose.READOUT_NOISE).ravel().astype(float)
    assert stats.kstest(z, "norm").pvalue > 0.001
    assert z.var() == pytest.approx(1.0, abs=0.006)
    assert 4.2 < -z.min() < 6.4 and 4.2 < z.max() < 6.4


def test_neighbouring_pixels_samples_and_purposes_are_not_correlated():
    a = unit_normals((2, 500, 500), 1, [0, 1], Purpose.READOUT_NOISE)
    b = unit_normals((1, 500, 500), 1, [0], Purpose.QUANTUM_NOISE)[0]
    for other in (a[1], b, np.roll(a[0], 1), np.roll(a[0], 256), np.roll(a[0], 1024)):
        assert abs(np.corrcoef(a[0].ravel(), other.ravel())[0, 1]) < 4 / np.sqrt(a[0].size)


def test_a_pixel_does_not_depend_on_batch_threads_or_neighbours():
    rng = np.random.default_rng(0)
    energy = rng.uniform(0, 3000, (5, 61, 53)).astype(np.float32)
    energy[:, ::7] = 20.0
    variance = energy * np.float32(45)
    together = absorbed_energy(energy, variance, 9, range(40, 45))
    alone = absorbed_energy(energy[3:4], variance[3:4], 9, [43])
    assert (together[3] == alone[0]).all()
    cropped = absorbed_energy(energy[3:4, :20], variance[3:4, :20], 9, [43])
    assert (cropped[0] == alone[0, :20]).all()
    threads = get_num_threads()
    try:
        set_num_threads(1)
        assert (absorbed_energy(energy, variance, 9, range(40, 45)) == together).all()
    finally:
        set_num_threads(threads)
    energy[3, 0, 0], variance[3, 0, 0] = 1.0, 50.0  # one pixel of few quanta switches nothing for its neighbours
    assert (absorbed_energy(energy, variance, 9, range(40, 45))[3].ravel()[1:] == alone[0].ravel()[1:]).all()


def test_no_energy_gives_none_and_no_variance_no_noise():
    energy = np.array([[[0.0, 0.0, 7.0, 1e4, 1e5]]], np.float32)
    variance = np.array([[[0.0, 3.0, 0.0, 1e-35, 5e6]]], np.float32)
    drawn = absorbed_energy(energy, variance, 0, [0])[0, 0]
    assert (drawn[:4] == [0, 0, 7, 1e4]).all() and drawn[4] != 1e5


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
@pytest.mark.parametrize("where", [0, 1])
def test_bad_numbers_are_refused(value, where):
    arrays = [np.ones((1, 40, 40), np.float32), np.ones((1, 40, 40), np.float32)]
    arrays[where][0, 39, 39] = value
    with pytest.raises(ValueError, match="finite and not negative"):
        absorbed_energy(*arrays, 0, [0])


@pytest.mark.parametrize(("seed", "samples", "message"), [
    (-1, [0], "seed must be"), (0, [2**64], "sample must be"), (0, [0, 1], "1 images need"),
])
def test_bad_addresses_are_refused(seed, samples, message):
    with pytest.raises(ValueError, match=message):
        unit_normals((1, 4, 4), seed, samples, Purpose.READOUT_NOISE)


def test_cuda_source_draws_the_same_numbers(tmp_path):
    """The kernels as g++ compiles them against numba: normals to 2e-6, energies to rounding or one quantum."""
    kernels = HostModule(cuda_source("noise"), tmp_path)
    rng = np.random.default_rng(1)
    mean = np.exp(rng.uniform(np.log(0.01), np.log(1e6), (3, 101, 77)))
    mean[2] = rng.uniform(10, 30, mean[2].shape)  # where each term of the expansion decides about single quanta
    energy = (50.0 * mean).astype(np.float32)
    energy[0, 0, :3], variance = 0.0, energy * np.float32(50)
    variance[0, 0, 5] = 0.0
    pixels = energy[0].size
    grid, block = (-(-pixels // GROUP), 3), (LANES,)
    samples, tag, key = noise_address(77, [5, 2**40, 7], 3, Purpose.QUANTUM_NOISE, 1)
    cuda = np.empty_like(energy)
    address = (samples, tag, key[0], key[1], np.uint32(pixels))
    bad = np.zeros(1, np.int32)
    kernels["draw_absorbed_energy"](grid, block, (energy, variance, *address, cuda, bad))
    assert bad[0] == 0
    cpu = absorbed_energy(energy, variance, 77, [5, 2**40, 7], draw=1)
    apart = np.abs(cuda - cpu) > 1e-6 * energy
    assert apart.mean() < 1e-3 and np.abs(cuda - cpu)[apart].max(initial=0) <= 50.1 + 1e-6 * energy.max()
    assert apart[2].mean() < 3e-4
    normals = np.empty_like(energy)
    kernels["draw_unit_normals"](grid, block, (*address, normals))
    assert normals == pytest.approx(unit_normals(energy.shape, 77, [5, 2**40, 7], Purpose.QUANTUM_NOISE, 1), abs=2e-6)
