// Which labelled structures each pixel's ray meets, and how deep two of them begin: the samples of xray/labels_cpu.py,
// the voxel nearest to the ray in every plane across its dominant axis. Labels are a 3D texture of bytes, x = k, y = j,
// z = i, looked up unfiltered. A warp is a tile of 8 x 4 pixels.

#include "pixel_ray.cuh"
#include "tissue.cuh"

#define LABEL_THREADS 128
// Positions along a ray start anew, in double precision, every so many planes, where the CPU's do.
#define LABEL_SLAB 64
// Rays are followed out to so many voxels outside of the outermost voxels' centres, as on the CPU.
#define LABEL_REACH 0.499
#define NEVER (1 << 30)

struct LabelRay {
    int axis, first, step, planes;  // planes are counted as the ray meets them: first, first + step, ...
    double b, c, slope_b, slope_c;  // half a voxel more, so that cutting off decimals finds the nearest voxel
    double origin_a, d_a;
};

struct LabelsMet {
    unsigned int seen;
    int first_a, first_b;
};

__device__ __forceinline__ bool set_up_labels(const WorldView& world, const IndexView& view, int size_i, int size_j,
                                              int size_k, int column, int row, LabelRay& ray) {
    PlaneRay crossed;
    if (!cross_planes(world, view, size_i, size_j, size_k, -LABEL_REACH, 0.0, column, row, crossed)) return false;
    ray.axis = crossed.axis;
    ray.origin_a = crossed.origin_a;
    ray.d_a = crossed.d_a;
    ray.planes = crossed.last - crossed.first + 1;
    ray.step = crossed.d_a > 0.0 ? 1 : -1;
    ray.first = crossed.d_a > 0.0 ? crossed.first : crossed.last;
    ray.slope_b = crossed.d_b / crossed.d_a * ray.step;
    ray.slope_c = crossed.d_c / crossed.d_a * ray.step;
    double to_first = ray.first - crossed.origin_a;
    ray.b = crossed.origin_b + to_first * crossed.d_b / crossed.d_a + 0.5;
    ray.c = crossed.origin_c + to_first * crossed.d_c / crossed.d_a + 0.5;
    return true;
}

template <int AXIS>
__device__ __forceinline__ void follow_labels(cudaTextureObject_t labels, const LabelRay& ray, unsigned int label_a,
                                              unsigned int label_b, LabelsMet& met) {
    float slope_b = (float)ray.slope_b, slope_c = (float)ray.slope_c;
    for (int slab = 0; slab < ray.planes; slab += LABEL_SLAB) {
        float b0 = (float)(ray.b + slab * ray.slope_b), c0 = (float)(ray.c + slab * ray.slope_c);
        int count = min(LABEL_SLAB, ray.planes - slab);
#pragma unroll 4
        for (int plane = 0; plane < count; ++plane) {
            float n = (float)plane;
            float a = (float)(ray.first + ray.step * (slab + plane)) + 0.5f;
            float b = truncf(b0 + n * slope_b) + 0.5f, c = truncf(c0 + n * slope_c) + 0.5f;
            unsigned int label = texel_at<unsigned char, AXIS>(labels, a, b, c);
            met.seen |= 1u << (label & 31u);
            met.first_a = min(met.first_a, label == label_a ? slab + plane : NEVER);
            met.first_b = min(met.first_b, label == label_b ? slab + plane : NEVER);
        }
    }
}

__device__ __forceinline__ void lower_depth(float* depth, int plane, const LabelRay& ray) {
    if (plane < NEVER) *depth = fminf(*depth, (float)((ray.first + ray.step * plane - ray.origin_a) / ray.d_a));
}

