// Enough of CUDA C to run a kernel on the host, one thread after the other, for tests on machines without a GPU.
//
// What works: thread and block indices, arithmetic, bit casts, integer atomics and float atomicAdd, 3D textures that
// are looked up unfiltered. What does not: __syncthreads and warp functions. A kernel that shares memory between
// threads of a block cannot be run like this; keep the part worth testing in a __device__ function.
#pragma once

#include <math.h>  // unlike <cmath> it names sqrt, exp, ... of floats outside of std
#include <cstring>

#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline
#define __restrict__ __restrict
#define __launch_bounds__(...)

struct dim3 {
    unsigned int x, y, z;
    dim3(unsigned int x = 1, unsigned int y = 1, unsigned int z = 1) : x(x), y(y), z(z) {}
};
struct float2 { float x, y; };
struct float3 { float x, y, z; };
struct float4 { float x, y, z, w; };
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float3 make_float3(float x, float y, float z) { return {x, y, z}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

static thread_local dim3 threadIdx, blockIdx, blockDim, gridDim;

template <class To, class From>
inline To shim_cast(From value) {
    To result;
    static_assert(sizeof(To) == sizeof(From), "bit casts keep the size");
    std::memcpy(&result, &value, sizeof(result));
    return result;
}
inline int __float_as_int(float value) { return shim_cast<int>(value); }
inline float __int_as_float(int value) { return shim_cast<float>(value); }
inline unsigned int __float_as_uint(float value) { return shim_cast<unsigned int>(value); }
inline float __uint_as_float(unsigned int value) { return shim_cast<float>(value); }
inline unsigned int __umulhi(unsigned int a, unsigned int b) {
    return (unsigned int)(((unsigned long long)a * b) >> 32);
}
inline int __clz(int value) { return value ? __builtin_clz((unsigned int)value) : 32; }
inline float __expf(float value) { return exp(value); }
inline float __logf(float value) { return log(value); }
inline float rsqrtf(float value) { return 1.0f / sqrt(value); }
template <class T> inline T __ldg(const T* address) { return *address; }
template <class T> inline T min(T a, T b) { return b < a ? b : a; }
template <class T> inline T max(T a, T b) { return a < b ? b : a; }
// One thread runs at a time: a plain sum is atomic.
template <class T> inline T atomicAdd(T* address, T value) {
    T old = *address;
    *address += value;
    return old;
}

// A texture object is the address of a HostTexture: a C-contiguous (depth, height, width) array of T. Point look-up,
// addresses clamped.
typedef unsigned long long cudaTextureObject_t;
struct HostTexture {
    const void* texels;
    int width, height, depth;
};
inline int shim_texel(float at, int size) {
    int texel = (int)floor(at);
    return texel < 0 ? 0 : texel >= size ? size - 1 : texel;
}
template <class T>
inline T tex3D(cudaTextureObject_t object, float x, float y, float z) {
    const HostTexture& texture = *(const HostTexture*)object;
    size_t row = (size_t)shim_texel(z, texture.depth) * texture.height + shim_texel(y, texture.height);
    return ((const T*)texture.texels)[row * texture.width + shim_texel(x, texture.width)];
}

template <class Kernel, class... Arguments>
void shim_launch(dim3 grid, dim3 block, Kernel kernel, Arguments... arguments) {
    gridDim = grid;
    blockDim = block;
    for (blockIdx.z = 0; blockIdx.z < grid.z; ++blockIdx.z)
        for (blockIdx.y = 0; blockIdx.y < grid.y; ++blockIdx.y)
            for (blockIdx.x = 0; blockIdx.x < grid.x; ++blockIdx.x)
                for (threadIdx.z = 0; threadIdx.z < block.z; ++threadIdx.z)
                    for (threadIdx.y = 0; threadIdx.y < block.y; ++threadIdx.y)
                        for (threadIdx.x = 0; threadIdx.x < block.x; ++threadIdx.x) kernel(arguments...);
}
