"""The implicit warp for a CPU, compiled by Numba."""

import numpy as np

from gsm_plugin.ops._common.compiling import compiled


# sums over the channels of a head may be added up in vectors
@compiled(fastmath={'contract', 'nsz', 'reassoc'})
def attend(query, key, value, index, key_position, value_position, scale, first, last, output, weights):
    """Attends for the pixels from first to last.

    Args:
        query: (p, heads, channels of a head).
        key: The same.
        value: The same.
        index: Rows of key and value that hold a pixel's cell, (4, p).
        key_position: (4, heads, channels of a head).
        value_position: The same.
        scale: Of the logits.
        first: The first pixel.
        last: The one behind the last pixel.
        output: (p, heads, channels of a head).
        weights: (p, 4, heads), or (0, 4, heads) where nobody needs them.
    """
    heads, channels = query.shape[1:]
    weight = np.empty((4, heads), np.float32)
    for p in range(first, last):
        for j in range(4):
            for head in range(heads):
                q, k, position, dot = query[p, head], key[index[j, p], head], key_position[j, head], np.float32(0)
                for c in range(channels):
                    dot += q[c] * (k[c] + position[c])
                weight[j, head] = dot * scale
        for head in range(heads):
            largest = max(weight[0, head], weight[1, head], weight[2, head], weight[3, head])
            total = np.float32(0)
            for j in range(4):
                weight[j, head] = np.exp(weight[j, head] - largest)
                total += weight[j, head]
            output[p, head] = np.float32(0)
            for j in range(4):
                weight[j, head] /= total
                o, v, position, w = output[p, head], value[index[j, p], head], value_position[j, head], weight[j, head]
                for c in range(channels):
                    o[c] += w * (v[c] + position[c])
        if len(weights) > 0:
            weights[p] = weight