// Follows one ray through every pixel centre and adds what it meets.
//
// labels: texture of (size_i, size_j, size_k) bytes; worlds, views: V each; hits: (V, rows, columns) uint32, bit l set
// where label l (0..31) is met; depths: (V, wanted, rows, columns) float32 camera z in mm, of which planes slot_a and
// slot_b are lowered to the first plane at which label_a and label_b are met. Launch as march_<bits>.
extern "C" __global__ void __launch_bounds__(LABEL_THREADS) cast_labels(
    cudaTextureObject_t labels, int size_i, int size_j, int size_k, const WorldView* worlds, const IndexView* views,
    int rows, int columns, unsigned int label_a, unsigned int label_b, int slot_a, int slot_b, int wanted,
    unsigned int* hits, float* depths) {
    int column = blockIdx.x * blockDim.x + threadIdx.x;
    int row = blockIdx.y * blockDim.y + threadIdx.y;
    int view = blockIdx.z;
    if (column >= columns || row >= rows) return;
    LabelRay ray;
    if (!set_up_labels(worlds[view], views[view], size_i, size_j, size_k, column, row, ray)) return;
    LabelsMet met = {0u, NEVER, NEVER};
    if (ray.axis == 0) follow_labels<0>(labels, ray, label_a, label_b, met);
    else if (ray.axis == 1) follow_labels<1>(labels, ray, label_a, label_b, met);
    else follow_labels<2>(labels, ray, label_a, label_b, met);
    size_t plane = (size_t)rows * columns, pixel = (size_t)row * columns + column;
    hits[view * plane + pixel] |= met.seen;
    float* depth = depths + (size_t)view * wanted * plane + pixel;
    lower_depth(depth + slot_a * plane, met.first_a, ray);
    lower_depth(depth + slot_b * plane, met.first_b, ray);
}

// Whether the voxel of a volume nearest to a point of the world is not empty.
__device__ __forceinline__ bool is_occupied(const Volume& volume, const Vector& point) {
    Vector at = to_index(volume, point);
    double i = floor(at.x + 0.5), j = floor(at.y + 0.5), k = floor(at.z + 0.5);
    if (!(i >= 0.0 && i < volume.size[0] && j >= 0.0 && j < volume.size[1] && k >= 0.0 && k < volume.size[2]))
        return false;
    return (tex3D<unsigned int>(volume.words, (float)k + 0.5f, (float)j + 0.5f, (float)i + 0.5f) & 0xFFFFu) != 0u;
}

// The same for a volume that has others above it: a label counts only where none of these is occupied, as in
// xray/covered_labels_cpu.py. Slower, in double precision: few scenes have overlays.
//
// above: `count` volumes; wanted: the `depth_count` labels of the planes of `depths`; otherwise as cast_labels.
extern "C" __global__ void __launch_bounds__(LABEL_THREADS) cast_covered_labels(
    cudaTextureObject_t labels, int size_i, int size_j, int size_k, const WorldView* worlds, const IndexView* views,
    int rows, int columns, const Volume* above, int count, const int* wanted, int depth_count, unsigned int* hits,
    float* depths) {
    int column = blockIdx.x * blockDim.x + threadIdx.x;
    int row = blockIdx.y * blockDim.y + threadIdx.y;
    int view = blockIdx.z;
    if (column >= columns || row >= rows) return;
    const WorldView& world = worlds[view];
    const IndexView& indexed = views[view];
    LabelRay ray;
    if (!set_up_labels(world, indexed, size_i, size_j, size_k, column, row, ray)) return;
    Vector d = direction_through(indexed.direction, column, row);
    Vector w = direction_through(world.direction, column, row);
    size_t plane = (size_t)rows * columns, pixel = (size_t)row * columns + column;
    float* depth = depths + (size_t)view * depth_count * plane + pixel;
    unsigned int seen = 0u;
    for (int n = 0; n < ray.planes; ++n) {
        double t = (ray.first + ray.step * n - ray.origin_a) / ray.d_a;
        Vector at = point_at(indexed.origin, t, d);
        double i = fmin(fmax(floor(at.x + 0.5), 0.0), size_i - 1.0);
        double j = fmin(fmax(floor(at.y + 0.5), 0.0), size_j - 1.0);
        double k = fmin(fmax(floor(at.z + 0.5), 0.0), size_k - 1.0);
        int label = tex3D<unsigned char>(labels, (float)k + 0.5f, (float)j + 0.5f, (float)i + 0.5f);
        bool covered = label == 0;
        for (int v = 0; v < count && !covered; ++v) covered = is_occupied(above[v], point_at(world.source, t, w));
        if (covered) continue;
        seen |= 1u << (label & 31);
        for (int slot = 0; slot < depth_count; ++slot)
            if (label == wanted[slot]) depth[slot * plane] = fminf(depth[slot * plane], (float)t);
    }
    hits[view * plane + pixel] |= seen;
}
