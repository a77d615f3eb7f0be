// Tissue at a point of a scene whose volumes lie over one another: the formula of xray/tissue_cpu.py.

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

__device__ __forceinline__ double index_along(const Volume& volume, int axis, double x, double y, double z) {
    const double* row = volume.index_from_world + 4 * axis;
    return row[0] * x + row[1] * y + row[2] * z + row[3];
}

__device__ __forceinline__ Tissue tissue_at(const Volume* volumes, int count, int bits, double x, double y, double z) {
    Tissue tissue = {{0.0f, 0.0f, 0.0f, 0.0f}, {0.0f, 0.0f, 0.0f, 0.0f}};
    float uncovered = 1.0f;
    const unsigned int materials = (1u << bits) - 1u;
    for (int k = count - 1; k >= 0; --k) {
        const Volume& volume = volumes[k];
        double at_i = index_along(volume, 0, x, y, z);
        double at_j = index_along(volume, 1, x, y, z);
        double at_k = index_along(volume, 2, x, y, z);
        if (!(at_i >= 0.0 && at_i < volume.size[0] - 1 && at_j >= 0.0 && at_j < volume.size[1] - 1 && at_k >= 0.0
              && at_k < volume.size[2] - 1))
            continue;
        double floor_i = floor(at_i), floor_j = floor(at_j), floor_k = floor(at_k);
        float wi = (float)(at_i - floor_i), wj = (float)(at_j - floor_j), wk = (float)(at_k - floor_k);
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
