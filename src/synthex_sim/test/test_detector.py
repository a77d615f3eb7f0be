"""The flat panel: every link of its chain against what its settings say."""

import math
from dataclasses import replace

import numpy as np
import pytest
from host_device import HostDevice

from synthex_sim.carm.detector_settings import DetectorSettings, LagComponent
from synthex_sim.xray.blur import blur_kernel, blurred, frequency_response, scintillator_mtf
from synthex_sim.xray.cuda.panel import CudaPanel
from synthex_sim.xray.detector import Detector
from synthex_sim.xray.lag import Lag
from synthex_sim.xray.radiograph import OPEN_FIELD_COUNTS
from synthex_sim.xray.spectrum import tube_spectrum

PIXEL = 0.194
PANEL = DetectorSettings(PIXEL, 0.6, 0.91, 1.37, 0.001, 64.0, 16, (LagComponent(0.02, 0.04), LagComponent(0.03, 0.4)))
OPEN = 1.2e6


def flat(value, size=256, views=1):
    return np.full((views, size, size), value, np.float32)


def read(panel, energy, quantum_kev=52.0, open_field=OPEN, pixel=PIXEL, **options):
    options = {"noise": False, "blur": False, "seed": 3, "samples": range(len(energy))} | options
    return Detector(panel).read(energy, energy * np.float32(quantum_kev), open_field, pixel, **options)


# -- absorption ---------------------------------------------------------------------------------------------------
def test_the_scintillator_absorbs_by_beer_lambert_and_jumps_at_its_k_edges():
    """NIST: mu / rho of CsI at 60 keV is 7.92 cm^2/g; K edges at 33.17 (I) and 35.98 keV (Cs)."""
    detector = Detector(PANEL)
    below, above, sixty = detector.absorbed_fraction([33.0, 36.5, 60.0])
    assert sixty == pytest.approx(1 - math.exp(-7.92 * 4.51 * 0.06), rel=0.01)
    assert above > below + 0.05
    assert (Detector(DetectorSettings.ideal(PIXEL)).absorbed_fraction([20.0, 90.0]) == 1).all()


def test_the_open_field_is_the_sum_over_the_spectrum(carm):
    detector, spectrum = Detector(PANEL), tube_spectrum(carm.tube, 1020.0)
    photons = spectrum.photons_per_mm2_mas * 0.5 * PIXEL**2
    by_hand = photons * sum(
        weight * energy * detector.absorbed_fraction([energy])[0]
        for weight, energy in zip(spectrum.weights, spectrum.energies_kev, strict=True)
    )
    assert detector.open_field_kev(spectrum, 0.5, PIXEL) == pytest.approx(by_hand, rel=1e-9)
    assert Detector(carm.detector).saturation_kev(PIXEL) > by_hand  # one frame of the shipped profile does not saturate


# -- counts and the way back --------------------------------------------------------------------------------------
def test_counts_are_proportional_to_energy_and_there_is_a_way_back():
    energy = np.linspace(0, OPEN, 256 * 256).reshape(1, 256, 256).astype(np.float32)
    image = read(DetectorSettings.ideal(PIXEL), energy)
    assert image.counts.dtype == np.uint16 and image.open_field == [OPEN_FIELD_COUNTS]
    assert image.transmission == pytest.approx(energy / OPEN, abs=0.51 / OPEN_FIELD_COUNTS)
    assert image.absorbed_energy_kev == pytest.approx(energy, abs=0.51 * OPEN / OPEN_FIELD_COUNTS)


def test_each_view_has_its_own_gain():
    image = read(PANEL, flat(1e5, 8, 2), open_field=[2e5, 4e5])
    assert (image.counts[0] == 30000).all() and (image.counts[1] == 15000).all()


