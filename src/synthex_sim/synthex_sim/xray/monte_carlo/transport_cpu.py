"""Photon transport on the CPU. ``transport.cu`` is the same algorithm, number for number, for CUDA.

Flights are sampled by delta tracking (Woodcock et al. 1965): with the largest attenuation of the volume, where a
collision is real with the probability mu / mu_max. Histories are split into a fixed number of chunks, each with a tally
of its own, and the tallies are added in order: the result does not depend on the number of threads.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

from synthex_sim.xray.monte_carlo.history_random import STATE_WORDS, start, uniform
from synthex_sim.xray.monte_carlo.interactions import (
    CUTOFF_KEV,
    ELECTRON_KEV,
    ENERGY_MIN_KEV,
    ENERGY_STEP_KEV,
    INVERSE_ANGSTROM_PER_KEV,
    X_STEP,
)
from synthex_sim.xray.pixel_ray import direction_through, squared_length
from synthex_sim.xray.ray_range import clip_to_slab

#: Images of a tally: energy absorbed from primary photons, from photons scattered once by Compton or by Rayleigh, from
#: those scattered more often, and the sum of the squared energies of all scattered ones.
PRIMARY, COMPTON, RAYLEIGH, MULTIPLE, SCATTER_SQUARED = range(5)
CHANNELS = 5
#: Scalars of a tally: energy emitted, incident on the detector, gone elsewhere; then deposited in each material.
EMITTED, DETECTED, ESCAPED, DEPOSITED = range(4)
#: Optical depth beyond which forced detection scores nothing.
_OPAQUE = 25.0


@njit(nogil=True, cache=True, inline="always")
def _entry_below(place):
    """The entry below a place in a table, and how far the place is beyond it."""
    low = int(place)
    return low, place - low


@njit(nogil=True, cache=True, inline="always")
def _energy_below(energy):
    """The same for an energy in a table over the energy grid."""
    return _entry_below((energy - ENERGY_MIN_KEV) * (1.0 / ENERGY_STEP_KEV))


@njit(nogil=True, cache=True, inline="always")
def _between(below, above, part):
    return below + part * (above - below)


@njit(nogil=True, cache=True, inline="always")
def _at_energy(table, energy):
    """Linear interpolation in a table over the energy grid."""
    low, part = _energy_below(energy)
    return _between(table[low], table[low + 1], part)


@njit(nogil=True, cache=True, inline="always")
def _at_transfer(table, transfer):
    """Linear interpolation in a table over the momentum grid."""
    low, part = _entry_below(transfer * (1.0 / X_STEP))
    return _between(table[low], table[low + 1], part)


@njit(nogil=True, cache=True)
def _set_energy(energy, attenuation, total):
    """Fills (M,) ``total`` with every material's attenuation at this energy, 1/mm at 1 g/cm^3."""
    low, part = _energy_below(energy)
    for m in range(total.shape[0]):
        a = attenuation[m, low, 0] + attenuation[m, low, 1] + attenuation[m, low, 2]
        b = attenuation[m, low + 1, 0] + attenuation[m, low + 1, 1] + attenuation[m, low + 1, 2]
        total[m] = _between(a, b, part)


@njit(nogil=True, cache=True, inline="always")
def _klein_nishina(energy, mu):
    """Relative Klein-Nishina cross section (1 forwards) and the ratio of the energies after and before."""
    ratio = 1.0 / (1.0 + energy / ELECTRON_KEV * (1.0 - mu))
    return 0.5 * ratio * ratio * (ratio + 1.0 / ratio - 1.0 + mu * mu), ratio


@njit(nogil=True, cache=True)
def sample_compton(state, energy, incoherent):
    """Cosine of the scattering angle and energy ratio of a Compton event, by rejection from the uniform sphere."""
    while True:
        mu = 2.0 * uniform(state) - 1.0
        value, ratio = _klein_nishina(energy, mu)
        transfer = energy * INVERSE_ANGSTROM_PER_KEV * math.sqrt(0.5 * (1.0 - mu))
        if uniform(state) <= value * _at_transfer(incoherent, transfer):
            return mu, ratio


