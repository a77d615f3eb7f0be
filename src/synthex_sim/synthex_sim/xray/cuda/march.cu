// Joseph's ray caster on the GPU: the samples of xray/march_cpu.py, one thread for a pixel, a launch for a batch of
// views.
//
// Volumes are 3D textures of 32-bit words, two codes of packed_volume.py each (device_volume.py), x = k, y = j, z = i,
// looked up unfiltered: the texture unit's own interpolation has 8-bit weights, which is too coarse to agree with the
// CPU, and cannot tell materials apart. What the texture gives is its memory order: neighbours in all three directions
// share cache lines, so that a view from any side costs about the same.
//
// A warp is a tile of 8 x 4 pixels, whose rays stay close together. Set-up is in double precision, the loop in single.

#include "pixel_ray.cuh"

// Rays end so many voxels before the outermost layer, as on the CPU.
#define MARCH_EDGE 1e-3
#define MARCH_EDGE_OF_SIDE (1.0 / 262144.0)
#define MARCH_THREADS 128

struct MarchRay {
    int axis, first, planes;
    float b, c, slope_b, slope_c;  // position across the axis on the first plane, change from plane to plane
    float cm_per_plane;
};

// Sums of the interpolated density codes of all and of the second, third and fourth material, each times 2^BITS.
struct MarchSums {
    float total, second, third, fourth;
};

__device__ __forceinline__ bool set_up_march(const WorldView& world, const IndexView& view, int size_i, int size_j,
                                             int size_k, int column, int row, MarchRay& ray) {
    // at the beginning: at the end it costs registers
    double mm_per_depth = length_of(direction_through(world.direction, column, row));
    PlaneRay crossed;
    if (!cross_planes(world, view, size_i, size_j, size_k, MARCH_EDGE, MARCH_EDGE_OF_SIDE, column, row, crossed))
        return false;
    double slope_b = crossed.d_b / crossed.d_a, slope_c = crossed.d_c / crossed.d_a;
    double to_first = crossed.first - crossed.origin_a;
    ray.axis = crossed.axis;
    ray.first = crossed.first;
    ray.planes = crossed.last - crossed.first + 1;
    ray.slope_b = (float)slope_b;
    ray.slope_c = (float)slope_c;
    ray.b = (float)(crossed.origin_b + to_first * slope_b);
    ray.c = (float)(crossed.origin_c + to_first * slope_c);
    ray.cm_per_plane = (float)(0.1 * mm_per_depth / fabs(crossed.d_a));
    return true;
}

template <int BITS>
__device__ __forceinline__ void add_corner(MarchSums& sums, unsigned int code, float weight) {
    const unsigned int materials = (1u << BITS) - 1u;
    // the material's bits are cleared, not shifted out: that scales by 2^BITS, which is undone once at the end
    float density = weight * (float)(int)(code & 0xFFFFu & ~materials);
    unsigned int material = code & materials;
    sums.total += density;
    if (BITS >= 1) sums.second += material == 1u ? density : 0.0f;
    if (BITS >= 2) sums.third += material == 2u ? density : 0.0f;
    if (BITS >= 2) sums.fourth += material == 3u ? density : 0.0f;
}

template <int BITS, int AXIS>
__device__ __forceinline__ void march_along(cudaTextureObject_t words, const MarchRay& ray, MarchSums& sums) {
    // texels are looked up at their centres, half a texel in
    float a = (float)ray.first + 0.5f;
    float n = 0.0f;
    // several look-ups under way at once hide their latency
#pragma unroll 4
    for (int plane = 0; plane < ray.planes; ++plane) {
        float b = ray.b + n * ray.slope_b;
        float c = ray.c + n * ray.slope_c;
        float floor_b = truncf(b), floor_c = truncf(c);
        float wb = b - floor_b, wc = c - floor_c;
        float w11 = wb * wc, w10 = wb - w11, w01 = wc - w11, w00 = 1.0f - wb - w01;
        float at_b = floor_b + 0.5f, at_c = floor_c + 0.5f;
        unsigned int near = texel_at<unsigned int, AXIS>(words, a, at_b, at_c);
        unsigned int far = texel_at<unsigned int, AXIS>(words, a, at_b + 1.0f, at_c);
        if (AXIS == 2) {
            // k runs along the ray: the pair in a word lies on two planes, so both neighbours are looked up
            add_corner<BITS>(sums, near, w00);
            add_corner<BITS>(sums, texel_at<unsigned int, AXIS>(words, a, at_b, at_c + 1.0f), w01);
            add_corner<BITS>(sums, far, w10);
            add_corner<BITS>(sums, texel_at<unsigned int, AXIS>(words, a, at_b + 1.0f, at_c + 1.0f), w11);
        } else {
            add_corner<BITS>(sums, near, w00);
            add_corner<BITS>(sums, near >> 16, w01);
            add_corner<BITS>(sums, far, w10);
            add_corner<BITS>(sums, far >> 16, w11);
        }
        a += 1.0f;
        n += 1.0f;
    }
}

