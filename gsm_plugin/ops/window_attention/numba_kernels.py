"""Window attention for a CPU, compiled by Numba: a head of a window at a time, which is in the nearest cache."""

import numpy as np

from gsm_plugin.ops._common.compiling import exact, inlined
from gsm_plugin.ops._common.exponentials import LOG2_E, power_of_two
from gsm_plugin.ops._common.vectors import (
    LANES,
    absolute,
    at_most,
    highest,
    larger,
    load,
    load_some,
    spread,
    store,
    store_some,
    total,
)

# Queries that are attended for at once.
QUERIES = 8
_ZERO, _ONE = np.float32(0), np.float32(1)
_MASKED, _LOWEST = np.float32(-100) * LOG2_E, np.float32(-np.inf)


@exact
def attend(qkv, bias, tokens, size, shift, first, last, output):
    """Attends within windows, which are counted along width, then height, depth and clips.

    Args:
        qkv: (b, d, h, w, 3, heads, channels of a head), contiguous.
        bias: In units of the logarithm of two, (heads, n, n), contiguous, with n made a multiple of `LANES`: for keys
            beyond the window, it is minus infinity.
        tokens: Of a window.
        size: Depth, height and width of a window.
        shift: By how many tokens windows are shifted.
        first: The first window.
        last: The one behind the last window.
        output: (b, d, h, w, heads, channels of a head), contiguous.
    """
    heads, n, _ = bias.shape
    channels = qkv.shape[6]
    deep = -(-channels // LANES) * LANES
    places, parts = np.empty(tokens, np.int64), np.zeros(n, np.float32)
    # zero beyond channels and tokens
    query, key, value = (
        np.zeros((n, deep), np.float32),
        np.zeros((channels, n), np.float32),
        np.zeros((n, deep), np.float32),
    )
    weights, factors = np.empty((QUERIES, n), np.float32), np.empty(QUERIES, np.float32)
    for window in range(first, last):
        masked = _find_tokens(qkv.shape, size, shift, window, places, parts)
        for head in range(heads):
            _gather(qkv, places, head, query, key, value)
            for i in range(0, tokens, QUERIES):
                for j in range(0, n, LANES):
                    _multiply(query, key, bias, head, i, j, weights)
                for k in range(QUERIES):
                    factors[k] = _weigh(weights, k, parts, parts[i + k], masked)
                for own in range(0, channels, LANES):
                    _sum_values(weights, factors, value, own, places, i, head, output)


@exact
def _find_tokens(shape, size, shift, window, places, parts):
    """The tokens of a window, -1 for those that fill it up, and which side of a border each is from.

    Returns:
        Whether they are from several sides.
    """
    depth, height, width = shape[1], shape[2], shape[3]
    counts = -(-depth // size[0]), -(-height // size[1]), -(-width // size[2])
    column, rest = window % counts[2], window // counts[2]
    row, rest = rest % counts[1], rest // counts[1]
    plane, clip = rest % counts[0], rest // counts[0]
    mixed = False
    for token in range(len(places)):
        x, y = token % size[2], token // size[2] % size[1]
        z = token // (size[2] * size[1])
        part = 0
        if shift[0] > 0 and plane == counts[0] - 1 and z >= size[0] - shift[0]:
            part += 4
        if shift[1] > 0 and row == counts[1] - 1 and y >= size[1] - shift[1]:
            part += 2
        if shift[2] > 0 and column == counts[2] - 1 and x >= size[2] - shift[2]:
            part += 1
        parts[token], mixed = part, mixed or part > 0
        x = (column * size[2] + x + shift[2]) % (counts[2] * size[2])
        y = (row * size[1] + y + shift[1]) % (counts[1] * size[1])
        z = (plane * size[0] + z + shift[0]) % (counts[0] * size[0])
        inside = x < width and y < height and z < depth
        places[token] = ((clip * depth + z) * height + y) * width + x if inside else -1
    return mixed


@exact
def _gather(qkv, places, head, query, key, value):
    """Query, key by channels, and value of a head."""
    heads, channels = qkv.shape[5:]
    scale = np.float32(channels**-0.5) * LOG2_E
    numbers = qkv.reshape(-1)
    for token in range(len(places)):
        if places[token] < 0:
            query[token], key[:, token], value[token] = _ZERO, _ZERO, _ZERO
            continue
        start = (places[token] * 3 * heads + head) * channels
        own = numbers[start + heads * channels : start + (heads + 1) * channels]
        for c in range(channels):
            key[c, token] = own[c]
        for c in range(0, channels, LANES):
            count = min(LANES, channels - c)
            store(query, token * query.shape[1] + c, load_some(qkv, start + c, count) * scale)
            store(value, token * value.shape[1] + c, load_some(qkv, start + 2 * heads * channels + c, count))


@exact
def _multiply(query, key, bias, head, i, j, weights):
    """Logits of some queries for as many keys as are in a vector."""
    n = key.shape[1]
    row = (head * n + i) * n + j
    s0, s1, s2, s3 = load(bias, row), load(bias, row + n), load(bias, row + 2 * n), load(bias, row + 3 * n)
    row += 4 * n
    s4, s5, s6, s7 = load(bias, row), load(bias, row + n), load(bias, row + 2 * n), load(bias, row + 3 * n)
    q0, q1, q2, q3, q4, q5, q6, q7 = _rows(query, i)
    for c in range(key.shape[0]):
        k = load(key, c * n + j)
        s0, s1, s2, s3 = s0 + k * q0[c], s1 + k * q1[c], s2 + k * q2[c], s3 + k * q3[c]
        s4, s5, s6, s7 = s4 + k * q4[c], s5 + k * q5[c], s6 + k * q6[c], s7 + k * q7[c]
    store(weights, j, s0)
    store(weights, n + j, s1)
    store(weights, 2 * n + j, s2)
    store(weights, 3 * n + j, s3)
    store(weights, 4 * n + j, s4)
    store(weights, 5 * n + j, s5)
    store(weights, 6 * n + j, s6)
    store(weights, 7 * n + j, s7)


@exact
def _weigh(weights, k, parts, part, masked):
    """Softmax of a query's logits, but for a factor, which is returned."""
    n = weights.shape[1]
    own, largest, all_weights = k * n, spread(_LOWEST), spread(_ZERO)
    for j in range(0, n, LANES):
        logits = load(weights, own + j)
        if masked:
            logits = logits + at_most(absolute(load(parts, j) - part), _ONE) * _MASKED
            store(weights, own + j, logits)
        largest = larger(largest, logits)
    most = highest(largest)
    for j in range(0, n, LANES):
        weight = power_of_two(load(weights, own + j) - most)
        store(weights, own + j, weight)
        all_weights = all_weights + weight
    return _ONE / total(all_weights)


@exact
def _sum_values(weights, factors, value, own, places, i, head, output):
    """Sums of values for some queries, of as many channels as are in a vector."""
    zero = spread(_ZERO)
    s0, s1, s2, s3, s4, s5, s6, s7 = zero, zero, zero, zero, zero, zero, zero, zero
    w0, w1, w2, w3, w4, w5, w6, w7 = _rows(weights, 0)
    for j in range(len(places)):
        v = load(value, j * value.shape[1] + own)
        s0, s1, s2, s3 = s0 + v * w0[j], s1 + v * w1[j], s2 + v * w2[j], s3 + v * w3[j]
        s4, s5, s6, s7 = s4 + v * w4[j], s5 + v * w5[j], s6 + v * w6[j], s7 + v * w7[j]
    _put(s0 * factors[0], own, places, i, head, output)
    _put(s1 * factors[1], own, places, i + 1, head, output)
    _put(s2 * factors[2], own, places, i + 2, head, output)
    _put(s3 * factors[3], own, places, i + 3, head, output)
    _put(s4 * factors[4], own, places, i + 4, head, output)
    _put(s5 * factors[5], own, places, i + 5, head, output)
    _put(s6 * factors[6], own, places, i + 6, head, output)
    _put(s7 * factors[7], own, places, i + 7, head, output)


@inlined
def _rows(x, i):
    """`QUERIES` rows, which the compiler need not look for in loops."""
    return x[i], x[i + 1], x[i + 2], x[i + 3], x[i + 4], x[i + 5], x[i + 6], x[i + 7]


@inlined
def _put(x, own, places, token, head, output):
    """Writes some channels of a token that there is."""
    heads, channels = output.shape[4:]
    if token < len(places) and places[token] >= 0:
        store_some(output, (places[token] * heads + head) * channels + own, x, min(LANES, channels - own))