@njit(nogil=True, cache=True)
def sample_rayleigh(state, energy, cumulative):
    """Cosine of the scattering angle of a Rayleigh event: x^2 from F^2, then rejection by (1 + mu^2) / 2."""
    largest = energy * INVERSE_ANGSTROM_PER_KEV
    top = _at_transfer(cumulative, largest)
    end = int(largest * (1.0 / X_STEP)) + 1
    while True:
        wanted = uniform(state) * top
        low, high = 0, end
        while high - low > 1:
            middle = (low + high) // 2
            if cumulative[middle] <= wanted:
                low = middle
            else:
                high = middle
        part = (wanted - cumulative[low]) / (cumulative[high] - cumulative[low])
        x2 = (low * low + part * (high * high - low * low)) * (X_STEP * X_STEP)
        mu = 1.0 - 2.0 * min(x2 / (largest * largest), 1.0)
        if uniform(state) <= 0.5 * (1.0 + mu * mu):
            return mu


@njit(nogil=True, cache=True)
def _turn(state, direction, mu):
    """Turns a unit direction by the polar angle of cosine mu and a random azimuth."""
    angle = 2.0 * math.pi * uniform(state)
    sin_theta = math.sqrt(max(0.0, 1.0 - mu * mu))
    a, b = sin_theta * math.cos(angle), sin_theta * math.sin(angle)
    dx, dy, dz = direction[0], direction[1], direction[2]
    side = math.sqrt(max(0.0, 1.0 - dz * dz))
    if side < 1e-6:
        x, y, z = a, b, mu * math.copysign(1.0, dz)
    else:
        x = mu * dx + (a * dx * dz - b * dy) / side
        y = mu * dy + (a * dy * dz + b * dx) / side
        z = mu * dz - a * side
    scale = 1.0 / math.sqrt(x * x + y * y + z * z)
    direction[0], direction[1], direction[2] = x * scale, y * scale, z * scale


@njit(nogil=True, cache=True)
def _enter(position, direction, box):
    """Distance to and out of the box 0..box along a ray; the first is past the second where it misses."""
    near, far = 0.0, 1e30
    for axis in range(3):
        near, far = clip_to_slab(position[axis], direction[axis], 0.0, box[axis], near, far)
    return near, far


@njit(nogil=True, cache=True)
def optical_depth(position, direction, box, inv_spacing, material, density, total):
    """Optical depth from a point inside the box to its surface, voxel by voxel (Amanatides and Woo 1987)."""
    index = np.empty(3, np.int64)
    step = np.empty(3, np.int64)
    following = np.empty(3)
    across = np.empty(3)
    for axis in range(3):
        place = position[axis] * inv_spacing[axis]
        index[axis] = min(max(int(place), 0), material.shape[axis] - 1)
        if direction[axis] > 1e-12:
            step[axis] = 1
            across[axis] = 1.0 / (direction[axis] * inv_spacing[axis])
            following[axis] = (index[axis] + 1 - place) * across[axis]
        elif direction[axis] < -1e-12:
            step[axis] = -1
            across[axis] = -1.0 / (direction[axis] * inv_spacing[axis])
            following[axis] = (place - index[axis]) * across[axis]
        else:
            step[axis] = 0
            across[axis] = following[axis] = 1e30
    depth, at = 0.0, 0.0
    while depth < _OPAQUE:
        axis = 0
        if following[1] < following[axis]:
            axis = 1
        if following[2] < following[axis]:
            axis = 2
        i, j, k = index[0], index[1], index[2]
        depth += density[i, j, k] * total[material[i, j, k]] * (following[axis] - at)
        at = following[axis]
        index[axis] += step[axis]
        if index[axis] < 0 or index[axis] >= material.shape[axis]:
            return depth
        following[axis] += across[axis]
    return depth


