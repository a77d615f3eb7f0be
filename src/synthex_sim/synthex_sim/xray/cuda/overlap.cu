// What a scene's upper volumes hide of the lower ones: the integral of xray/overlap_cpu.py, taken off the area
// densities.

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
    Vector d = direction_through(world.direction, column, row);
    // one interval from the first upper box entered to the last one left
    double begin = world.reach_mm, end = 0.0;
    for (int k = 1; k < count; ++k) {
        double low = 0.0, high = world.reach_mm;
        for (int axis = 0; axis < 3; ++axis) {
            const double* turn = volumes[k].index_from_world + 4 * axis;
            double origin = index_along(volumes[k], axis, world.source);
            double direction = turn[0] * d.x + turn[1] * d.y + turn[2] * d.z;
            clip_to_slab(origin, direction, 0.0, volumes[k].size[axis] - 1.0, low, high);
        }
        if (low < high) {
            begin = fmin(begin, low);
            end = fmax(end, high);
        }
    }
    if (begin >= end) return;
    double length_mm = (end - begin) * length_of(d);
    int samples = (int)ceil(length_mm / step_mm);
    float hidden[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    for (int s = 0; s < samples; ++s) {
        double t = begin + (s + 0.5) * (end - begin) / samples;
        Tissue tissue = tissue_at(volumes, count, bits, point_at(world.source, t, d));
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
