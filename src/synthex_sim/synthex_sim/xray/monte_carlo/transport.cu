// Photon transport on the GPU: transport_cpu.py, number for number. That file's comments hold here too.
//
// REAL is float on the GPU; with REAL double tests on the host compare it with the numba code history by history.
// Tallies are whole numbers (2^-24 keV): sums do not depend on the order of the threads.

#include "philox.cuh"

#ifndef REAL
#define REAL float
#endif
typedef REAL real;
typedef unsigned int word;
typedef unsigned long long word64;

#define ENERGY_MIN real(1.0)
#define ENERGY_PER_STEP real(4.0)
#define STEPS_PER_X real(100.0)
#define X_STEP real(0.01)
#define CUTOFF real(5.0)
#define ELECTRON real(510.99895)
#define INVERSE_ANGSTROM_PER_KEV (real(1.0) / real(12.39842))
#define OPAQUE real(25.0)
#define QUANTA 16777216.0
#define MAX_MATERIALS 16

enum { PRIMARY, COMPTON, RAYLEIGH, MULTIPLE, SCATTER_SQUARED };
enum { EMITTED, DETECTED, ESCAPED, DEPOSITED };

struct Random {
    word block, history[2], key[2];
    Words drawn;
    int next;
};

__device__ inline void refill(Random& r) {
    r.drawn = philox(r.block, 0, r.history[0], r.history[1], r.key[0], r.key[1]);
    r.block += 1;
    r.next = 0;
}

__device__ inline real uniform(Random& r) {
    if (r.next == 4) refill(r);
    word drawn = r.drawn.word[r.next++];
    // 24 bits where a float holds no more: it must not round up to 1
    if (sizeof(real) == 4) return (real(drawn >> 8) + real(0.5)) * real(1.0 / 16777216.0);
    return (real(drawn) + real(0.5)) * real(1.0 / 4294967296.0);
}

struct Geometry {  // the order of Problem.geometry in transport_cuda.py
    real box[3], inv_spacing[3], source[3], pixel_to_direction[9], edges[4], camera[12], pinhole[5], extent[4];
    real pixels[2], plane_mm2;
};

struct Sizes {
    int shape[3], materials, energies, transfers, lines, rows, cols, isotropic, forced, field_rows, field_cols;
};

struct World {
    const real *attenuation, *incoherent, *incoherent_norm, *cumulative, *majorant, *density, *shares, *lines;
    const real *absorbed, *field;
    const unsigned char* material;
    const Geometry* geometry;
    const Sizes* sizes;
    word64 *images, *scalars;
};

__device__ inline void add(word64* place, real value) {
    atomicAdd(place, word64(double(value) * QUANTA + 0.5));
}

// Linear interpolation: the entry below a place in a table, and how far the place is beyond it.
__device__ inline int entry_below(real place, real& part) {
    int low = int(place);
    part = place - low;
    return low;
}

__device__ inline int energy_below(real energy, real& part) {
    return entry_below((energy - ENERGY_MIN) * ENERGY_PER_STEP, part);
}

__device__ inline real between(real below, real above, real part) { return below + part * (above - below); }

__device__ inline real at_energy(const real* table, real energy) {
    real part;
    int low = energy_below(energy, part);
    return between(table[low], table[low + 1], part);
}

__device__ inline real at_transfer(const real* table, real transfer) {
    real part;
    int low = entry_below(transfer * STEPS_PER_X, part);
    return between(table[low], table[low + 1], part);
}

__device__ void set_energy(const World& w, real energy, real* total) {
    real part;
    int low = energy_below(energy, part);
    for (int m = 0; m < w.sizes->materials; ++m) {
        const real* t = w.attenuation + (m * w.sizes->energies + low) * 3;
        total[m] = between(t[0] + t[1] + t[2], t[3] + t[4] + t[5], part);
    }
}

__device__ inline real klein_nishina(real energy, real mu, real& ratio) {
    ratio = real(1.0) / (real(1.0) + energy / ELECTRON * (real(1.0) - mu));
    return real(0.5) * ratio * ratio * (ratio + real(1.0) / ratio - real(1.0) + mu * mu);
}

__device__ real sample_compton(Random& r, real energy, const real* incoherent, real& ratio) {
    for (;;) {
        real mu = real(2.0) * uniform(r) - real(1.0);
        real value = klein_nishina(energy, mu, ratio);
        real transfer = energy * INVERSE_ANGSTROM_PER_KEV * sqrt(real(0.5) * (real(1.0) - mu));
        if (uniform(r) <= value * at_transfer(incoherent, transfer)) return mu;
    }
}

