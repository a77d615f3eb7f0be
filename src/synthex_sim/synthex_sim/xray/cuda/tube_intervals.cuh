// Where a ray lies inside the pieces of notched tubes, analytically: the formulas of xray/tube_intervals.py.
// In double precision: the source is a metre away from walls of half a millimetre.

#include "ray_range.cuh"

// A (half) annulus between two planes of constant y in its own frame, mm.
struct Piece {
    double rotation[9];  // world -> piece frame
    Vector centre;       // of the bounding sphere, world
    Vector axis;         // the piece's y axis in the world
    double radius;       // of the bounding sphere
    double side, y_start, y_end, outer, inner;
    int tool;            // pieces come tool after tool
    int plane;           // of the area densities: the tool's material
    float density;       // g/cm^3 of it
    int notched;
};

// Disjoint intervals in ascending order along a ray, mm from the source.
#define MAX_INTERVALS 96
struct Intervals {
    int count;
    double start[MAX_INTERVALS], stop[MAX_INTERVALS];
};

// Whether some ray that is at most `spread` times its length off the one along the unit direction d may meet a piece:
// within its bounding sphere and within the outer radius of its axis; the sphere alone says nothing of a long shaft.
__device__ __forceinline__ bool may_meet(const Piece& piece, const Vector& source, const Vector& d, double spread) {
    double ox = piece.centre.x - source.x, oy = piece.centre.y - source.y, oz = piece.centre.z - source.z;
    double near = ox * d.x + oy * d.y + oz * d.z;
    double distance2 = ox * ox + oy * oy + oz * oz;
    double margin = spread * (sqrt(distance2) + piece.radius);
    double reach = piece.radius + margin;
    if (distance2 - near * near > reach * reach) return false;
    // distance of two lines: the triple product of the offset with the normal to both, over that normal's length
    double nx = d.y * piece.axis.z - d.z * piece.axis.y;
    double ny = d.z * piece.axis.x - d.x * piece.axis.z;
    double nz = d.x * piece.axis.y - d.y * piece.axis.x;
    double across = sqrt(nx * nx + ny * ny + nz * nz);
    return !(fabs(ox * nx + oy * ny + oz * nz) > (piece.outer + margin) * across && across > 1e-3);
}

// Unites a list with one more interval. Should it hold too many, the gap before the last one closes.
__device__ __forceinline__ void add_interval(Intervals& list, double start, double stop) {
    int at = list.count;
    while (at > 0 && list.start[at - 1] > start) --at;
    if (at > 0 && start <= list.stop[at - 1]) {
        --at;
        list.stop[at] = fmax(list.stop[at], stop);
    } else if (list.count < MAX_INTERVALS) {
        for (int i = list.count; i > at; --i) {
            list.start[i] = list.start[i - 1];
            list.stop[i] = list.stop[i - 1];
        }
        list.start[at] = start;
        list.stop[at] = stop;
        ++list.count;
    } else {
        at = at > 0 ? at - 1 : 0;
        list.start[at] = fmin(list.start[at], start);
        list.stop[at] = fmax(list.stop[at], stop);
    }
    // what the new one reaches over goes into it
    int behind = at + 1;
    while (behind < list.count && list.start[behind] <= list.stop[at]) {
        list.stop[at] = fmax(list.stop[at], list.stop[behind]);
        ++behind;
    }
    int gone = behind - at - 1;
    if (gone > 0) {
        for (int i = behind; i < list.count; ++i) {
            list.start[i - gone] = list.start[i];
            list.stop[i - gone] = list.stop[i];
        }
        list.count -= gone;
    }
}

__device__ __forceinline__ double length_of(const Intervals& list) {
    double total = 0.0;
    for (int i = 0; i < list.count; ++i) total += list.stop[i] - list.start[i];
    return total;
}

// Adds where the ray along the unit direction d of the world, 0..limit mm, lies inside a piece; `source` is in the
// piece's frame. Returns whether there was anything to add.
__device__ __forceinline__ bool add_piece(const Piece& piece, const Vector& source, const Vector& d, double limit,
                                          Intervals& list) {
    const double* r = piece.rotation;
    double x = r[0] * d.x + r[1] * d.y + r[2] * d.z;
    double y = r[3] * d.x + r[4] * d.y + r[5] * d.z;
    double z = r[6] * d.x + r[7] * d.y + r[8] * d.z;
    double low = 0.0, high = limit;
    clip_to_slab(source.y, y, piece.y_start, piece.y_end, low, high);
    if (piece.side != 0.0) clip_to_slab(piece.side * source.x, piece.side * x, 0.0, 1e30, low, high);
    if (low >= high) return false;
    double outer2 = piece.outer * piece.outer, inner2 = piece.inner * piece.inner;
    double a = x * x + z * z;
    double b = source.x * x + source.z * z;
    double c = source.x * source.x + source.z * source.z;
    if (a < 1e-12) {
        if (c >= outer2 || c < inner2) return false;
        add_interval(list, low, high);
        return true;
    }
    double outer_disc = b * b - a * (c - outer2);
    if (outer_disc <= 0.0) return false;
    double root = sqrt(outer_disc);
    low = fmax(low, (-b - root) / a);
    high = fmin(high, (-b + root) / a);
    if (low >= high) return false;
    double inner_disc = b * b - a * (c - inner2);
    double hole_start = high, hole_stop = high;
    if (inner_disc > 0.0) {
        root = sqrt(inner_disc);
        hole_start = (-b - root) / a;
        hole_stop = (-b + root) / a;
    }
    bool any = false;
    if (fmin(high, hole_start) > low) {
        add_interval(list, low, fmin(high, hole_start));
        any = true;
    }
    if (high > fmax(low, hole_stop)) {
        add_interval(list, fmax(low, hole_stop), high);
        any = true;
    }
    return any;
}
