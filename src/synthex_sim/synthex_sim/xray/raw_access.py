"""What numba lacks for loops that become vector instructions: unchecked 32-bit array access, bits taken as a float.

numba computes indices in 64 bits and wraps negative ones around. Both keep LLVM from turning a loop of table look-ups
into vector gathers of 32-bit offsets, which is worth a factor of five in the ray caster (measured with numba 0.68 on
AVX-512). These say what is needed and no more. Offsets must lie within the array: nothing checks them.
"""

from __future__ import annotations

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic


@intrinsic
def take_word(typingctx, array, offset):  # noqa: ANN001, ANN201 - numba's calling convention
    """The 32 bits from element ``offset`` of a C-contiguous array on, as uint32: two neighbours of a uint16 array.

    ``offset`` is a 32-bit signed integer. Elements may be of one or two bytes; the word need not be aligned, and must
    lie within the array to its end. There are vector gathers of words, none of anything shorter.
    """
    itemsize = array.dtype.bitwidth // 8

    def generate(context, builder, signature, args):  # noqa: ANN001, ANN202
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        word = builder.bitcast(builder.gep(data, [args[1]]), ir.IntType(32).as_pointer())
        return builder.load(word, align=itemsize)

    return types.uint32(array, types.int32), generate


@intrinsic
def mul_add(typingctx, a, b, c):  # noqa: ANN001, ANN201
    """a * b + c in 32-bit signed integers; must not overflow."""

    def generate(context, builder, signature, args):  # noqa: ANN001, ANN202
        return builder.add(builder.mul(args[0], args[1], flags=["nsw"]), args[2], flags=["nsw"])

    return types.int32(types.int32, types.int32, types.int32), generate


@intrinsic
def float_from_bits(typingctx, bits):  # noqa: ANN001, ANN201
    """The float32 whose IEEE 754 bits are those of an int32."""

    def generate(context, builder, signature, args):  # noqa: ANN001, ANN202
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.int32), generate