@njit(nogil=True, cache=True)
def _detect(position, direction, camera, pinhole, extent):
    """Where a photon that flies freely meets the detector: (row, column of the coarse image, met at all)."""
    z = camera[2, 3]
    dz = 0.0
    for k in range(3):
        z += camera[2, k] * position[k]
        dz += camera[2, k] * direction[k]
    if dz <= 1e-9 or z > pinhole[4]:
        return 0, 0, False
    along = (pinhole[4] - z) / dz
    x, y = camera[0, 3], camera[1, 3]
    for k in range(3):
        x += camera[0, k] * (position[k] + along * direction[k])
        y += camera[1, k] * (position[k] + along * direction[k])
    col = math.floor((pinhole[0] * x / pinhole[4] + pinhole[2] + 0.5) * extent[2])
    row = math.floor((pinhole[1] * y / pinhole[4] + pinhole[3] + 0.5) * extent[3])
    return int(row), int(col), 0 <= row < extent[1] and 0 <= col < extent[0]


@njit(nogil=True, cache=True)
def _channel(order, last):
    """Which image a photon scattered ``order`` times, the last time by ``last``, belongs to."""
    if order == 0:
        return PRIMARY
    return last if order == 1 else MULTIPLE


@njit(nogil=True, cache=True)
def _score(image, row, col, channel, energy, absorbed):
    image[channel, row, col] += energy * absorbed
    if channel != PRIMARY:
        image[SCATTER_SQUARED, row, col] += energy * energy * absorbed


@njit(nogil=True, cache=True)
def _force_compton(
    state, image, position, direction, energy, weight, m, order, tables, volume, total, sight, camera, pinhole, extent,
    pixels, absorbed, plane_mm2,
):
    """Forced detection of a Compton event: its expected signal at one random point of the detector."""
    attenuation, incoherent, incoherent_norm = tables[0], tables[1], tables[2]
    box, inv_spacing, material, density = volume
    u = pixels[0] * uniform(state) - 0.5
    v = pixels[1] * uniform(state) - 0.5
    x = (u - pinhole[2]) / pinhole[0] * pinhole[4]
    y = (v - pinhole[3]) / pinhole[1] * pinhole[4]
    length2 = 0.0
    for axis in range(3):
        # from the event to the point on the detector, in the box frame: the camera's rotation transposed
        sight[axis] = -position[axis]
        sight[axis] += camera[0, axis] * (x - camera[0, 3])
        sight[axis] += camera[1, axis] * (y - camera[1, 3])
        sight[axis] += camera[2, axis] * (pinhole[4] - camera[2, 3])
        length2 += sight[axis] * sight[axis]
    scale = 1.0 / math.sqrt(length2)
    mu, facing = 0.0, 0.0
    for axis in range(3):
        sight[axis] *= scale
        mu += sight[axis] * direction[axis]
        facing += sight[axis] * camera[2, axis]
    if facing <= 0.0:
        return
    mu = min(1.0, max(-1.0, mu))
    transfer = energy * INVERSE_ANGSTROM_PER_KEV * math.sqrt(0.5 * (1.0 - mu))
    value, ratio = _klein_nishina(energy, mu)
    after = energy * ratio
    if after < CUTOFF_KEV:
        return
    _set_energy(after, attenuation, total)
    depth = optical_depth(position, sight, box, inv_spacing, material, density, total)
    if depth >= _OPAQUE:
        return
    chance = value * _at_transfer(incoherent[m], transfer) / _at_energy(incoherent_norm[m], energy)
    share = weight * chance * plane_mm2 * facing / length2 * math.exp(-depth) * _at_energy(absorbed, after)
    row = min(int((v + 0.5) * extent[3]), image.shape[1] - 1)
    col = min(int((u + 0.5) * extent[2]), image.shape[2] - 1)
    _score(image, row, col, _channel(order, COMPTON), after, share)