def test_fixed_gain_gives_the_saturated_panel_the_largest_count():
    limit = Detector(PANEL).saturation_kev(PIXEL)
    image = read(PANEL, np.float32([[[0.0, limit / 2, limit, 3 * limit]]]), open_field=2 * limit, gain="fixed")
    assert image.counts[0, 0] == pytest.approx([0, 32768, 65535, 65535], abs=1)
    assert image.open_field == pytest.approx([131070.0]) and image.saturated == [65535]


def test_with_automatic_gain_an_overexposed_image_is_white_and_the_way_back_stays():
    """Twice the dose that the panel takes: a saturated pixel has 60000 counts, an open one would have 120000."""
    limit = Detector(PANEL).saturation_kev(PIXEL)
    image = read(PANEL, np.float32([[[0.5 * limit, 1.5 * limit, 2 * limit]]]), open_field=2 * limit)
    assert (image.counts[0, 0] == [30000, 60000, 60000]).all() and image.saturated == [60000]
    assert image.open_field == pytest.approx([120000.0])
    assert image.transmission[0, 0, 0] == pytest.approx(0.25)
    assert image.absorbed_energy_kev[0, 0, 0] == pytest.approx(limit / 2)


@pytest.mark.parametrize("dose", [0.5, 0.99, 1.01, 1e4])
def test_whatever_the_dose_the_brightest_pixel_has_the_open_fields_counts(dose):
    """No jump where the open field begins to saturate, and no darkness at a thousand times that."""
    limit = Detector(PANEL).saturation_kev(PIXEL)
    image = read(PANEL, flat(dose * limit, 4), open_field=dose * limit)
    assert (image.counts == OPEN_FIELD_COUNTS).all()
    assert (image.counts >= image.saturated[0]).all() == (dose > 1)


def test_a_saturated_pixel_keeps_its_readout_noise():
    """The charge is at its limit, the electronics behind it fluctuate: half of the pixels fall below the top."""
    limit = Detector(PANEL).saturation_kev(PIXEL)
    noisy = replace(PANEL, readout_noise_ugy=0.01)
    image = read(noisy, flat(5 * limit), open_field=2 * limit, noise=True, quantum_kev=0.0)
    assert (image.counts < image.saturated[0]).mean() == pytest.approx(0.46, abs=0.05)
    assert image.counts.min() > 0.99 * image.saturated[0]


def test_a_converter_with_fewer_bits_has_coarser_steps():
    energy = np.linspace(0, OPEN, 4096).reshape(1, 64, 64).astype(np.float32)
    counts = read(replace(PANEL, bits=12), energy).counts
    assert (counts % 16 == 0).all() and len(np.unique(counts)) > 3000
    assert counts * (OPEN / OPEN_FIELD_COUNTS) == pytest.approx(energy, abs=8.1 * OPEN / OPEN_FIELD_COUNTS)


# -- noise --------------------------------------------------------------------------------------------------------
def test_noise_variance_is_proportional_to_the_signal():
    """var = 52 keV x energy / Swank factor + read-out noise^2, over three decades."""
    panel = replace(PANEL, saturation_ugy=math.inf)
    for energy in (2e3, 2e4, 2e5, 1e6):
        image = read(panel, flat(energy, 500), noise=True)
        expected = 52 * energy / 0.91 + Detector(panel).readout_noise_kev(PIXEL) ** 2 + image.kev_per_count[0] ** 2 / 12
        assert image.absorbed_energy_kev.var() == pytest.approx(expected, rel=0.015)
        assert image.absorbed_energy_kev.mean() == pytest.approx(energy, rel=2e-3)


def test_readout_noise_of_a_binned_pixel_is_the_sum_of_its_own():
    detector = Detector(PANEL)
    assert detector.readout_noise_kev(4 * PIXEL) == pytest.approx(4 * detector.readout_noise_kev(PIXEL))
    image = read(PANEL, flat(1e5, 400), quantum_kev=0.0, noise=True, open_field=2e5)
    assert image.absorbed_energy_kev.std() == pytest.approx(detector.readout_noise_kev(PIXEL), rel=0.01)


