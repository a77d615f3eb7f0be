// Tools in the beam, with the tissue they displace: the sub-rays and samples of xray/tool_cpu.py.
//
// Two kernels. The first finds, for every tile of 8 x 4 pixels, which pieces of tools its rays may meet; most tiles
// meet none. In the second a warp is a tile, a thread a pixel, which goes through its sub-rays and through the pieces
// that its tile was given, one bit each.

#include "tissue.cuh"
#include "tube_intervals.cuh"

#define TILE_WIDTH 8
#define TILE_HEIGHT 4
// From a tile's middle to the corner of its outermost pixel, in pixels: hypot(4, 2), and a little for rounding.
#define TILE_REACH 4.5

// A view's part that holds tools, and into how many sub-rays a pixel is split along each direction.
struct ToolBox {
    int row0, row1, column0, column1, subrays;
};

// Sets d to the unit direction of the ray through a pixel position; returns mm of ray for one mm of camera z.
__device__ __forceinline__ double unit_ray(const WorldView& world, double column, double row, Vector& d) {
    d = direction_through(world.direction, column, row);
    double norm = length_of(d);
    d.x /= norm;
    d.y /= norm;
    d.z /= norm;
    return norm;
}

// Which pieces the rays of a tile may meet.
//
// pieces: `count`; worlds, boxes: V; near: (V, tiles, (count + 31) / 32) uint32, tiles row by row, bit p of a tile's
// words set for piece p. Launch with blocks of 64 threads and a grid of (tiles / 64, V), rounded up.
extern "C" __global__ void __launch_bounds__(64) find_pieces(
    const Piece* pieces, int count, const WorldView* worlds, const ToolBox* boxes, int rows, int columns,
    unsigned int* near) {
    int across = (columns + TILE_WIDTH - 1) / TILE_WIDTH, tiles = across * ((rows + TILE_HEIGHT - 1) / TILE_HEIGHT);
    int tile = blockIdx.x * blockDim.x + threadIdx.x;
    if (tile >= tiles) return;
    const WorldView& world = worlds[blockIdx.y];
    const ToolBox& box = boxes[blockIdx.y];
    int words = (count + 31) / 32;
    unsigned int* found = near + ((size_t)blockIdx.y * tiles + tile) * words;
    int row = tile / across * TILE_HEIGHT, column = tile % across * TILE_WIDTH;
    bool outside = row >= box.row1 || row + TILE_HEIGHT <= box.row0 || column >= box.column1
                   || column + TILE_WIDTH <= box.column0;
    // how far apart the rays of neighbouring pixels are at unit distance, at most
    const double* q = world.direction;
    double pitch2 = fmax(q[0] * q[0] + q[3] * q[3] + q[6] * q[6], q[1] * q[1] + q[4] * q[4] + q[7] * q[7]);
    Vector d;
    unit_ray(world, column + 0.5 * (TILE_WIDTH - 1), row + 0.5 * (TILE_HEIGHT - 1), d);
    for (int word = 0; word < words; ++word) {
        unsigned int bits = 0u;
        for (int p = 32 * word; !outside && p < min(32 * word + 32, count); ++p)
            if (may_meet(pieces[p], world.source, d, TILE_REACH * sqrt(pitch2))) bits |= 1u << (p & 31);
        found[word] = bits;
    }
}

