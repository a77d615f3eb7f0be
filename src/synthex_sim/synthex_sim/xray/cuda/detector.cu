// The flat panel on the GPU: blur and digitisation as in synthex_sim/xray/blur.py and detector.py.
// One thread for each pixel of each view; launch with grid (ceil(columns / 32), ceil(rows / 8), views), block (32, 8).

// blurred = image * kernel; beyond the edge the image goes on as its last row or column. kernel: (2 radius + 1)^2 taps.
extern "C" __global__ void blur_image(const float* image, const float* kernel, int radius, int rows, int columns,
                                      float* blurred) {
    int column = blockIdx.x * blockDim.x + threadIdx.x, row = blockIdx.y * blockDim.y + threadIdx.y;
    if (row >= rows || column >= columns) return;
    const float* view = image + (size_t)blockIdx.z * rows * columns;
    float sum = 0.0f;
    for (int dr = -radius; dr <= radius; ++dr) {
        const float* line = view + (size_t)min(max(row + dr, 0), rows - 1) * columns;
        for (int dc = -radius; dc <= radius; ++dc) sum += *kernel++ * line[min(max(column + dc, 0), columns - 1)];
    }
    blurred[((size_t)blockIdx.z * rows + row) * columns + column] = sum;
}

// Saturation, read-out noise, gain, rounding. noise: unit normals as energy, unused where deviation_kev is 0;
// steps_per_kev: (V,) counts per keV divided by step; most_steps: (V,) saturated count divided by step.
extern "C" __global__ void digitise(const float* energy, const float* noise, float deviation_kev, float limit_kev,
                                    const float* steps_per_kev, const int* most_steps, int step, int rows, int columns,
                                    unsigned short* counts) {
    int column = blockIdx.x * blockDim.x + threadIdx.x, row = blockIdx.y * blockDim.y + threadIdx.y;
    if (row >= rows || column >= columns) return;
    size_t at = ((size_t)blockIdx.z * rows + row) * columns + column;
    float value = fminf(energy[at], limit_kev);
    if (deviation_kev > 0.0f) value += deviation_kev * noise[at];
    float steps = fmaxf(value * steps_per_kev[blockIdx.z] + 0.5f, 0.0f);
    counts[at] = (unsigned short)((int)fminf(steps, (float)most_steps[blockIdx.z]) * step);
}