__device__ real sample_rayleigh(Random& r, real energy, const real* cumulative) {
    real largest = energy * INVERSE_ANGSTROM_PER_KEV;
    real top = at_transfer(cumulative, largest);
    int end = int(largest * STEPS_PER_X) + 1;
    for (;;) {
        real wanted = uniform(r) * top;
        int low = 0, high = end;
        while (high - low > 1) {
            int middle = (low + high) / 2;
            if (cumulative[middle] <= wanted) low = middle;
            else high = middle;
        }
        real gain = cumulative[high] - cumulative[low];
        real part = gain > real(0.0) ? (wanted - cumulative[low]) / gain : real(0.0);
        real x2 = (real(low) * low + part * (real(high) * high - real(low) * low)) * (X_STEP * X_STEP);
        real share = x2 / (largest * largest);
        real mu = real(1.0) - real(2.0) * (share < real(1.0) ? share : real(1.0));
        if (uniform(r) <= real(0.5) * (real(1.0) + mu * mu)) return mu;
    }
}

__device__ void turn(Random& r, real* d, real mu) {
    real angle = real(6.283185307179586) * uniform(r);
    real sine2 = real(1.0) - mu * mu, side2 = real(1.0) - d[2] * d[2];
    real sin_theta = sine2 > real(0.0) ? sqrt(sine2) : real(0.0);
    real side = side2 > real(0.0) ? sqrt(side2) : real(0.0);
    real a = sin_theta * cos(angle), b = sin_theta * sin(angle), x, y, z;
    if (side < real(1e-6)) {
        x = a;
        y = b;
        z = d[2] > real(0.0) ? mu : -mu;
    } else {
        x = mu * d[0] + (a * d[0] * d[2] - b * d[1]) / side;
        y = mu * d[1] + (a * d[1] * d[2] + b * d[0]) / side;
        z = mu * d[2] - a * side;
    }
    real scale = real(1.0) / sqrt(x * x + y * y + z * z);
    d[0] = x * scale;
    d[1] = y * scale;
    d[2] = z * scale;
}

__device__ real optical_depth(const World& w, const real* position, const real* direction, const real* total) {
    const Geometry& g = *w.geometry;
    const int* shape = w.sizes->shape;
    int index[3], step[3];
    real following[3], across[3];
    for (int axis = 0; axis < 3; ++axis) {
        real place = position[axis] * g.inv_spacing[axis];
        int i = int(place);
        index[axis] = i < 0 ? 0 : (i >= shape[axis] ? shape[axis] - 1 : i);
        if (direction[axis] > real(1e-12)) {
            step[axis] = 1;
            across[axis] = real(1.0) / (direction[axis] * g.inv_spacing[axis]);
            following[axis] = (index[axis] + 1 - place) * across[axis];
        } else if (direction[axis] < real(-1e-12)) {
            step[axis] = -1;
            across[axis] = real(-1.0) / (direction[axis] * g.inv_spacing[axis]);
            following[axis] = (place - index[axis]) * across[axis];
        } else {
            step[axis] = 0;
            across[axis] = following[axis] = real(1e30);
        }
    }
    real depth = real(0.0), at = real(0.0);
    while (depth < OPAQUE) {
        int axis = 0;
        if (following[1] < following[axis]) axis = 1;
        if (following[2] < following[axis]) axis = 2;
        long long voxel = ((long long)index[0] * shape[1] + index[1]) * shape[2] + index[2];
        depth += w.density[voxel] * total[w.material[voxel]] * (following[axis] - at);
        at = following[axis];
        index[axis] += step[axis];
        if (index[axis] < 0 || index[axis] >= shape[axis]) return depth;
        following[axis] += across[axis];
    }
    return depth;
}

__device__ bool detect(const World& w, const real* position, const real* direction, int& row, int& col) {
    const Geometry& g = *w.geometry;
    const real* c = g.camera;
    real z = c[11], dz = real(0.0);
    for (int k = 0; k < 3; ++k) {
        z += c[8 + k] * position[k];
        dz += c[8 + k] * direction[k];
    }
    if (dz <= real(1e-9) || z > g.pinhole[4]) return false;
    real along = (g.pinhole[4] - z) / dz, x = c[3], y = c[7];
    for (int k = 0; k < 3; ++k) {
        x += c[k] * (position[k] + along * direction[k]);
        y += c[4 + k] * (position[k] + along * direction[k]);
    }
    real u = floor((g.pinhole[0] * x / g.pinhole[4] + g.pinhole[2] + real(0.5)) * g.extent[2]);
    real v = floor((g.pinhole[1] * y / g.pinhole[4] + g.pinhole[3] + real(0.5)) * g.extent[3]);
    if (!(u >= 0 && v >= 0 && u < g.extent[0] && v < g.extent[1])) return false;
    col = int(u);
    row = int(v);
    return true;
}

__device__ inline int channel_of(int order, int last) {
    return order == 0 ? int(PRIMARY) : (order == 1 ? last : int(MULTIPLE));
}

