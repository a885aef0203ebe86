"""The depthwise 3x3x3 convolution for a CPU, compiled by Numba; its loops over channels become vectors."""

from numba import njit


@njit(cache=True, nogil=True, error_model='numpy', fastmath={'contract', 'nsz'})
def convolve(x, taps, bias, frame, first, last, output):
    """Convolves rows from first to last of a frame: x and output (t, h, w, c), taps (3, 3, 3, c), bias (c,)."""
    frames, height, width, channels = x.shape
    for row in range(first, last):
        for column in range(width):
            total = output[frame, row, column]
            for c in range(channels):
                total[c] = bias[c]
            for i in range(max(0, 1 - frame), min(3, frames + 1 - frame)):
                for j in range(max(0, 1 - row), min(3, height + 1 - row)):
                    source, tap = x[frame + i - 1, row + j - 1], taps[i, j]
                    if 0 < column < width - 1:
                        left, middle, right = source[column - 1], source[column], source[column + 1]
                        # a few products for every sum that is read and written
                        for c in range(channels):
                            total[c] += tap[0, c] * left[c] + tap[1, c] * middle[c] + tap[2, c] * right[c]
                    else:
                        for k in range(max(0, 1 - column), min(3, width + 1 - column)):
                            near = source[column + k - 1]
                            for c in range(channels):
                                total[c] += tap[k, c] * near[c]