@njit(nogil=True, cache=True)
def _force_rayleigh(
    image, position, direction, energy, weight, order, volume, total, camera, pinhole, extent, absorbed
):
    """Forced detection of a Rayleigh event along the direction it took: that peak is too sharp for random points."""
    box, inv_spacing, material, density = volume
    row, col, met = _detect(position, direction, camera, pinhole, extent)
    if not met:
        return
    depth = optical_depth(position, direction, box, inv_spacing, material, density, total)
    if depth < _OPAQUE:
        share = weight * math.exp(-depth) * _at_energy(absorbed, energy)
        _score(image, row, col, _channel(order, RAYLEIGH), energy, share)


@njit(nogil=True, cache=True)
def _start_point(state, field, pixels):
    """Where on the detector a photon heads for, in pixels: evenly over the rectangle, then by the pixel's share."""
    edges, share = field
    rows, cols = share.shape
    while True:
        u = edges[0] + (edges[2] - edges[0]) * uniform(state)
        v = edges[1] + (edges[3] - edges[1]) * uniform(state)
        row = min(int((v + 0.5) * (rows / pixels[1])), rows - 1)
        col = min(int((u + 0.5) * (cols / pixels[0])), cols - 1)
        if share[row, col] >= 1.0 or uniform(state) < share[row, col]:
            return u, v


@njit(nogil=True, cache=True)
def _history(
    state, image, scalars, tables, majorant, volume, spectrum, source, pixel_to_direction, field, camera, pinhole,
    extent, pixels, absorbed, plane_mm2, isotropic, forced, position, direction, ahead, sight, total, total_ahead,
    ending,
):
    """Follows one photon from the source to its end."""
    attenuation, incoherent, incoherent_norm, cumulative = tables
    box, inv_spacing, material, density = volume
    cumulative_spectrum, energies = spectrum
    drawn = uniform(state)
    low, high = 0, energies.shape[0] - 1
    while low < high:
        middle = (low + high) // 2
        if cumulative_spectrum[middle] < drawn:
            low = middle + 1
        else:
            high = middle
    energy = energies[low]
    u, v = _start_point(state, field, pixels)
    direction[0], direction[1], direction[2] = direction_through(pixel_to_direction, u, v)
    norm = 1.0 / math.sqrt(squared_length(direction))
    for axis in range(3):
        position[axis] = source[axis]
        direction[axis] *= norm
    # photons are spread evenly over the detector; those of a point source thin out as cos^3
    weight = norm * norm * norm if isotropic else 1.0
    scalars[EMITTED] += energy * weight
    order, last = 0, 0
    alive = True
    near, far = _enter(position, direction, box)
    inside = near < far
    if inside:
        for axis in range(3):
            position[axis] += near * direction[axis]
        _set_energy(energy, attenuation, total)
        largest = _at_energy(majorant, energy)
    while inside:
        flight = -math.log(uniform(state)) / largest
        for axis in range(3):
            ahead[axis] = position[axis] + flight * direction[axis]
            if ahead[axis] < 0.0 or ahead[axis] >= box[axis]:
                inside = False
        if not inside:  # the photon stays where it was: a flight out of the box may pass the detector
            break
        position[0], position[1], position[2] = ahead[0], ahead[1], ahead[2]
        i = int(position[0] * inv_spacing[0])
        j = int(position[1] * inv_spacing[1])
        k = int(position[2] * inv_spacing[2])
        i, j, k = min(i, material.shape[0] - 1), min(j, material.shape[1] - 1), min(k, material.shape[2] - 1)
        m = material[i, j, k]
        chosen = uniform(state) * largest
        rho = density[i, j, k]
        if chosen >= rho * total[m]:
            continue
        low, part = _energy_below(energy)
        photo = rho * _between(attenuation[m, low, 0], attenuation[m, low + 1, 0], part)
        compton = rho * _between(attenuation[m, low, 1], attenuation[m, low + 1, 1], part)
        if chosen < photo:
            scalars[DEPOSITED + m] += energy * weight
            alive = False
            break
        order += 1
        last = COMPTON if chosen < photo + compton else RAYLEIGH
        if last == COMPTON:
            if forced:
                _force_compton(
                    state, image, position, direction, energy, weight, m, order, tables, volume, total_ahead, sight,
                    camera, pinhole, extent, pixels, absorbed, plane_mm2,
                )
            mu, ratio = sample_compton(state, energy, incoherent[m])
            scalars[DEPOSITED + m] += energy * (1.0 - ratio) * weight
            energy *= ratio
            if energy < CUTOFF_KEV:
                scalars[DEPOSITED + m] += energy * weight
                alive = False
                break
            _set_energy(energy, attenuation, total)
            largest = _at_energy(majorant, energy)
        else:
            mu = sample_rayleigh(state, energy, cumulative[m])
        _turn(state, direction, mu)
        if forced and last == RAYLEIGH:
            _force_rayleigh(
                image, position, direction, energy, weight, order, volume, total, camera, pinhole, extent, absorbed
            )
    ending[0], ending[1], ending[2] = weight if alive else 0.0, energy, order
    if not alive:
        return
    row, col, met = _detect(position, direction, camera, pinhole, extent)
    if not met:
        scalars[ESCAPED] += energy * weight
        return
    scalars[DETECTED] += energy * weight
    if order == 0 or not forced:
        _score(image, row, col, _channel(order, last), energy, weight * _at_energy(absorbed, energy))


