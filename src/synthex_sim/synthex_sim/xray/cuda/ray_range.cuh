// Where a ray crosses the voxel planes of a grid, in double precision: the formulas of xray/ray_range.py.

struct Vector {
    double x, y, z;
};

// A view in the world, mm: the source, homogeneous pixel -> direction of camera z component 1, the detector's camera z.
struct WorldView {
    Vector source;
    double direction[9];
    double reach_mm;
};

// The same view in voxel indices of one volume.
struct IndexView {
    Vector origin;
    double direction[9];
};

// The direction through a pixel position: `direction` (3 x 3) times (column, row, 1).
__device__ __forceinline__ Vector direction_through(const double* direction, double column, double row) {
    Vector d = {direction[0] * column + direction[1] * row + direction[2],
                direction[3] * column + direction[4] * row + direction[5],
                direction[6] * column + direction[7] * row + direction[8]};
    return d;
}

__device__ __forceinline__ Vector point_at(const Vector& source, double t, const Vector& d) {
    Vector point = {source.x + t * d.x, source.y + t * d.y, source.z + t * d.z};
    return point;
}

__device__ __forceinline__ double length_of(const Vector& d) { return sqrt(d.x * d.x + d.y * d.y + d.z * d.z); }

// By comparison, not by index: an array that is indexed at run time does not stay in registers.
__device__ __forceinline__ double pick(int axis, const Vector& of) {
    return axis == 0 ? of.x : axis == 1 ? of.y : of.z;
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
__device__ __forceinline__ int dominant_axis(const Vector& d) {
    double largest = fabs(d.x);
    int axis = 0;
    if (fabs(d.y) > largest) {
        axis = 1;
        largest = fabs(d.y);
    }
    return fabs(d.z) > largest ? 2 : axis;
}

// First and last voxel plane that a ray crosses at t in [low, high].
__device__ __forceinline__ void planes_between(double origin, double direction, double low, double high, int& first,
                                               int& last) {
    double at_low = origin + low * direction;
    double at_high = origin + high * direction;
    first = (int)ceil(fmin(at_low, at_high) - 1e-9);
    last = (int)floor(fmax(at_low, at_high) + 1e-9);
}
