// Beer-Lambert over a spectrum, for every pixel: what passes through area densities, and its second moment.
//
//     T(E) = exp(-sum_m area_m mu_m(E)),   signal = sum_E w_E E T(E),   signal2 = sum_E w_E E^2 T(E)

#define MATERIALS_HELD 8

// areas: (V, materials, pixels) float32 g/cm^2; coefficients: (materials, bins) float32 cm^2/g; energies, weights:
// (bins,) float32; signal, signal2: (V, pixels) float32. Launch with blocks of 256 and a grid of (pixels / 256, V),
// rounded up.
extern "C" __global__ void __launch_bounds__(256) beer_lambert(
    const float* areas, const float* coefficients, const float* energies, const float* weights, int materials, int bins,
    int pixels, float* signal, float* signal2) {
    int pixel = blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel >= pixels) return;
    const float* column = areas + (size_t)blockIdx.y * materials * pixels + pixel;
    // the usual few materials stay in registers over all energies
    float area[MATERIALS_HELD];
#pragma unroll
    for (int m = 0; m < MATERIALS_HELD; ++m) area[m] = m < materials ? column[(size_t)m * pixels] : 0.0f;
    float total = 0.0f, total2 = 0.0f;
    for (int bin = 0; bin < bins; ++bin) {
        float depth = 0.0f;
#pragma unroll
        for (int m = 0; m < MATERIALS_HELD; ++m)
            if (m < materials) depth += area[m] * __ldg(coefficients + m * bins + bin);
        for (int m = MATERIALS_HELD; m < materials; ++m)
            depth += column[(size_t)m * pixels] * __ldg(coefficients + m * bins + bin);
        float energy = __ldg(energies + bin);
        float passed = __ldg(weights + bin) * energy * expf(-depth);
        total += passed;
        total2 += passed * energy;
    }
    size_t at = (size_t)blockIdx.y * pixels + pixel;
    signal[at] = total;
    signal2[at] = total2;
}