def test_the_same_address_gives_the_same_pixels_in_any_batch():
    energy = flat(2e5, 60, 4)
    together = read(PANEL, energy, noise=True, blur=True, samples=[4, 5, 6, 7]).counts
    alone = read(PANEL, energy[:1], noise=True, blur=True, samples=[6]).counts
    assert (together[2] == alone[0]).all() and (together[1] != alone[0]).any()


# -- blur ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("pixel", "anywhere", "below"), [
    (0.194, 0.018, 0.008), (0.388, 0.08, 0.037), (0.83, 0.054, 0.027),
])
def test_a_point_is_blurred_by_the_stated_mtf(pixel, anywhere, below):
    """The transform of a point's image; the errors are those that blur.py states."""
    point = np.zeros((1, 129, 129), np.float32)
    point[0, 64, 64] = 1.0
    response = np.abs(np.fft.fft2(blurred(point, blur_kernel(1.37, pixel))[0]))
    frequency = np.fft.fftfreq(129)
    error = np.abs(response - scintillator_mtf(np.hypot(frequency[:, None], frequency) / pixel, 1.37))
    inner = np.abs(frequency) < 0.4
    assert error.max() < anywhere and error[np.ix_(inner, inner)].max() < below
    assert response[0, 0] == pytest.approx(1.0, abs=1e-6)


def test_a_slanted_edge_in_the_counts_has_the_mtf_of_the_settings():
    """IEC 62220's measurement: an edge at 3 degrees, oversampled along its normal; pixels hold area averages."""
    size, slope = 512, math.tan(math.radians(3.0))
    rows, columns = np.mgrid[:size, :size].astype(float)
    distance = (columns - size / 2 - slope * (rows - size / 2)) * math.cos(math.radians(3.0))
    energy = OPEN * (0.1 + 0.8 * np.clip(distance + 0.5, 0, 1))[None].astype(np.float32)
    counts = read(PANEL, energy, blur=True).transmission[0]
    fine = 8
    bins = np.floor((distance + 30) * fine).astype(int)
    inside = (bins >= 0) & (bins < 60 * fine)
    line = np.diff(np.bincount(bins[inside], counts[inside]) / np.bincount(bins[inside]))
    frequency = np.fft.rfftfreq(line.size, 1 / fine)
    measured = np.abs(np.fft.rfft(line)) / np.abs(line.sum())
    aperture = np.sinc(frequency) * np.sinc(frequency / fine)  # the pixel's, and the fine bins'
    keep = frequency < 0.45
    expected = scintillator_mtf(frequency / PIXEL, 1.37) * aperture
    assert measured[keep] == pytest.approx(expected[keep], abs=0.02)


def test_light_is_never_negative_and_an_even_image_stays_even():
    for pixel in (0.1, 0.194, 0.388, 0.83, 1.2):
        assert (blur_kernel(1.37, pixel) >= 0).all()
    assert blurred(flat(7.0, 40), blur_kernel(1.37, PIXEL)) == pytest.approx(7.0, rel=1e-5)
    assert blur_kernel(math.inf, PIXEL).shape == (1, 1)


def test_the_noise_power_spectrum_takes_the_shape_of_the_mtf_squared():
    panel = replace(PANEL, readout_noise_ugy=0.0)
    signal = 2e5
    images = read(panel, flat(signal, 128, 40), noise=True, blur=True).absorbed_energy_kev - signal
    power = (np.abs(np.fft.fft2(images)) ** 2).mean(axis=0) / 128**2 / (52 * signal / 0.91)
    frequency = np.fft.fftfreq(128)
    radius = np.hypot(frequency[:, None], frequency)
    for low, high in ((0.02, 0.1), (0.1, 0.2), (0.2, 0.3), (0.3, 0.4)):
        ring = (radius >= low) & (radius < high)
        expected = (scintillator_mtf(radius[ring] / PIXEL, 1.37) ** 2).mean()
        assert power[ring].mean() == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("half_per_mm", [5.0, 20.0, 100.0, 360.0, 1e9])
