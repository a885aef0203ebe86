"""Kernels of the bidirectional scan for a CPU, compiled by Numba, of vectors of channels.

Everything is float32, contiguous, and channels last. A direction is a first token and a sign: nothing is flipped. A
kernel treats some channels of a sequence, or some of its tokens, so that several threads can share the work in the same
pieces, however many they are.

A scan takes a block of `STEPS` steps at a time, and of it a tile of `LANES` channels, whose numbers are in the nearest
cache. Two of the states are in registers from the first step of the block to the last.
"""

import numpy as np

from gsm_plugin.ops._common.compiling import exact as _exact
from gsm_plugin.ops._common.compiling import inlined as _inlined
from gsm_plugin.ops._common.exponentials import LOG2_E, LOG_2, power_of_two, sigmoid, softplus
from gsm_plugin.ops._common.multiplying import ROWS, multiply
from gsm_plugin.ops._common.vectors import (
    LANES,
    absolute,
    at_least,
    at_most,
    load,
    load_some,
    prefetch,
    spread,
    store,
    store_some,
    total,
    where_less,
)

CHANNELS = 64
STEPS = 32
_ONE, _ZERO = np.float32(1), np.float32(0)


@_exact
def convolve(x, weight, bias, start, stop, reverse, u):
    """silu(conv(x)) of the tokens from start to stop: x and u (l, d), weight (width, d), bias (d,)."""
    d = x.shape[1]
    whole = d - d % LANES
    for t in range(start, stop):
        for own in range(0, whole, LANES):
            c = _convolve_token(x, weight, bias, t, reverse, own, LANES)
            store(u, t * d + own, c * sigmoid(c))
        if whole < d:
            c = _convolve_token(x, weight, bias, t, reverse, whole, d - whole)
            store_some(u, t * d + whole, c * sigmoid(c), d - whole)


@_exact
def convolve_project(x, weight, bias, taps, start, stop, reverse, u, projected):
    """As `convolve`, and products of each token's u with a matrix, while it is in the cache.

    Args:
        x: (l, d).
        weight: (width, d).
        bias: (d,).
        taps: The matrix, of d rows and m columns, as `multiply` takes it.
        start: The first token.
        stop: The one behind the last token.
        reverse: Whether the sequence runs from its end to its start.
        u: Result, (l, d).
        projected: The products, (l, m).
    """
    m, zero = projected.shape[1], spread(_ZERO)
    for first in range(start, stop, STEPS):
        last = min(first + STEPS, stop)
        convolve(x, weight, bias, first, last, reverse, u)
        for t in range(first, last, ROWS):
            for j in range(0, m, LANES):
                multiply(u, t, last - 1, taps, j, zero, False, min(LANES, m - j), projected, t * m + j, m)


@_exact
def convolve_bwd_silu(x, weight, bias, grad_u, start, stop, reverse, grad_c):
    """The gradient of conv(x), (l, d), from that of `convolve`."""
    d = x.shape[1]
    for t in range(start, stop):
        for own in range(0, d, LANES):
            count = min(LANES, d - own)
            c = _convolve_token(x, weight, bias, t, reverse, own, count)
            s = sigmoid(c)
            grad = load_some(grad_u, t * d + own, count) * s * (_ONE + c * (_ONE - s))
            store_some(grad_c, t * d + own, grad, count)


@_exact
def convolve_bwd(x, weight, grad_c, start, stop, reverse, grad_x, grad_weight):
    """Adds some tokens' gradients, (l, d), and those of the weight that they cause, (width, d)."""
    length, width = len(x), len(weight)
    for t in range(start, stop):
        for k in range(width):
            offset = width - 1 - k if reverse else k + 1 - width
            if 0 <= t - offset < length:
                for j in range(x.shape[1]):
                    grad_x[t, j] += weight[k, j] * grad_c[t - offset, j]
            if 0 <= t + offset < length:
                for j in range(x.shape[1]):
                    grad_weight[k, j] += x[t + offset, j] * grad_c[t, j]


