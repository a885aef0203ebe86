"""Vectors of 16 float32 numbers as values within functions that Numba compiles.

Where Numba's compiler makes vectors of loops, sums stay in memory and each short loop asks again which arrays overlap.
With values of this type a kernel says what is in registers. A CPU with narrower registers takes several for a vector.

`+`, `-`, `*` and `/` take vectors, and a vector and a number. So does a function that consists of them and of what is
here.
"""

import operator
from collections.abc import Callable
from functools import partial
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

# By Numba's annotations, a call has to give the context of typing, too.
_compiled: Any = intrinsic

LANES = 16
_LLVM = ir.VectorType(ir.FloatType(), LANES)
_INTEGER = ir.IntType(32)
# those of a number: arrays begin anywhere
_ALIGNMENT = _BYTES = 4


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


@njit(forceinline=True)
def load_some(array, first, count):
    """As `load`, of so many numbers, and zeros behind them."""
    return load(array, first) if count == LANES else _load_fewer(array, first, count)


@njit(forceinline=True)
def store_some(array, first, value, count):
    """Writes so many of a vector's first numbers to where `load` finds them."""
    if count == LANES:
        store(array, first, value)
    else:
        _store_fewer(array, first, value, count)


@_compiled
def _load_fewer(typing_context, array, first, count):
    def generate(context, builder, signature, arguments):
        memory = cgutils.alloca_once(builder, _LLVM)
        builder.store(ir.Constant(_LLVM, None), memory)
        source = _pointer(context, builder, signature, arguments)
        cgutils.raw_memcpy(builder, memory, source, arguments[2], _BYTES)
        return builder.load(memory)

    return vector(array, types.intp, types.intp), generate


@_compiled
def _store_fewer(typing_context, array, first, value, count):
    def generate(context, builder, signature, arguments):
        memory = cgutils.alloca_once(builder, _LLVM)
        builder.store(arguments[2], memory)
        target = _pointer(context, builder, signature, arguments)
        cgutils.raw_memcpy(builder, target, memory, arguments[3], _BYTES)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector, types.intp), generate


@_compiled
def prefetch(typing_context, array, first):
    """Asks for the vector that begins at an element, which may be beyond the array, to be read and written soon."""

    def generate(context, builder, signature, arguments):
        byte = ir.IntType(8).as_pointer()
        place = builder.bitcast(_pointer(context, builder, signature, arguments), byte)
        kind = ir.FunctionType(ir.VoidType(), [byte, *[_INTEGER] * 3])
        request = builder.module.declare_intrinsic('llvm.prefetch', [byte], kind)
        builder.call(request, [place, _INTEGER(1), _INTEGER(3), _INTEGER(1)])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


@_compiled
def spread(typing_context, number):
    """A vector of one number."""

    def generate(context, builder, signature, arguments):
        return _spread(builder, arguments[0])

    return vector(types.float32), generate


@_compiled
def at_least(typing_context, x, lowest):
    """A vector or number, or where it is less, a number; NaN stays."""
    return x(x, types.float32), _bound('<')


@_compiled
def at_most(typing_context, x, highest):
    """A vector or number, or where it is more, a number; NaN stays."""
    return x(x, types.float32), _bound('>')


@_compiled
def absolute(typing_context, x):
    """A vector without its signs."""

    def generate(context, builder, signature, arguments):
        kind = ir.VectorType(_INTEGER, LANES)
        bits = builder.bitcast(arguments[0], kind)
        return builder.bitcast(builder.and_(bits, ir.Constant(kind, [0x7FFFFFFF] * LANES)), _LLVM)

    return vector(vector), generate


@_compiled
def where_less(typing_context, a, b, x, y):
    """Of vectors, x where a is less than b, else y."""

    def generate(context, builder, signature, arguments):
        a, b, x, y = arguments
        return builder.select(builder.fcmp_ordered('<', a, b), x, y)

    return vector(vector, vector, vector, vector), generate


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
def larger(typing_context, a, b):
    """Of two vectors, the larger numbers; b where either is NaN."""

    def generate(context, builder, signature, arguments):
        return _larger(builder, *arguments)

    return vector(vector, vector), generate


@_compiled
def total(typing_context, x):
    """The sum of a vector's numbers, by halves."""

    def generate(context, builder, signature, arguments):
        return _reduce(builder, arguments[0], builder.fadd)

    return types.float32(vector), generate


@_compiled
def highest(typing_context, x):
    """The largest of a vector's numbers."""

    def generate(context, builder, signature, arguments):
        return _reduce(builder, arguments[0], partial(_larger, builder))

    return types.float32(vector), generate


def _larger(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(builder.fcmp_ordered('>', a, b), a, b)


def _reduce(builder: Any, x: Any, combine: Callable) -> Any:
    """Combines halves of a vector until a number is left."""
    width = LANES
    while width > 1:
        width //= 2
        kind = ir.VectorType(_INTEGER, width)
        low, high = (
            builder.shuffle_vector(x, x, ir.Constant(kind, list(range(first, first + width)))) for first in (0, width)
        )
        x = combine(low, high)
    return builder.extract_element(x, _INTEGER(0))


def _bound(beyond: str) -> Callable:
    """What replaces numbers that are beyond a bound."""

    def generate(context, builder, signature, arguments):
        x, bound = arguments
        bound = _spread(builder, bound) if signature.args[0] is vector else bound
        return builder.select(builder.fcmp_ordered(beyond, x, bound), bound, x)

    return generate


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
_declare(operator.truediv, 'fdiv')
