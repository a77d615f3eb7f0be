// Philox4x32-10, the counter-based random number generator (Salmon et al., SC 2011): the same as xray/philox.py.

struct Words {
    unsigned int word[4];
};

// Four words from a counter of four and a key of two.
__device__ __forceinline__ Words philox(unsigned int c0, unsigned int c1, unsigned int c2, unsigned int c3,
                                        unsigned int k0, unsigned int k1) {
#pragma unroll
    for (int round = 0; round < 10; ++round) {
        unsigned int high0 = __umulhi(0xD2511F53u, c0), low0 = 0xD2511F53u * c0;
        unsigned int high1 = __umulhi(0xCD9E8D57u, c2), low1 = 0xCD9E8D57u * c2;
        c0 = high1 ^ c1 ^ k0;
        c1 = low1;
        c2 = high0 ^ c3 ^ k1;
        c3 = low0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    Words words = {{c0, c1, c2, c3}};
    return words;
}