@_inlined
def _convolve_token(x, weight, bias, t, reverse, own, count):
    """The convolution at a token, of some channels from `own` on."""
    (length, d), width, c = x.shape, len(weight), load_some(bias, own, count)
    if width == 4 and 3 <= t < length - 3:
        # the usual one, without a loop; the last tap is that of the token itself
        step = d if reverse else -d
        c = c + load_some(weight, own, count) * load_some(x, t * d + 3 * step + own, count)
        c = c + load_some(weight, d + own, count) * load_some(x, t * d + 2 * step + own, count)
        c = c + load_some(weight, 2 * d + own, count) * load_some(x, t * d + step + own, count)
        return c + load_some(weight, 3 * d + own, count) * load_some(x, t * d + own, count)
    for k in range(width):
        source = t + width - 1 - k if reverse else t + k + 1 - width
        if 0 <= source < length:
            c = c + load_some(weight, k * d + own, count) * load_some(x, source * d + own, count)
    return c


@_exact
def gate(s, other, z, start, stop, y):
    """(s + other) silu(z) of some tokens, all (l, d); y may be s."""
    last = stop * s.shape[1]
    for i in range(start * s.shape[1], last, LANES):
        count = min(LANES, last - i)
        z_ = load_some(z, i, count)
        store_some(y, i, (load_some(s, i, count) + load_some(other, i, count)) * z_ * sigmoid(z_), count)


@_exact
def gate_project(tokens, s, other, of_gate, of_output, start, stop, output):
    """Gates what was scanned by what a matrix makes of tokens, and multiplies that by another one.

    Args:
        tokens: (l, c).
        s: Of one direction, (l, d).
        other: Of the other one, (l, d).
        of_gate: The matrix for the gate, of c rows and d columns, as `multiply` takes it.
        of_output: That for the result, of d rows and c columns.
        start: The first token.
        stop: The one behind the last token.
        output: Result, (l, c).
    """
    d, c, zero = s.shape[1], output.shape[1], spread(_ZERO)
    # of `ROWS` tokens, whose numbers stay in the nearest cache
    gated = np.empty((ROWS, d), np.float32)
    for t in range(start, stop, ROWS):
        count = min(ROWS, stop - t)
        for j in range(0, d, LANES):
            multiply(tokens, t, stop - 1, of_gate, j, zero, False, min(LANES, d - j), gated, j, d)
        for i in range(0, count * d, LANES):
            some = min(LANES, count * d - i)
            z = load_some(gated, i, some)
            both = load_some(s, t * d + i, some) + load_some(other, t * d + i, some)
            store_some(gated, i, both * z * sigmoid(z), some)
        for j in range(0, c, LANES):
            multiply(gated, 0, count - 1, of_output, j, zero, False, min(LANES, c - j), output, t * c + j, c)


@_exact
def gate_bwd(s, other, z, grad_y, start, stop, grad_s, grad_z):
    """Gradients of `gate`; that of `other` is that of s."""
    last = stop * s.shape[1]
    for i in range(start * s.shape[1], last, LANES):
        count = min(LANES, last - i)
        z_, grad = load_some(z, i, count), load_some(grad_y, i, count)
        open_ = sigmoid(z_)
        store_some(grad_s, i, grad * z_ * open_, count)
        grad = grad * (load_some(s, i, count) + load_some(other, i, count)) * open_
        store_some(grad_z, i, grad * (_ONE + z_ * (_ONE - open_)), count)