// What one sub-ray meets: the union of all intervals, and whether a notched piece is among them. Adds the length inside
// each tool that no later tool takes to the tool's plane of a pixel.
__device__ __forceinline__ bool cast_subray(const Piece* pieces, int count, const Vector* sources,
                                            const unsigned int* near, const Vector& d, double limit, float weight,
                                            size_t plane, float* pixel, Intervals& list) {
    bool notched = false;
    int held = -1;
    double before = 0.0;
    list.count = 0;
    // from the last piece to the first: of two tools in the same place the later one of the scene is there
    for (int word = (count + 31) / 32 - 1; word >= 0; --word) {
        for (unsigned int bits = near[word]; bits;) {
            int bit = 31 - __clz((int)bits);
            bits ^= 1u << bit;
            int p = 32 * word + bit;
            if (held >= 0 && pieces[p].tool != pieces[held].tool) {
                double length = length_of(list);
                pixel[pieces[held].plane * plane] += weight * pieces[held].density * (float)(length - before);
                before = length;
            }
            held = p;
            bool met = add_piece(pieces[p], sources[p], d, limit, list);
            notched = notched || (met && pieces[p].notched);
        }
    }
    if (held >= 0) {
        double length = length_of(list);
        pixel[pieces[held].plane * plane] += weight * pieces[held].density * (float)(length - before);
    }
    return notched;
}

// Adds tools to the area densities, takes off the tissue that they displace and says how much of a pixel they cover.
//
// pieces: `count`; sources: (V, count, 3) the source in every piece's frame; near: from find_pieces; volumes: `below`
// of them, of `bits` material bits; step_mm: distance of samples of displaced tissue; areas: (V, planes, rows, columns)
// float32 g/cm^2, of which the first `materials` are the tissue's; coverage: (V, rows, columns) float32 share of a
// pixel that notched pieces cover. Launch with blocks of 8 x 8 and a grid of (columns / 8, rows / 8, V), rounded up.
extern "C" __global__ void __launch_bounds__(64) cast_tools(
    const Piece* pieces, int count, const Vector* sources, const unsigned int* near, const ToolBox* boxes,
    const Volume* volumes, int below, int bits, double step_mm, const WorldView* worlds, int rows, int columns,
    int planes, int materials, float* areas, float* coverage) {
    int column = blockIdx.x * blockDim.x + threadIdx.x;
    int row = blockIdx.y * blockDim.y + threadIdx.y;
    int view = blockIdx.z;
    const ToolBox& box = boxes[view];
    if (row < box.row0 || row >= box.row1 || column < box.column0 || column >= box.column1) return;
    int across = (columns + TILE_WIDTH - 1) / TILE_WIDTH, down = (rows + TILE_HEIGHT - 1) / TILE_HEIGHT;
    int words = (count + 31) / 32;
    near += (((size_t)view * down + row / TILE_HEIGHT) * across + column / TILE_WIDTH) * words;
    unsigned int any = 0u;
    for (int word = 0; word < words; ++word) any |= near[word];
    if (!any) return;
    const WorldView& world = worlds[view];
    size_t plane = (size_t)rows * columns;
    float* pixel = areas + (size_t)view * planes * plane + (size_t)row * columns + column;
    float share = 1.0f / (float)(box.subrays * box.subrays);
    float displaced[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    int covered = 0;
    Intervals list;
    for (int sub = 0; sub < box.subrays * box.subrays; ++sub) {
        Vector d;
        double v = row - 0.5 + (sub / box.subrays + 0.5) / box.subrays;
        double u = column - 0.5 + (sub % box.subrays + 0.5) / box.subrays;
        double limit = world.reach_mm * unit_ray(world, u, v, d);
        covered += cast_subray(pieces, count, sources + (size_t)view * count, near, d, limit, 0.1f * share, plane,
                               pixel, list);
        for (int i = 0; i < list.count && below > 0; ++i) {
            double span = list.stop[i] - list.start[i];
            int samples = (int)ceil(span / step_mm);
            float weight = (float)(0.1 * span / samples) * share;
            for (int s = 0; s < samples; ++s) {
                double t = list.start[i] + (s + 0.5) * span / samples;
                Tissue tissue = tissue_at(volumes, below, bits, point_at(world.source, t, d));
#pragma unroll
                for (int m = 0; m < 4; ++m) displaced[m] += weight * tissue.seen[m];
            }
        }
    }
#pragma unroll
    for (int m = 0; m < 4; ++m)
        if (m < materials) pixel[m * plane] -= displaced[m];
    coverage[(size_t)view * plane + (size_t)row * columns + column] = covered * share;
}