@njit(parallel=True, nogil=True, cache=True)
def transport(
    images, scalars, tables, majorant, volume, spectrum, source, pixel_to_direction, field, camera, pinhole, extent,
    pixels, absorbed, plane_mm2, isotropic, forced, key, first, count, endings,
):
    """Follows ``count`` photons, beginning with history ``first``, in as many chunks as there are tallies.

    All geometry is in the box frame: millimetres along the voxel axes from the volume's corner.

    Args:
        images: (N, 5, r, c) float64, the chunks' tallies; added to.
        scalars: (N, 3 + M) float64, likewise.
        tables: attenuation, incoherent, incoherent_norm and coherent_cumulative of InteractionTables.
        majorant: (n,) largest attenuation in the volume over the energy grid, 1/mm.
        volume: (box (3,) mm, 1 / spacing (3,), material, density).
        spectrum: (cumulative shares (e,), energies (e,) keV).
        source: (3,) mm. pixel_to_direction: (3, 3), camera z component 1.
        field: (edges (4,), share (r, c) float32) of the BeamField.
        camera: (3, 4) box frame -> camera frame. pinhole: (5,) fx, fy, cx, cy of the view's pixels, SDD in mm.
        extent: (4,) columns and rows of the coarse image, coarse columns and rows per pixel of the view.
        pixels: (2,) columns and rows of the view. plane_mm2: the detector's area.
        absorbed: (n,) share of the energy that the detector absorbs, over the energy grid.
        isotropic: whether the source thins out as cos^3 towards the edges. forced: forced detection.
        key, first: uint64. count: int64.
        endings: (count, 9) float32 filled with how each photon left the volume (weight, 0 if absorbed; energy; times
            scattered; last position inside; direction), or (0, 9) where nobody asks.
    """
    chunks = images.shape[0]
    for chunk in prange(chunks):
        begin = count * chunk // chunks
        end = count * (chunk + 1) // chunks
        state = np.empty(STATE_WORDS, np.uint32)
        position, direction, ahead, sight, ending = np.empty(3), np.empty(3), np.empty(3), np.empty(3), np.empty(3)
        total, total_ahead = np.empty(tables[0].shape[0]), np.empty(tables[0].shape[0])
        for h in range(begin, end):
            start(state, key, first + np.uint64(h))
            _history(
                state, images[chunk], scalars[chunk], tables, majorant, volume, spectrum, source, pixel_to_direction,
                field, camera, pinhole, extent, pixels, absorbed, plane_mm2, isotropic, forced, position, direction,
                ahead, sight, total, total_ahead, ending,
            )
            if endings.shape[0] > 0:
                for axis in range(3):
                    endings[h, axis] = ending[axis]
                    endings[h, 3 + axis] = position[axis]
                    endings[h, 6 + axis] = direction[axis]
