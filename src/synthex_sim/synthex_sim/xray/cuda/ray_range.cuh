// Where a ray crosses the voxel planes of a grid, in double precision: the formulas of xray/ray_range.py.

// A view in the world, mm: the source, homogeneous pixel -> direction of camera z component 1, the detector's camera z.
struct WorldView {
    double source[3];
    double direction[9];
    double reach_mm;
};

// The same view in voxel indices of one volume.
struct IndexView {
    double origin[3];
    double direction[9];
};

__device__ __forceinline__ double along(const double* direction, int axis, double column, double row) {
    return direction[3 * axis] * column + direction[3 * axis + 1] * row + direction[3 * axis + 2];
}

// By comparison, not by index: an array that is indexed at run time does not stay in registers.
__device__ __forceinline__ double pick(int axis, double x, double y, double z) {
    return axis == 0 ? x : axis == 1 ? y : z;
}

// Narrows [low, high] of the ray parameter t to where lowest <= origin + t direction <= highest. Becomes [1, 0], empty,
// where a ray that runs along the slab lies outside of it.
__device__ __forceinline__ void clip_to_slab(double origin, double direction, double lowest, double highest,
                                             double& low, double& high) {
    if (fabs(direction) < 1e-12) {
        if (origin < lowest || origin > highest) {
            low = 1.0;
            high = 0.0;
        }
        return;
    }
    double a = (lowest - origin) / direction;
    double b = (highest - origin) / direction;
    low = fmax(low, fmin(a, b));
    high = fmin(high, fmax(a, b));
}

// The axis along which a direction is longest; the first of equals.
__device__ __forceinline__ int dominant_axis(double x, double y, double z) {
    double largest = fabs(x);
    int axis = 0;
    if (fabs(y) > largest) {
        axis = 1;
        largest = fabs(y);
    }
    return fabs(z) > largest ? 2 : axis;
}

// First and last voxel plane that a ray crosses at t in [low, high].
__device__ __forceinline__ void planes_between(double origin, double direction, double low, double high, int& first,
                                               int& last) {
    double at_low = origin + low * direction;
    double at_high = origin + high * direction;
    first = (int)ceil(fmin(at_low, at_high) - 1e-9);
    last = (int)floor(fmax(at_low, at_high) + 1e-9);
}