@_exact
def scan(u, projected, dt_proj, dt_bias, A, D, limit, first, reverse, s, entries):
    """Scans some channels.

    Args:
        u: (l, d).
        projected: Steps before their projection, B and C side by side, (l, r + 2 n).
        dt_proj: (d, r).
        dt_bias: (d,).
        A: (d, n).
        D: (d,).
        limit: The projected step is clipped to it.
        first: The first of `CHANNELS` channels, or of those that there are.
        reverse: Whether the sequence runs from its end to its start.
        s: Result, (l, d); it may be u.
        entries: States before every `STEPS` steps, (ceil(l / STEPS), n, d), or (0, n, d) where nobody needs them.
    """
    last = min(first + CHANNELS, len(A))
    rates, taps, bias, skip = _of_tiles(dt_proj, dt_bias, A, D, first, last)
    h, B, C = np.zeros_like(rates), _zeros(rates.shape[1]), _zeros(rates.shape[1])
    raw, delta, x, y = _zeros(LANES), _zeros(LANES), _zeros(LANES), _zeros(LANES)
    for block in range(-(-len(u) // STEPS)):
        token, sign, steps = _tokens(len(u), block, reverse)
        _read_factors(projected, token, sign, steps, A.shape[1], B, C)
        for tile in range(len(h)):
            own, count = first + tile * LANES, min(LANES, last - first - tile * LANES)
            if len(entries) > 0:
                _write(h[tile], entries[block], 0, 1, A.shape[1], own, count)
            _read(u, token, sign, steps, own, count, x)
            _find_steps(projected, token, sign, steps, taps[tile], bias[tile], limit, raw, delta)
            skip_ = load(skip, tile * LANES)
            for k in range(0, steps * LANES, LANES):
                u_k = load(x, k)
                store(x, k, load(delta, k) * u_k)
                store(y, k, skip_ * u_k)
            _recur(delta, x, B, C, steps, rates[tile], h[tile], y)
            _write(y, s, token, sign, steps, own, count)


@_exact
def _recur(delta, x, B, C, steps, rates, h, y):
    """Takes states (n, LANES) over some steps, and adds what they give to y; delta, x, y: (STEPS, LANES)."""
    for i in range(0, len(rates), 2):
        rate_0, rate_1 = load(rates, i * LANES), load(rates, (i + 1) * LANES)
        h_0, h_1 = load(h, i * LANES), load(h, (i + 1) * LANES)
        for k in range(steps):
            delta_k, x_k = load(delta, k * LANES), load(x, k * LANES)
            h_0 = power_of_two(delta_k * rate_0) * h_0 + x_k * B[k, i]
            h_1 = power_of_two(delta_k * rate_1) * h_1 + x_k * B[k, i + 1]
            store(y, k * LANES, load(y, k * LANES) + (h_0 * C[k, i] + h_1 * C[k, i + 1]))
        store(h, i * LANES, h_0)
        store(h, (i + 1) * LANES, h_1)


@_exact
def scan_bwd(
    u, projected, dt_proj, dt_bias, A, D, limit, entries, grad_s, first, reverse, grad_u, grad_raw, grad_A, grad_D,
    grad_BC,
):  # fmt: skip
    """Gradients of `scan` from that of s, (l, d), and the states that it kept.

    grad_raw is that of the projected steps, (l, d), grad_BC what these channels add to that of B and C, (l, 2 n).
    """
    last, n = min(first + CHANNELS, len(A)), A.shape[1]
    rates, taps, bias, skip = _of_tiles(dt_proj, dt_bias, A, D, first, last)
    even = rates.shape[1]
    carried, of_A, of_D = np.zeros_like(rates), np.zeros_like(rates), np.zeros_like(skip)
    h, B, C, of_B, of_C = np.zeros((even, LANES), np.float32), _zeros(even), _zeros(even), _zeros(even), _zeros(even)
    raw, delta, of_u, x, dy = _zeros(LANES), _zeros(LANES), _zeros(LANES), _zeros(LANES), _zeros(LANES)
    of_x, of_delta, decays, states = _zeros(LANES), _zeros(LANES), _zeros(2 * LANES), _zeros(2 * LANES)
    for block in range(len(entries) - 1, -1, -1):
        token, sign, steps = _tokens(len(u), block, reverse)
        _read_factors(projected, token, sign, steps, n, B, C)
        of_B[:], of_C[:] = _ZERO, _ZERO
        for tile in range(len(rates)):
            own, count = first + tile * LANES, min(LANES, last - first - tile * LANES)
            _read(entries[block], 0, 1, n, own, count, h)
            _read(u, token, sign, steps, own, count, of_u)
            _read(grad_s, token, sign, steps, own, count, dy)
            _find_steps(projected, token, sign, steps, taps[tile], bias[tile], limit, raw, delta)
            for k in range(0, steps * LANES, LANES):
                store(x, k, load(delta, k) * load(of_u, k))
                store(of_x, k, spread(_ZERO))
                store(of_delta, k, spread(_ZERO))
            for i in range(0, even, 2):
                _find_states(delta, x, B, steps, i, rates[tile], h, decays, states)
                _recur_bwd(
                    delta, x, B, C, dy, decays, states, steps, i, rates[tile],
                    carried[tile], of_A[tile], of_B, of_C, of_x, of_delta,
                )  # fmt: skip
            skip_tile, of_D_tile = load(skip, tile * LANES), load(of_D, tile * LANES)
            for k in range(0, steps * LANES, LANES):
                u_k, dy_k, of_x_k = load(of_u, k), load(dy, k), load(of_x, k)
                of_D_tile = of_D_tile + dy_k * u_k
                store(of_delta, k, load(of_delta, k) * LOG_2 + of_x_k * u_k)
                store(of_u, k, of_x_k * load(delta, k) + skip_tile * dy_k)
            store(of_D, tile * LANES, of_D_tile)
            _pass_through_softplus(raw, of_delta, steps, limit)
            _write(of_u, grad_u, token, sign, steps, own, count)
            _write(of_delta, grad_raw, token, sign, steps, own, count)
        for k in range(steps):
            for i in range(n):
                grad_BC[token + sign * k, i], grad_BC[token + sign * k, n + i] = of_B[k, i], of_C[k, i]
    for c in range(last - first):
        grad_D[first + c] = of_D[c // LANES, c % LANES]
        for i in range(n):
            grad_A[first + c, i] = of_A[c // LANES, i, c % LANES]


@_exact
def _find_states(delta, x, B, steps, i, rates, h, decays, states):
    """Decays and states before each step of two states from the i-th on, both (STEPS, 2 LANES)."""
    rate_0, rate_1 = load(rates, i * LANES), load(rates, (i + 1) * LANES)
    h_0, h_1 = load(h, i * LANES), load(h, (i + 1) * LANES)
    for k in range(steps):
        delta_k, x_k = load(delta, k * LANES), load(x, k * LANES)
        decay_0, decay_1 = power_of_two(delta_k * rate_0), power_of_two(delta_k * rate_1)
        store(decays, 2 * k * LANES, decay_0)
        store(decays, (2 * k + 1) * LANES, decay_1)
        store(states, 2 * k * LANES, h_0)
        store(states, (2 * k + 1) * LANES, h_1)
        h_0 = decay_0 * h_0 + x_k * B[k, i]
        h_1 = decay_1 * h_1 + x_k * B[k, i + 1]


@_exact
def _recur_bwd(
    delta, x, B, C, dy, decays, states, steps, i, rates, carried, of_A, of_B, of_C, of_x, of_delta
):  # fmt: skip
    """Takes the gradients of two states back over some steps, and adds what they give to those of all else.

    Those of steps and rates are in units of the logarithm of two.
    """
    rate_0, rate_1 = load(rates, i * LANES), load(rates, (i + 1) * LANES)
    g_0, g_1 = load(carried, i * LANES), load(carried, (i + 1) * LANES)
    of_rate_0, of_rate_1 = load(of_A, i * LANES), load(of_A, (i + 1) * LANES)
    for k in range(steps - 1, -1, -1):
        delta_k, x_k, dy_k = load(delta, k * LANES), load(x, k * LANES), load(dy, k * LANES)
        decay_0, decay_1 = load(decays, 2 * k * LANES), load(decays, (2 * k + 1) * LANES)
        before_0, before_1 = load(states, 2 * k * LANES), load(states, (2 * k + 1) * LANES)
        of_C[k, i] += total((decay_0 * before_0 + x_k * B[k, i]) * dy_k)
        of_C[k, i + 1] += total((decay_1 * before_1 + x_k * B[k, i + 1]) * dy_k)
        g_0, g_1 = g_0 + dy_k * C[k, i], g_1 + dy_k * C[k, i + 1]
        of_B[k, i] += total(g_0 * x_k)
        of_B[k, i + 1] += total(g_1 * x_k)
        store(of_x, k * LANES, load(of_x, k * LANES) + (g_0 * B[k, i] + g_1 * B[k, i + 1]))
        # of the states before, and then of the exponents
        g_0, g_1 = g_0 * decay_0, g_1 * decay_1
        of_0, of_1 = g_0 * before_0, g_1 * before_1
        store(of_delta, k * LANES, load(of_delta, k * LANES) + (of_0 * rate_0 + of_1 * rate_1))
        of_rate_0, of_rate_1 = of_rate_0 + of_0 * delta_k, of_rate_1 + of_1 * delta_k
    store(carried, i * LANES, g_0)
    store(carried, (i + 1) * LANES, g_1)
    store(of_A, i * LANES, of_rate_0)
    store(of_A, (i + 1) * LANES, of_rate_1)


@_exact
def _zeros(columns):
    """For every step of a block some numbers."""
    return np.zeros((STEPS, columns), np.float32)


@_exact
def _of_tiles(dt_proj, dt_bias, A, D, first, last):
    """Parameters of some channels by tiles, zero beyond the last channel.

    Returns:
        Rates of decay in units of the logarithm of two, (tiles, n, LANES), n made even by a zero; `dt_proj`,
        (tiles, r, LANES); `dt_bias` and `D`, (tiles, LANES).
    """
    tiles, n, rank = -(-(last - first) // LANES), A.shape[1], dt_proj.shape[1]
    rates, taps = np.zeros((tiles, n + n % 2, LANES), np.float32), np.zeros((tiles, rank, LANES), np.float32)
    bias, skip = np.zeros((tiles, LANES), np.float32), np.zeros((tiles, LANES), np.float32)
    for c in range(last - first):
        tile, j = c // LANES, c % LANES
        bias[tile, j], skip[tile, j] = dt_bias[first + c], D[first + c]
        for i in range(n):
            rates[tile, i, j] = LOG2_E * A[first + c, i]
        for i in range(rank):
            taps[tile, i, j] = dt_proj[first + c, i]
    return rates, taps, bias, skip


@_exact
def _tokens(length, block, reverse):
    """The first token of a block, the way to the next one, and how many there are."""
    start = block * STEPS
    steps = min(STEPS, length - start)
    return (length - 1 - start, -1, steps) if reverse else (start, 1, steps)


@_exact
def _read(rows, row, sign, steps, own, count, tile):
    """Copies some channels of some rows (l, d) to (steps, LANES), with zeros beyond them."""
    for k in range(steps):
        first = (row + sign * k) * rows.shape[1] + own
        store(tile, k * LANES, load_some(rows, first, count))
        prefetch(rows, first + sign * STEPS * rows.shape[1])


@_exact
def _write(tile, rows, row, sign, steps, own, count):
    """Copies (steps, LANES) to where `_read` finds it."""
    for k in range(steps):
        store_some(rows, (row + sign * k) * rows.shape[1] + own, load(tile, k * LANES), count)


@_exact
def _read_factors(projected, token, sign, steps, n, B, C):
    """B and C of some tokens of (l, r + 2 n), each (STEPS, n or more)."""
    width = projected.shape[1]
    for k in range(steps):
        source = (token + sign * k + 1) * width - 2 * n
        for i in range(0, n, LANES):
            count = min(LANES, n - i)
            store_some(B, k * B.shape[1] + i, load_some(projected, source + i, count), count)
            store_some(C, k * C.shape[1] + i, load_some(projected, source + n + i, count), count)


@_exact
def _find_steps(projected, token, sign, steps, taps, bias, limit, raw, delta):
    """Steps of a block before and after the softplus, (STEPS, LANES); taps (r, LANES), bias (LANES,)."""
    bias_ = load(bias, 0)
    for k in range(steps):
        step = bias_
        for i in range(len(taps)):
            step = step + load(taps, i * LANES) * projected[token + sign * k, i]
        step = at_least(at_most(step, limit), -limit)
        store(raw, k * LANES, step)
        store(delta, k * LANES, softplus(step))


@_exact
def _pass_through_softplus(raw, grad, steps, limit):
    """Turns gradients of steps into those of raw steps, both (STEPS, LANES); what was clipped has none."""
    for k in range(0, steps * LANES, LANES):
        raw_, nothing = load(raw, k), spread(_ZERO)
        passed = load(grad, k) * sigmoid(raw_)
        store(grad, k, where_less(absolute(raw_), spread(limit), passed, nothing))