def test_a_sharp_scintillator_needs_few_taps_and_ends_in_none(half_per_mm):
    """Each MTF is met; what pixels cannot see is no blur, and the search for more taps ends."""
    kernel = blur_kernel(half_per_mm, PIXEL)
    frequency = np.linspace(0, 0.4, 9)
    expected = scintillator_mtf(np.hypot(frequency[:, None], frequency) / PIXEL, half_per_mm)
    assert frequency_response(kernel, frequency) == pytest.approx(expected, abs=0.04)
    assert kernel.shape == ((1, 1) if half_per_mm == 1e9 else (3, 3))


def test_blur_that_no_small_kernel_holds_is_refused():
    with pytest.raises(ValueError, match="too wide a blur"):
        blur_kernel(0.1, PIXEL)


# -- lag ----------------------------------------------------------------------------------------------------------
def test_lag_decays_as_its_settings_say_and_loses_no_charge():
    """One frame, then darkness: A (1 - r) r^(k-1) for each component, r = exp(-dt / tau); all of the signal in all."""
    lag, interval = Lag(PANEL.lag), 0.05
    frames = [lag.read(np.full((2, 2), value), interval)[0, 0] for value in [1.0] + [0.0] * 60]
    kept = [(c.fraction, math.exp(-interval / c.time_constant_s)) for c in PANEL.lag]
    expected = [0.95, *(sum(a * (1 - r) * r ** (k - 1) for a, r in kept) for k in range(1, 61))]
    assert frames == pytest.approx(expected, rel=1e-9) and sum(frames) == pytest.approx(1.0, abs=1e-4)


def test_lag_follows_the_clock_and_not_the_number_of_frames():
    slow, fast = Lag(PANEL.lag), Lag(PANEL.lag)
    slow.read(np.ones((1, 1)), 1.0), fast.read(np.ones((1, 1)), 1.0)
    once = slow.read(np.zeros((1, 1)), 0.3)
    twice = fast.read(np.zeros((1, 1)), 0.1) + fast.read(np.zeros((1, 1)), 0.2)
    assert once == pytest.approx(twice)


def test_the_shipped_lag_is_that_of_its_source(carm):
    """Residual signal of 2.0, 0.7, 0.4, 0.3 % in the first four frames (Siewerdsen and Jaffray 1999)."""
    lag = Lag(carm.detector.lag)
    lag.read(np.ones((1, 1)), 1 / 15)
    residual = [lag.read(np.zeros((1, 1)), 1 / 15)[0, 0] for _ in range(4)]
    assert residual == pytest.approx([0.02, 0.007, 0.004, 0.003], abs=2e-4)


def test_a_series_remembers_and_a_single_shot_does_not():
    bright, dark = flat(OPEN / 2, 16), flat(0.0, 16)
    lag = Lag(PANEL.lag)
    read(PANEL, bright, lag=lag, interval_s=0.05)
    ghost = read(PANEL, dark, lag=lag, interval_s=0.05).counts
    assert 100 < ghost.mean() < 0.05 * OPEN_FIELD_COUNTS
    assert (read(PANEL, dark).counts == 0).all()
    lag.reset()
    assert (read(PANEL, dark, lag=lag, interval_s=0.05).counts == 0).all()
    with pytest.raises(ValueError, match="reset it first"):
        read(PANEL, flat(0.0, 8), lag=lag)
    with pytest.raises(ValueError, match="time between two frames"):
        read(PANEL, dark, lag=lag, interval_s=0.0)


