"""The last convolution by one Triton kernel: a product of matrices for all nine taps, then sums of neighbours."""

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.nn import functional as F

from gsm_plugin.ops._triton.masks import below

# Rows and columns of pixels whose products a program has at once, its warps, and programs for a multiprocessor.
_ROWS, _COLUMNS, _WARPS, _PROGRAMS = 16, 16, 4, 6


def colour_convolution_triton(x: Tensor, x_bias: Tensor, weight: Tensor, bias: Tensor, images: Tensor) -> Tensor:
    """Computes `colour_convolution`, arguments and result as described there; sums are float32."""
    n, c, h, w = x.shape
    colours = len(weight)
    output = torch.empty(images.shape, dtype=torch.promote_types(x.dtype, images.dtype), device=x.device)
    if output.numel():
        products = max(16, triton.next_power_of_2(9 * colours))
        taps = F.pad(weight.to(x.dtype).permute(1, 2, 3, 0).flatten(1), (0, products - 9 * colours))
        tiles = n * triton.cdiv(h, _ROWS - 2) * triton.cdiv(w, _COLUMNS - 2)
        multiprocessors = torch.cuda.get_device_properties(x.device).multi_processor_count if x.is_cuda else 1
        programs = min(tiles, _PROGRAMS * multiprocessors)
        between = torch.empty(programs, _ROWS * _COLUMNS, products, dtype=torch.float32, device=x.device)
        colour_convolution_fwd_kernel[programs,](
            x.contiguous(memory_format=torch.channels_last), x_bias, taps.contiguous(), bias, images.contiguous(),
            between, output, h, w, tiles, C=c, CHANNELS=max(16, triton.next_power_of_2(c)),
            M=colours, COLOURS=triton.next_power_of_2(colours), PRODUCTS=products, ROWS=_ROWS, COLUMNS=_COLUMNS,
            # Triton's interpreter knows no product of bfloat16
            FACTOR=(tl.bfloat16 if x.dtype == torch.bfloat16 else tl.float16) if x.is_cuda else tl.float32,
            num_warps=_WARPS,
        )  # fmt: skip
    return output


@triton.jit
def colour_convolution_fwd_kernel(
    p_x, p_x_bias, p_taps, p_bias, p_images, p_between, p_output, height, width, tiles,
    C: tl.constexpr, CHANNELS: tl.constexpr, M: tl.constexpr, COLOURS: tl.constexpr, PRODUCTS: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, FACTOR: tl.constexpr,
):  # fmt: skip
    """Grid (programs,), each for every so many tiles; x (n, h, w, c), taps (c, 9 m), images and output (n, m, h, w).

    A program multiplies the pixels of a tile by all taps, writes that to between (programs, pixels, 9 m), and sums it
    for those that are not at the tile's edge.
    """
    i_pixel, i_c, i_m = tl.arange(0, ROWS * COLUMNS), tl.arange(0, CHANNELS), tl.arange(0, COLOURS)
    i_row, i_column, i_product = i_pixel // COLUMNS, i_pixel % COLUMNS, tl.arange(0, PRODUCTS)
    m_c = below(i_c, C, CHANNELS)
    b_x_bias = tl.load(p_x_bias + i_c, m_c, 0.0).to(FACTOR)[None, :]
    b_taps = tl.load(p_taps + i_c[:, None] * PRODUCTS + i_product[None, :], m_c[:, None], 0.0).to(FACTOR)
    b_bias = tl.load(p_bias + i_m, i_m < M, 0.0).to(tl.float32)[None, :]
    p_between += tl.program_id(0).to(tl.int64) * (ROWS * COLUMNS * PRODUCTS)
    m_inner = (i_row > 0) & (i_row < ROWS - 1) & (i_column > 0) & (i_column < COLUMNS - 1)
    tiles_x, tiles_y = tl.cdiv(width, COLUMNS - 2), tl.cdiv(height, ROWS - 2)
    for i_tile in range(tl.program_id(0), tiles, tl.num_programs(0)):
        i_n = (i_tile // (tiles_x * tiles_y)).to(tl.int64)
        i_y = i_tile // tiles_x % tiles_y * (ROWS - 2) - 1 + i_row
        i_x = i_tile % tiles_x * (COLUMNS - 2) - 1 + i_column
        m_exists = (i_y >= 0) & (i_y < height) & (i_x >= 0) & (i_x < width)
        m_features = m_exists[:, None] & m_c[None, :]
        b_features = tl.load(
            p_x + ((i_n * height + i_y) * width + i_x)[:, None] * C + i_c[None, :], m_features, 0.0
        ).to(FACTOR)
        # beyond the border there is no bias either
        b_products = tl.dot(b_features + tl.where(m_exists, 1.0, 0.0).to(FACTOR)[:, None] * b_x_bias, b_taps)
        tl.store(p_between + i_pixel[:, None] * PRODUCTS + i_product[None, :], b_products)
        # what other threads have written is read
        tl.debug_barrier()
        m_written = (m_exists & m_inner)[:, None] & (i_m < M)[None, :]
        o_output = (
            (i_n * M * height + i_y)[:, None] * width + i_x[:, None] + i_m.to(tl.int64)[None, :] * (height * width)
        )
        b_total = tl.load(p_images + o_output, m_written, 0.0).to(tl.float32) + b_bias
        for i in tl.static_range(9):
            i_near = i_pixel + (i // 3 - 1) * COLUMNS + i % 3 - 1
            b_total += tl.load(p_between + (i_near * PRODUCTS + i * M)[:, None] + i_m[None, :], m_written, 0.0)
        tl.store(p_output + o_output, b_total.to(p_output.dtype.element_ty), m_written)
        tl.debug_barrier()
