// The ray through a pixel, and the planes of a grid that it is followed across: the formulas of xray/pixel_ray.py.

#include "ray_range.cuh"

// A ray in voxel indices. It is followed from plane to plane across a, the axis along which it is longest; b < c are
// the other two.
struct PlaneRay {
    int axis, first, last;  // a, and the planes
    double origin_a, origin_b, origin_c, d_a, d_b, d_c;
};

// Sets a pixel's ray; false where it crosses no plane of the grid. It is followed from `inset` + `inset_of_side` * n
// voxels within the centres of the outermost of n voxels along an axis; negative: outside of them.
__device__ __forceinline__ bool cross_planes(const WorldView& world, const IndexView& view, int size_i, int size_j,
                                             int size_k, double inset, double inset_of_side, int column, int row,
                                             PlaneRay& ray) {
    Vector d = direction_through(view.direction, column, row);
    int a = dominant_axis(d);
    int b = a == 0 ? 1 : 0, c = a == 2 ? 1 : 2;
    ray.axis = a;
    ray.origin_a = pick(a, view.origin);
    ray.origin_b = pick(b, view.origin);
    ray.origin_c = pick(c, view.origin);
    ray.d_a = pick(a, d);
    ray.d_b = pick(b, d);
    ray.d_c = pick(c, d);
    double low = 0.0, high = world.reach_mm;
    double inset_i = inset + inset_of_side * size_i, inset_j = inset + inset_of_side * size_j;
    double inset_k = inset + inset_of_side * size_k;
    clip_to_slab(view.origin.x, d.x, inset_i, size_i - 1.0 - inset_i, low, high);
    clip_to_slab(view.origin.y, d.y, inset_j, size_j - 1.0 - inset_j, low, high);
    clip_to_slab(view.origin.z, d.z, inset_k, size_k - 1.0 - inset_k, low, high);
    if (low >= high) return false;
    planes_between(ray.origin_a, ray.d_a, low, high, ray.first, ray.last);
    return ray.first <= ray.last;
}

// The texel of a voxel named by its position along a ray's axis and across it, half a texel in; x = k, y = j, z = i.
template <class T, int AXIS>
__device__ __forceinline__ T texel_at(cudaTextureObject_t texels, float a, float b, float c) {
    if (AXIS == 0) return tex3D<T>(texels, c, b, a);
    if (AXIS == 1) return tex3D<T>(texels, c, a, b);
    return tex3D<T>(texels, a, c, b);
}