# -- settings and bad input ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(("change", "message"), [
    ({"csi_thickness_mm": 0.0}, "csi_thickness_mm must be positive"),
    ({"mtf_half_per_mm": float("nan")}, "mtf_half_per_mm must be positive"),
    ({"swank_factor": 1.2}, "swank_factor must lie"),
    ({"readout_noise_ugy": -1.0}, "readout_noise_ugy must not be negative"),
    ({"bits": 20}, "bits must lie in 8..16"),
    ({"lag": (LagComponent(0.6, 1.0), LagComponent(0.5, 1.0))}, "sum to less than 1"),
    ({"lag": (LagComponent(0.1, 0.0),)}, "positive time constants"),
])
def test_wrong_settings_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(PANEL, **change)


def test_a_profile_section_is_read_whole_or_not_at_all():
    section = {
        "csi_thickness_mm": 0.5, "swank_factor": 0.9, "mtf_half_per_mm": 1.2, "readout_noise_ugy": 0.002,
        "saturation_ugy": 30, "bits": 14, "lag": [{"fraction": 0.02, "time_constant_s": 0.1}],
    }
    settings = DetectorSettings.from_section(section, 0.2)
    assert settings == DetectorSettings(0.2, 0.5, 0.9, 1.2, 0.002, 30.0, 14, (LagComponent(0.02, 0.1),))
    with pytest.raises(ValueError, match="detector_response: missing keys bits"):
        DetectorSettings.from_section({k: v for k, v in section.items() if k != "bits"}, 0.2)
    with pytest.raises(ValueError, match="lag must be a list"):
        DetectorSettings.from_section(section | {"lag": 3}, 0.2)
    with pytest.raises(ValueError, match="lag: missing keys time_constant_s"):
        DetectorSettings.from_section(section | {"lag": [{"fraction": 0.1}]}, 0.2)


@pytest.mark.parametrize(("options", "message"), [
    ({"open_field": 0.0}, "open field must absorb some energy"),
    ({"gain": "manual"}, "gain must be 'auto' or 'fixed'"),
    ({"energy": -flat(1.0, 4)}, "finite and not negative"),
    ({"energy": flat(np.nan, 4)}, "finite and not negative"),
    ({"energy": flat(1.0, 4)[0]}, "must be .V, R, C."),
    ({"panel": DetectorSettings.ideal(PIXEL), "gain": "fixed"}, "panel that saturates"),
])
def test_bad_input_is_refused(options, message):
    options = {"panel": PANEL, "energy": flat(1.0, 4)} | options
    with pytest.raises(ValueError, match=message):
        read(options.pop("panel"), options.pop("energy"), **options)


# -- the same on the GPU ------------------------------------------------------------------------------------------
def test_the_cuda_panel_gives_the_same_image(tmp_path):
    """CudaPanel with numpy in CuPy's place and its kernels compiled for the host: one count or one quantum apart."""
    panel = CudaPanel(HostDevice(tmp_path))
    rng = np.random.default_rng(2)
    energy = rng.uniform(0, 1.3 * OPEN, (2, 37, 45)).astype(np.float32)
    energy[:, :5] *= 1e-4
    for settings, noise, blur in ((replace(PANEL, bits=14), False, False), (PANEL, True, False), (PANEL, True, True)):
        options = {"seed": 3, "samples": [8, 9], "noise": noise, "blur": blur}
        arguments = (energy, energy * np.float32(52), [OPEN, 5 * OPEN], PIXEL)  # the second saturates
        cpu, cuda = (Detector(settings, where).read(*arguments, **options) for where in (None, panel))
        apart = np.abs(cpu.counts.astype(int) - cuda.counts)
        assert apart.max() <= 4 and (apart == 0).mean() > 0.99
        assert (cpu.open_field == cuda.open_field).all() and cuda.counts.dtype == np.uint16
    with pytest.raises(ValueError, match="finite and not negative"):
        Detector(PANEL, panel).read(-energy, energy, OPEN, PIXEL, seed=0, samples=[0, 1])
