// What a scene's upper volumes hide of the lower ones: the integral of xray/overlap_cpu.py, taken off the area
// densities.

#include "ray_range.cuh"
#include "tissue.cuh"

// Subtracts what marching through every volume alone counts too much.
//
// volumes: `count`, bottom first; worlds: V views; step_mm: distance of samples at most; areas: (V, planes, rows,
// columns) float32 g/cm^2, of which the first `materials` are the tissue's. Launch as march_<bits>.
extern "C" __global__ void __launch_bounds__(128) subtract_hidden(
    const Volume* volumes, int count, int bits, const WorldView* worlds, int rows, int columns, int planes,
    int materials, double step_mm, float* areas) {
    int column = blockIdx.x * blockDim.x + threadIdx.x;
    int row = blockIdx.y * blockDim.y + threadIdx.y;
    if (column >= columns || row >= rows) return;
    const WorldView& world = worlds[blockIdx.z];
    double dx = along(world.direction, 0, column, row);
    double dy = along(world.direction, 1, column, row);
    double dz = along(world.direction, 2, column, row);
    // one interval from the first upper box entered to the last one left
    double begin = world.reach_mm, end = 0.0;
    for (int k = 1; k < count; ++k) {
        double low = 0.0, high = world.reach_mm;
        for (int axis = 0; axis < 3; ++axis) {
            const double* to_index = volumes[k].index_from_world + 4 * axis;
            double origin = index_along(volumes[k], axis, world.source[0], world.source[1], world.source[2]);
            double direction = to_index[0] * dx + to_index[1] * dy + to_index[2] * dz;
            clip_to_slab(origin, direction, 0.0, volumes[k].size[axis] - 1.0, low, high);
        }
        if (low < high) {
            begin = fmin(begin, low);
            end = fmax(end, high);
        }
    }
    if (begin >= end) return;
    double length_mm = (end - begin) * sqrt(dx * dx + dy * dy + dz * dz);
    int samples = (int)ceil(length_mm / step_mm);
    float hidden[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    for (int s = 0; s < samples; ++s) {
        double t = begin + (s + 0.5) * (end - begin) / samples;
        Tissue tissue = tissue_at(volumes, count, bits, world.source[0] + t * dx, world.source[1] + t * dy,
                                  world.source[2] + t * dz);
#pragma unroll
        for (int m = 0; m < 4; ++m) hidden[m] += tissue.alone[m] - tissue.seen[m];
    }
    float weight = (float)(0.1 * length_mm / samples);
    size_t plane = (size_t)rows * columns;
    float* pixel = areas + (size_t)blockIdx.z * planes * plane + (size_t)row * columns + column;
#pragma unroll
    for (int m = 0; m < 4; ++m)
        if (m < materials) pixel[m * plane] -= weight * hidden[m];
}