__device__ void score(const World& w, int row, int col, int channel, real energy, real absorbed) {
    long long pixels = (long long)w.sizes->rows * w.sizes->cols, pixel = (long long)row * w.sizes->cols + col;
    add(w.images + channel * pixels + pixel, energy * absorbed);
    if (channel != PRIMARY) add(w.images + SCATTER_SQUARED * pixels + pixel, energy * energy * absorbed);
}

__device__ void force_compton(
    Random& r, const World& w, const real* position, const real* direction, real energy, real weight, int m, int order
) {
    const Geometry& g = *w.geometry;
    const real* c = g.camera;
    real u = g.pixels[0] * uniform(r) - real(0.5), v = g.pixels[1] * uniform(r) - real(0.5);
    real x = (u - g.pinhole[2]) / g.pinhole[0] * g.pinhole[4], y = (v - g.pinhole[3]) / g.pinhole[1] * g.pinhole[4];
    real sight[3], length2 = real(0.0);
    for (int axis = 0; axis < 3; ++axis) {
        sight[axis] = -position[axis];
        sight[axis] += c[axis] * (x - c[3]);
        sight[axis] += c[4 + axis] * (y - c[7]);
        sight[axis] += c[8 + axis] * (g.pinhole[4] - c[11]);
        length2 += sight[axis] * sight[axis];
    }
    real scale = real(1.0) / sqrt(length2), mu = real(0.0), facing = real(0.0);
    for (int axis = 0; axis < 3; ++axis) {
        sight[axis] *= scale;
        mu += sight[axis] * direction[axis];
        facing += sight[axis] * c[8 + axis];
    }
    if (facing <= real(0.0)) return;
    mu = mu > real(1.0) ? real(1.0) : (mu < real(-1.0) ? real(-1.0) : mu);
    real transfer = energy * INVERSE_ANGSTROM_PER_KEV * sqrt(real(0.5) * (real(1.0) - mu)), ratio;
    real value = klein_nishina(energy, mu, ratio), after = energy * ratio;
    if (after < CUTOFF) return;
    real total[MAX_MATERIALS];
    set_energy(w, after, total);
    real depth = optical_depth(w, position, sight, total);
    if (depth >= OPAQUE) return;
    real chance = value * at_transfer(w.incoherent + m * w.sizes->transfers, transfer)
        / at_energy(w.incoherent_norm + m * w.sizes->energies, energy);
    real share = weight * chance * g.plane_mm2 * facing / length2 * exp(-depth) * at_energy(w.absorbed, after);
    int row = int((v + real(0.5)) * g.extent[3]), col = int((u + real(0.5)) * g.extent[2]);
    row = row < w.sizes->rows ? row : w.sizes->rows - 1;
    col = col < w.sizes->cols ? col : w.sizes->cols - 1;
    score(w, row, col, channel_of(order, COMPTON), after, share);
}

__device__ void force_rayleigh(
    const World& w, const real* position, const real* direction, real energy, real weight, int order, const real* total
) {
    int row, col;
    if (!detect(w, position, direction, row, col)) return;
    real depth = optical_depth(w, position, direction, total);
    if (depth < OPAQUE)
        score(w, row, col, channel_of(order, RAYLEIGH), energy, weight * exp(-depth) * at_energy(w.absorbed, energy));
}

__device__ void start_point(Random& r, const World& w, real& u, real& v) {
    const Geometry& g = *w.geometry;
    int rows = w.sizes->field_rows, cols = w.sizes->field_cols;
    for (;;) {
        u = g.edges[0] + (g.edges[2] - g.edges[0]) * uniform(r);
        v = g.edges[1] + (g.edges[3] - g.edges[1]) * uniform(r);
        int row = int((v + real(0.5)) * (rows / g.pixels[1])), col = int((u + real(0.5)) * (cols / g.pixels[0]));
        row = row < rows ? row : rows - 1;
        col = col < cols ? col : cols - 1;
        real share = w.field[(long long)row * cols + col];
        if (share >= real(1.0) || uniform(r) < share) return;
    }
}

