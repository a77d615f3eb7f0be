// Tissue at a point of a scene whose volumes lie over one another: the formula of xray/tissue_cpu.py.

#include "ray_range.cuh"

// A posed volume; all volumes of a scene have the same material bits.
struct Volume {
    double index_from_world[12];  // the upper three rows, row by row
    cudaTextureObject_t words;    // of (size[0], size[1], size[2]) = (I, J, K) words, x = k, y = j, z = i
    float density_step;           // g/cm^3 of one density code
    int size[3];
};

// g/cm^3 of four materials: what is seen, and the sum of all volumes as if each were alone.
struct Tissue {
    float seen[4], alone[4];
};

__device__ __forceinline__ double index_along(const Volume& volume, int axis, const Vector& point) {
    const double* row = volume.index_from_world + 4 * axis;
    return row[0] * point.x + row[1] * point.y + row[2] * point.z + row[3];
}

// The (i, j, k) of a world point.
__device__ __forceinline__ Vector to_index(const Volume& volume, const Vector& point) {
    Vector at = {index_along(volume, 0, point), index_along(volume, 1, point), index_along(volume, 2, point)};
    return at;
}

__device__ __forceinline__ Tissue tissue_at(const Volume* volumes, int count, int bits, const Vector& point) {
    Tissue tissue = {{0.0f, 0.0f, 0.0f, 0.0f}, {0.0f, 0.0f, 0.0f, 0.0f}};
    float uncovered = 1.0f;
    const unsigned int materials = (1u << bits) - 1u;
    for (int k = count - 1; k >= 0; --k) {
        const Volume& volume = volumes[k];
        Vector at = to_index(volume, point);
        if (!(at.x >= 0.0 && at.x < volume.size[0] - 1 && at.y >= 0.0 && at.y < volume.size[1] - 1 && at.z >= 0.0
              && at.z < volume.size[2] - 1))
            continue;
        double floor_i = floor(at.x), floor_j = floor(at.y), floor_k = floor(at.z);
        float wi = (float)(at.x - floor_i), wj = (float)(at.y - floor_j), wk = (float)(at.z - floor_k);
        float occupied = 0.0f;
#pragma unroll
        for (int corner = 0; corner < 4; ++corner) {
            int di = corner >> 1, dj = corner & 1;
            float weight = (di ? wi : 1.0f - wi) * (dj ? wj : 1.0f - wj);
            unsigned int word = tex3D<unsigned int>(volume.words, (float)floor_k + 0.5f, (float)(floor_j + dj) + 0.5f,
                                                    (float)(floor_i + di) + 0.5f);
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                unsigned int code = half ? word >> 16 : word & 0xFFFFu;
                float share = code ? weight * (half ? wk : 1.0f - wk) : 0.0f;
                float density = share * volume.density_step * (float)(int)(code >> bits);
                occupied += share;
#pragma unroll
                for (int m = 0; m < 4; ++m) {
                    float part = (code & materials) == (unsigned int)m ? density : 0.0f;
                    tissue.seen[m] += uncovered * part;
                    tissue.alone[m] += part;
                }
            }
        }
        uncovered *= 1.0f - occupied;
    }
    return tissue;
}
