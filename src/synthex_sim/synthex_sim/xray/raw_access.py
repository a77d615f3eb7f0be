"""What numba lacks for loops that become vector instructions: unchecked 32-bit array access, bits taken as a float.

numba computes indices in 64 bits and wraps negative ones around. Both keep LLVM from turning a loop of table look-ups
into vector gathers of 32-bit offsets, which is worth a factor of five in the ray caster (measured with numba 0.68 on
AVX-512). These two say what is needed and no more. Offsets must lie within the array: nothing checks them.
"""

from __future__ import annotations

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic


@intrinsic
def take(typingctx, array, offset):  # noqa: ANN001, ANN201 - numba's calling convention
    """``array.reshape(-1)[offset]`` of a C-contiguous array, ``offset`` a 32-bit signed integer within it."""

    def generate(context, builder, signature, args):  # noqa: ANN001, ANN202
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return context.unpack_value(builder, signature.return_type, builder.gep(data, [args[1]]))

    return array.dtype(array, types.int32), generate


@intrinsic
def mul_add(typingctx, a, b, c):  # noqa: ANN001, ANN201
    """a * b + c in 32-bit signed integers; must not overflow."""

    def generate(context, builder, signature, args):  # noqa: ANN001, ANN202
        return builder.add(builder.mul(args[0], args[1], flags=["nsw"]), args[2], flags=["nsw"])

    return types.int32(types.int32, types.int32, types.int32), generate


@intrinsic
def take_byte(typingctx, array, offset):  # noqa: ANN001, ANN201
    """Byte ``offset`` of a C-contiguous uint8 array as uint32. Reads three bytes further: the array must be so much longer.

    There are vector gathers of words but none of bytes.
    """

    def generate(context, builder, signature, args):  # noqa: ANN001, ANN202
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        word = builder.bitcast(builder.gep(data, [args[1]]), ir.IntType(32).as_pointer())
        return builder.and_(builder.load(word, align=1), ir.IntType(32)(0xFF))

    return types.uint32(array, types.int32), generate


@intrinsic
def float_from_bits(typingctx, bits):  # noqa: ANN001, ANN201
    """The float32 whose IEEE 754 bits are those of an int32."""

    def generate(context, builder, signature, args):  # noqa: ANN001, ANN202
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.int32), generate
