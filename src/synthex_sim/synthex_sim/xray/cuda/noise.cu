// Noise of single pixels on the GPU: the same numbers as synthex_sim/xray/noise.py, which explains the method.
//
// A block of 256 threads serves one group of 1024 pixels of one view; thread l draws the counter 256 group + l and
// writes the pixels 1024 group + 256 j + l, j = 0..3. Launch with grid (groups, views) and block (256).

#include "philox.cuh"

#define NOISE_LANES 256u
#define NOISE_GROUP 1024u
#define FEW_QUANTA 10.0f

// Unit normal from a word: the inverse normal distribution at (word + 1/2) / 2^32.
__device__ __forceinline__ float unit_normal(unsigned int word) {
    unsigned int tail = word < ~word ? word : ~word;
    int bits = __float_as_int((float)(int)tail + 0.5f);
    int exponent = (bits - 0x3F3504F3) >> 23;
    float m = __int_as_float(bits - exponent * 0x800000);
    float s = (m - 1.0f) / (m + 1.0f);
    float s2 = s * s;
    float series = 1.0f + s2 * (1.0f / 3.0f + s2 * (1.0f / 5.0f + s2 * (1.0f / 7.0f + s2 * (1.0f / 9.0f))));
    float log_tail = (float)(exponent - 32) * 0.6931471805599453f + 2.0f * s * series;
    float t = sqrtf(-2.0f * log_tail);
    float top = -3.201481487787324f + t * (-7.750316724720842f + t * (3.35641837113361f
                + t * (4.117213063382188f + t * 0.49616283254526106f)));
    float bottom = 1.0f + t * (5.397871927945948f + t * (4.139054975623375f + t * 0.49586325775185736f));
    return word >= 0x80000000u ? top / bottom : -(top / bottom);
}

// Poisson count of a small mean at the uniform number of a word, summed up term by term.
__device__ __forceinline__ int few_quanta(double mean, unsigned int word) {
    double uniform = ((double)word + 0.5) / 4294967296.0;
    double term = exp(-mean);
    double below = term;
    int count = 0;
    while (uniform > below && count < 200) {
        ++count;
        term *= mean / count;
        below += term;
    }
    return count;
}

// Energy that quanta of expected energy e and variance v (keV, keV^2) leave in a pixel.
__device__ __forceinline__ float absorbed_energy(float e, float v, unsigned int word) {
    if (!(v > 0.0f) || !(e * (e / v) < 1e30f)) return e;
    float n = e * (e / v);
    if (n < FEW_QUANTA) {
        int quanta = few_quanta((double)e * (double)e / (double)v, word);
        return quanta > 0 ? (float)(quanta * ((double)v / (double)e)) : 0.0f;
    }
    float inverse_root = 1.0f / sqrtf(n);
    float w = unit_normal(word);
    float w2 = w * w;
    float shift = (2.0f + w2) * (1.0f / 6.0f - w * inverse_root * (1.0f / 72.0f));
    shift += (w2 * (3.0f * w2 + 7.0f) - 16.0f) * (1.0f / 810.0f) * inverse_root * inverse_root;
    float quanta = fmaxf(n + (n * inverse_root * w + shift), 0.0f);
    return (quanta < 1e9f ? (float)(int)quanta : quanta) * (e / n);
}

// The words of a thread's four pixels.
__device__ __forceinline__ Words words_here(const unsigned int* samples, unsigned int tag, unsigned int key0,
                                            unsigned int key1) {
    const unsigned int* sample = samples + 2 * blockIdx.y;
    return philox(blockIdx.x * NOISE_LANES + threadIdx.x, tag, sample[0], sample[1], key0, key1);
}

// Where pixel j of a thread's four is in its image.
__device__ __forceinline__ unsigned int pixel_here(unsigned int j) {
    return blockIdx.x * NOISE_GROUP + j * NOISE_LANES + threadIdx.x;
}

// energy, variance, drawn: (V, pixels); samples: (V, 2) as (low, high); tag = purpose << 16 | draw. bad becomes 1 where
// an energy or variance is negative or not finite.
extern "C" __global__ void draw_absorbed_energy(const float* energy, const float* variance, const unsigned int* samples,
                                                unsigned int tag, unsigned int key0, unsigned int key1,
                                                unsigned int pixels, float* drawn, int* bad) {
    Words words = words_here(samples, tag, key0, key1);
    for (unsigned int j = 0; j < 4; ++j) {
        unsigned int pixel = pixel_here(j);
        if (pixel < pixels) {
            unsigned long long at = (unsigned long long)blockIdx.y * pixels + pixel;
            float e = energy[at], v = variance[at];
            if (!(e >= 0.0f && v >= 0.0f && e < 3e38f && v < 3e38f)) *bad = 1;
            drawn[at] = absorbed_energy(e, v, words.word[j]);
        }
    }
}

// drawn: (V, pixels) unit normals.
extern "C" __global__ void draw_unit_normals(const unsigned int* samples, unsigned int tag, unsigned int key0,
                                             unsigned int key1, unsigned int pixels, float* drawn) {
    Words words = words_here(samples, tag, key0, key1);
    for (unsigned int j = 0; j < 4; ++j) {
        unsigned int pixel = pixel_here(j);
        if (pixel < pixels) drawn[(unsigned long long)blockIdx.y * pixels + pixel] = unit_normal(words.word[j]);
    }
}
