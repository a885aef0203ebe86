"""What the Triton kernels that follow a flow share: where a pixel lands, and sums over the pixels that land in a cell.

The cell of a pixel is the 2x2 block of source pixels at the floor of `pixel + flow`; its floor is cut to
[-1, size - 1], so an image has (h + 1) * (w + 1) cells. What a source pixel receives from its cells is summed without
atomics, in an order that does not change from run to run.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from gsm_plugin.ops._common.grid import FAR as _FAR
from gsm_plugin.ops._common.grid import pixel_grid

FAR = tl.constexpr(_FAR)


@triton.jit
def landing(p_flow, i_pixel, m_pixel, height, width):
    """Image of pixels numbered over all images, and the x and y of their `places`; flow (n, 2, h, w)."""
    area = height * width
    i_image = i_pixel // area
    i_inside = i_pixel - i_image * area
    i_y = i_inside // width
    i_x = i_inside - i_y * width
    p_x = p_flow + i_image.to(tl.int64) * (2 * area) + i_inside
    b_x = tl.load(p_x, m_pixel, 0.0)
    b_y = tl.load(p_x + area, m_pixel, 0.0)
    return i_image, cut(i_x.to(b_x.dtype) + b_x, -FAR, FAR), cut(i_y.to(b_y.dtype) + b_y, -FAR, FAR)


@triton.jit
def cut(place, low, high):
    """Places between two, of which NaN is the lower: the larger of NaN and a number is the number."""
    return tl.minimum(tl.maximum(place, low), high)


@triton.jit
def sum_cells_kernel(
    p_rows,
    p_weights,
    p_order,
    p_start,
    p_out,
    height,
    width,
    stride_row,
    HEADS: tl.constexpr,
    DIM: tl.constexpr,
    CLAMPED: tl.constexpr,
    BLOCK_HEADS: tl.constexpr,
    BLOCK_DIM: tl.constexpr,
):
    """Sums weights * rows into one source pixel; grid (source pixels,), rows and out (pixels, heads, dim).

    Weights are (pixels, 4, heads). With CLAMPED, pixels of a cell beyond the border are those at the border.
    """
    i_source = tl.program_id(0)
    i_image = i_source // (height * width)
    i_y = i_source // width - i_image * height
    i_x = i_source % width
    i_head = tl.arange(0, BLOCK_HEADS)
    i_dim = tl.arange(0, BLOCK_DIM)
    m_head = i_head < HEADS
    mask = m_head[:, None] & (i_dim < DIM)[None, :]
    o_row = i_head[:, None] * DIM + i_dim[None, :]
    total = tl.zeros([BLOCK_HEADS, BLOCK_DIM], p_weights.dtype.element_ty)
    for corner in tl.static_range(4):
        # cells whose pixel (row, column) is this one: a range of rows, and of columns next to each other in p_start
        y_low = i_y - corner // 2
        y_high = i_y - corner // 2
        x_low = i_x - corner % 2
        x_high = i_x - corner % 2
        if CLAMPED:
            if corner // 2 == 0:
                y_low -= tl.where(i_y == 0, 1, 0)
            else:
                y_high += tl.where(i_y == height - 1, 1, 0)
            if corner % 2 == 0:
                x_low -= tl.where(i_x == 0, 1, 0)
            else:
                x_high += tl.where(i_x == width - 1, 1, 0)
        for y in range(y_low, y_high + 1):
            o_cell = (i_image.to(tl.int64) * (height + 1) + y + 1) * (width + 1) + 1
            first = tl.load(p_start + o_cell + x_low)
            last = tl.load(p_start + o_cell + x_high + 1)
            for i in range(first, last):
                i_pixel = tl.load(p_order + i).to(tl.int64)
                b_weight = tl.load(p_weights + (i_pixel * 4 + corner) * HEADS + i_head, m_head, 0.0)
                b_row = tl.load(p_rows + i_pixel * stride_row + o_row, mask, 0.0)
                total += b_weight[:, None] * b_row.to(total.dtype)
    p_pixel = p_out + i_source.to(tl.int64) * (HEADS * DIM)
    tl.store(p_pixel + o_row, total.to(p_out.dtype.element_ty), mask)


def sort_by_cell(flow: Tensor) -> tuple[Tensor, Tensor]:
    """Pixels in the order of their cells, (n * h * w,), and where each cell begins, (n * (h + 1) * (w + 1) + 1,)."""
    n, _, h, w = flow.shape
    corner = torch.floor(pixel_grid(flow) + flow).nan_to_num(-1) + 1
    x, y = (corner[:, i].clamp(0, size).long() for i, size in enumerate((w, h)))
    image = torch.arange(n, device=flow.device)[:, None, None]
    cell, order = ((image * (h + 1) + y) * (w + 1) + x).flatten().sort(stable=True)
    cells = torch.arange(n * (h + 1) * (w + 1) + 1, device=flow.device)
    return order.int(), torch.searchsorted(cell, cells).int()


def sum_cells(
    rows: Tensor, weights: Tensor, cells: tuple[Tensor, Tensor], size: tuple[int, int], clamped: bool, out: Tensor
) -> Tensor:
    """Adds up what source pixels get: `out[s] = sum of weights[p, j] * rows[p]`, s being pixel j of the cell of p.

    Args:
        rows: (pixels, c) with any stride between rows.
        weights: (pixels, 4, heads), in the precision to sum in.
        cells: Result of `sort_by_cell`.
        size: Height and width of an image.
        clamped: Whether pixels beyond the border count as those at the border, or as nothing.
        out: (pixels, c), contiguous, written in its own precision.
    """
    heads = weights.shape[2]
    dim = rows.shape[1] // heads
    blocks = triton.next_power_of_2(heads), triton.next_power_of_2(dim)
    sum_cells_kernel[(len(out),)](
        rows, weights, *cells, out, *size, rows.stride(0), heads, dim, clamped, *blocks, num_warps=1
    )
    return out