template <int BITS>
__device__ __forceinline__ void march_pixel(cudaTextureObject_t words, int size_i, int size_j, int size_k,
                                            float density_step, const WorldView* worlds, const IndexView* views,
                                            int rows, int columns, int planes, int materials, float* areas) {
    int column = blockIdx.x * blockDim.x + threadIdx.x;
    int row = blockIdx.y * blockDim.y + threadIdx.y;
    int view = blockIdx.z;
    if (column >= columns || row >= rows) return;
    MarchRay ray;
    if (!set_up_march(worlds[view], views[view], size_i, size_j, size_k, column, row, ray)) return;
    MarchSums sums = {0.0f, 0.0f, 0.0f, 0.0f};
    if (ray.axis == 0) march_along<BITS, 0>(words, ray, sums);
    else if (ray.axis == 1) march_along<BITS, 1>(words, ray, sums);
    else march_along<BITS, 2>(words, ray, sums);
    float scale = ray.cm_per_plane * density_step / (float)(1 << BITS);
    size_t plane = (size_t)rows * columns;
    float* pixel = areas + (size_t)view * planes * plane + (size_t)row * columns + column;
    pixel[0] += scale * fmaxf(sums.total - sums.second - sums.third - sums.fourth, 0.0f);
    if (BITS >= 1 && materials > 1) pixel[plane] += scale * sums.second;
    if (BITS >= 2 && materials > 2) pixel[2 * plane] += scale * sums.third;
    if (BITS >= 2 && materials > 3) pixel[3 * plane] += scale * sums.fourth;
}

// Casts one ray through every pixel centre and adds the area densities of one volume to the first planes of `areas`.
//
// words: texture of (I, J, K) = (size_i, size_j, size_k) words; density_step: g/cm^3 of one density code;
// worlds, views: V each; areas: (V, planes, rows, columns) float32 g/cm^2, of which the first `materials` are this
// volume's. Launch with blocks of 8 x 16 and a grid of (columns / 8, rows / 16, V), rounded up. march_<bits> is for
// volumes with so many material bits.
extern "C" __global__ void __launch_bounds__(MARCH_THREADS) march_0(
    cudaTextureObject_t words, int size_i, int size_j, int size_k, float density_step, const WorldView* worlds,
    const IndexView* views, int rows, int columns, int planes, int materials, float* areas) {
    march_pixel<0>(words, size_i, size_j, size_k, density_step, worlds, views, rows, columns, planes, materials, areas);
}

extern "C" __global__ void __launch_bounds__(MARCH_THREADS) march_1(
    cudaTextureObject_t words, int size_i, int size_j, int size_k, float density_step, const WorldView* worlds,
    const IndexView* views, int rows, int columns, int planes, int materials, float* areas) {
    march_pixel<1>(words, size_i, size_j, size_k, density_step, worlds, views, rows, columns, planes, materials, areas);
}

extern "C" __global__ void __launch_bounds__(MARCH_THREADS) march_2(
    cudaTextureObject_t words, int size_i, int size_j, int size_k, float density_step, const WorldView* worlds,
    const IndexView* views, int rows, int columns, int planes, int materials, float* areas) {
    march_pixel<2>(words, size_i, size_j, size_k, density_step, worlds, views, rows, columns, planes, materials, areas);
}