__device__ void history(Random& r, const World& w) {
    const Geometry& g = *w.geometry;
    const Sizes& s = *w.sizes;
    real drawn = uniform(r);
    int low = 0, high = s.lines - 1;
    while (low < high) {
        int middle = (low + high) / 2;
        if (w.shares[middle] < drawn) low = middle + 1;
        else high = middle;
    }
    real energy = w.lines[low];
    real u, v;
    start_point(r, w, u, v);
    real position[3], direction[3], ahead[3], total[MAX_MATERIALS], length2 = real(0.0);
    for (int axis = 0; axis < 3; ++axis) {
        const real* p = g.pixel_to_direction + 3 * axis;
        position[axis] = g.source[axis];
        direction[axis] = p[0] * u + p[1] * v + p[2];
        length2 += direction[axis] * direction[axis];
    }
    real norm = real(1.0) / sqrt(length2);
    real near = real(0.0), far = real(1e30);
    for (int axis = 0; axis < 3; ++axis) {
        direction[axis] *= norm;
        if (fabs(direction[axis]) < real(1e-12)) {
            if (position[axis] < real(0.0) || position[axis] > g.box[axis]) far = real(-1.0);
        } else {
            real a = -position[axis] / direction[axis], b = (g.box[axis] - position[axis]) / direction[axis];
            real first = a < b ? a : b, last = a < b ? b : a;
            near = first > near ? first : near;
            far = last < far ? last : far;
        }
    }
    real weight = s.isotropic ? norm * norm * norm : real(1.0), largest = real(1.0);
    add(w.scalars + EMITTED, energy * weight);
    int order = 0, last = 0;
    bool inside = near < far;
    if (inside) {
        for (int axis = 0; axis < 3; ++axis) position[axis] += near * direction[axis];
        set_energy(w, energy, total);
        largest = at_energy(w.majorant, energy);
    }
    while (inside) {
        real flight = -log(uniform(r)) / largest;
        for (int axis = 0; axis < 3; ++axis) {
            ahead[axis] = position[axis] + flight * direction[axis];
            if (ahead[axis] < real(0.0) || ahead[axis] >= g.box[axis]) inside = false;
        }
        if (!inside) break;
        int index[3];
        for (int axis = 0; axis < 3; ++axis) {
            position[axis] = ahead[axis];
            int i = int(position[axis] * g.inv_spacing[axis]);
            index[axis] = i < s.shape[axis] ? i : s.shape[axis] - 1;
        }
        long long voxel = ((long long)index[0] * s.shape[1] + index[1]) * s.shape[2] + index[2];
        int m = w.material[voxel];
        real chosen = uniform(r) * largest, rho = w.density[voxel];
        if (chosen >= rho * total[m]) continue;
        real part;
        const real* t = w.attenuation + (m * s.energies + energy_below(energy, part)) * 3;
        real photo = rho * between(t[0], t[3], part), compton = rho * between(t[1], t[4], part);
        if (chosen < photo) {
            add(w.scalars + DEPOSITED + m, energy * weight);
            return;
        }
        order += 1;
        last = chosen < photo + compton ? COMPTON : RAYLEIGH;
        real mu;
        if (last == COMPTON) {
            if (s.forced) force_compton(r, w, position, direction, energy, weight, m, order);
            real ratio;
            mu = sample_compton(r, energy, w.incoherent + m * s.transfers, ratio);
            add(w.scalars + DEPOSITED + m, energy * (real(1.0) - ratio) * weight);
            energy *= ratio;
            if (energy < CUTOFF) {
                add(w.scalars + DEPOSITED + m, energy * weight);
                return;
            }
            set_energy(w, energy, total);
            largest = at_energy(w.majorant, energy);
        } else {
            mu = sample_rayleigh(r, energy, w.cumulative + m * s.transfers);
        }
        turn(r, direction, mu);
        if (s.forced && last == RAYLEIGH) force_rayleigh(w, position, direction, energy, weight, order, total);
    }
    int row, col;
    if (!detect(w, position, direction, row, col)) {
        add(w.scalars + ESCAPED, energy * weight);
        return;
    }
    add(w.scalars + DETECTED, energy * weight);
    if (order == 0 || !s.forced)
        score(w, row, col, channel_of(order, last), energy, weight * at_energy(w.absorbed, energy));
}

extern "C" __global__ void transport(
    word64* images, word64* scalars, const real* attenuation, const real* incoherent, const real* incoherent_norm,
    const real* cumulative, const real* majorant, const unsigned char* material, const real* density,
    const real* shares, const real* lines, const real* absorbed, const real* field, const Geometry* geometry,
    const Sizes* sizes, word64 key, word64 first, word64 count
) {
    World w;
    w.images = images;
    w.scalars = scalars;
    w.attenuation = attenuation;
    w.incoherent = incoherent;
    w.incoherent_norm = incoherent_norm;
    w.cumulative = cumulative;
    w.majorant = majorant;
    w.material = material;
    w.density = density;
    w.shares = shares;
    w.lines = lines;
    w.absorbed = absorbed;
    w.field = field;
    w.geometry = geometry;
    w.sizes = sizes;
    word64 stride = word64(gridDim.x) * blockDim.x;
    for (word64 h = word64(blockIdx.x) * blockDim.x + threadIdx.x; h < count; h += stride) {
        Random r;
        r.block = 0;
        r.history[0] = word(first + h);
        r.history[1] = word((first + h) >> 32);
        r.key[0] = word(key);
        r.key[1] = word(key >> 32);
        r.next = 4;
        history(r, w);
    }
}
