"""Vectors of 16 float32 numbers as values within functions that Numba compiles.

Where Numba's compiler makes vectors of loops, sums stay in memory and each short loop asks again which arrays overlap.
With values of this type a kernel says what is in registers. A CPU with narrower registers takes several for a vector.

`+`, `-` and `*` take vectors, and a vector and a number. So does a function that consists of them and of what is
here.
"""

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, overload, register_model

# By Numba's annotations, a call has to give the context of typing, too.
_compiled: Any = intrinsic

LANES = 16
_LLVM = ir.VectorType(ir.FloatType(), LANES)
_INTEGER = ir.IntType(32)
# that of a number: arrays begin anywhere
_ALIGNMENT = 4


class _Vector(types.Type):
    def __init__(self) -> None:
        super().__init__(name='float32x16')


vector = _Vector()


@register_model(_Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, numba_type: types.Type) -> None:
        super().__init__(manager, numba_type, _LLVM)


@_compiled
def load(typing_context, array, first):
    """The vector that begins at an element of a contiguous array, counted as if it had one axis; unchecked."""

    def generate(context, builder, signature, arguments):
        return builder.load(_pointer(context, builder, signature, arguments), align=_ALIGNMENT)

    return vector(array, types.intp), generate


@_compiled
def store(typing_context, array, first, value):
    """Writes a vector to where `load` finds it."""

    def generate(context, builder, signature, arguments):
        builder.store(arguments[2], _pointer(context, builder, signature, arguments), align=_ALIGNMENT)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), generate


@_compiled
def spread(typing_context, number):
    """A vector of one number."""

    def generate(context, builder, signature, arguments):
        return _spread(builder, arguments[0])

    return vector(types.float32), generate


@_compiled
def at_least(typing_context, x, lowest):
    """A vector or number, or where it is less, a number; NaN stays."""

    def generate(context, builder, signature, arguments):
        x, lowest = arguments
        lowest = _spread(builder, lowest) if signature.args[0] is vector else lowest
        return builder.select(builder.fcmp_ordered('<', x, lowest), lowest, x)

    return x(x, types.float32), generate


@_compiled
def raise_exponent(typing_context, x, exponent):
    """x times two to a power, the integer that the lowest bits of `exponent` hold, where the result is not denormal.

    Both are vectors or numbers.
    """

    def generate(context, builder, signature, arguments):
        is_vector = signature.args[0] is vector
        kind = ir.VectorType(_INTEGER, LANES) if is_vector else _INTEGER
        mantissa = ir.Constant(kind, [23] * LANES if is_vector else 23)
        bits, power = (builder.bitcast(argument, kind) for argument in arguments)
        return builder.bitcast(builder.add(bits, builder.shl(power, mantissa)), arguments[0].type)

    return x(x, x), generate


@_compiled
def total(typing_context, x):
    """The sum of a vector's numbers, by halves."""

    def generate(context, builder, signature, arguments):
        (x,), width = arguments, LANES
        while width > 1:
            width //= 2
            kind = ir.VectorType(_INTEGER, width)
            low, high = (
                builder.shuffle_vector(x, x, ir.Constant(kind, list(range(first, first + width))))
                for first in (0, width)
            )
            x = builder.fadd(low, high)
        return builder.extract_element(x, _INTEGER(0))

    return types.float32(vector), generate


def _pointer(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    return builder.bitcast(builder.gep(array.data, [arguments[1]]), _LLVM.as_pointer())


def _spread(builder: Any, number: Any) -> Any:
    first = builder.insert_element(ir.Constant(_LLVM, ir.Undefined), number, _INTEGER(0))
    return builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(_INTEGER, LANES), [0] * LANES))


def _declare(function: Callable, instruction: str) -> None:
    """Makes one of Python's operators take vectors, by an instruction of LLVM."""

    @_compiled
    def combine(typing_context, a, b):
        def generate(context, builder, signature, arguments):
            return getattr(builder, instruction)(*arguments)

        return vector(vector, vector), generate

    @overload(function)
    def combine_any(a, b):
        if (a, b) == (vector, vector):
            return lambda a, b: combine(a, b)
        if (a, b) == (vector, types.float32):
            return lambda a, b: combine(a, spread(b))
        if (a, b) == (types.float32, vector):
            return lambda a, b: combine(spread(a), b)
        return None


_declare(operator.add, 'fadd')
_declare(operator.sub, 'fsub')
_declare(operator.mul, 'fmul')
