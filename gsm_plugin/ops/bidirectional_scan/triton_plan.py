"""How the bidirectional scan in Triton is cut into programs, and what its parameters become beforehand."""

import functools
from typing import Any, NamedTuple

import torch
import triton.language as tl
from torch import Tensor

from gsm_plugin.ops.bidirectional_scan.interface import ScanParameters

_LOG2E = 1.4426950408889634
# Channels of a program of the kernels that scan or convolve, which is one warp: a thread has two of them, for which it
# reads B and C once.
CHANNELS = 64
# Steps that such a program reads at once, and steps of a block, at whose start the backward pass keeps the state.
STEPS = 4
BLOCK = 8
# Chunks are so long that about so many warps run on a multiprocessor, and not shorter than so many blocks.
WARPS_PER_MULTIPROCESSOR = 12
LEAST_BLOCKS = 8
REGISTERS = 168
# Of the kernels that scan and convolve forwards, tiles that are computed or on their way into shared memory.
STAGES, CONVOLVE_STAGES = 3, 3
# Chunks and channels of a program of the kernel that chains the chunks.
CHAIN_TILE = 64, 8
# Steps and channels of a program of the kernels that multiply matrices.
TILE = 64
# What two of their tiles need in float32, in bytes a block; how much exactly depends on Triton.
SHARED_MEMORY = 120 * 1024
# Of a program of the kernels that convolve, tokens that it reads at once (the convolutions' width if that is more), and
# registers of its threads; and such programs for a multiprocessor, more than run at a time.
TOKENS = 8
CONVOLVE_REGISTERS = 128
CONVOLVE_WARPS = 32


class Sizes(NamedTuple):
    """Sizes of a call; a chunk of the sequence has `blocks` blocks of `BLOCK` steps."""

    b: int
    length: int
    d: int
    width: int
    rank: int
    n: int
    blocks: int
    chunks: int

    @property
    def padded(self) -> int:
        return self.chunks * self.blocks * BLOCK

    @property
    def tiles(self) -> int:
        """Of a chunk, as a program reads them."""
        return self.blocks * BLOCK // STEPS

    @property
    def rows(self) -> int:
        return self.rank + 2 * self.n

    @property
    def row_length(self) -> int:
        """Of B and C of a step: so many numbers that four of them can be read at once."""
        return ceil(2 * self.n, 16) * 16


def sizes_of(x: Tensor, parameters: ScanParameters) -> Sizes:
    """Sizes of a call, with chunks that fill the GPU."""
    b, length, d = x.shape
    width, rank, n = parameters.conv_weight.shape[2], parameters.dt_proj.shape[2], parameters.A.shape[2]
    warps = WARPS_PER_MULTIPROCESSOR * (_multiprocessors(x.device) if x.is_cuda else 1)
    blocks = max(LEAST_BLOCKS, ceil(length * b * ceil(d, CHANNELS), BLOCK * warps))
    blocks += blocks % 2  # so that rows of numbers of all steps are aligned
    return Sizes(b, length, d, width, rank, n, blocks, ceil(length, blocks * BLOCK))


@functools.cache
def _multiprocessors(device: torch.device) -> int:
    return torch.cuda.get_device_properties(device).multi_processor_count


def prepare(parameters: ScanParameters, x: Tensor, kept: torch.dtype) -> ScanParameters:
    """Brings the parameters into the forms that the kernels read: dt_proj and A channels last, A for powers of two."""
    # Triton's interpreter knows no product of bfloat16
    dtype = torch.float32 if kept == torch.bfloat16 and not x.is_cuda else kept
    dt_proj, A = parameters.dt_proj, parameters.A
    A_last = A.new_empty(2, *A.shape[:0:-1], dtype=torch.float32)
    return ScanParameters(
        conv_weight=parameters.conv_weight.contiguous(),
        conv_bias=parameters.conv_bias.contiguous(),
        x_proj=parameters.x_proj.to(dtype).contiguous(),
        dt_proj=dt_proj.new_empty(2, *dt_proj.shape[:0:-1], dtype=dtype).copy_(dt_proj.transpose(1, 2)),
        dt_bias=parameters.dt_bias.contiguous(),
        A=torch.mul(A.float().transpose(1, 2), _LOG2E, out=A_last),
        D=parameters.D.contiguous(),
    )


def convolve_config(sizes: Sizes) -> tuple[dict[str, int], int, int, int]:
    """Constants of the kernels that convolve, and their groups as in `groups`."""
    tokens = max(power_of_two(sizes.width), TOKENS)
    config = {'d': sizes.d, 'width': sizes.width, 'STEPS': tokens, 'CHANNELS': CHANNELS}
    config |= {'num_warps': 1, 'maxnreg': CONVOLVE_REGISTERS}
    return config, *groups(sizes, tokens, CHANNELS, CONVOLVE_WARPS)


def groups(sizes: Sizes, steps: int, channels: int, programs: int) -> tuple[int, int, int]:
    """Groups of blocks of steps, blocks of a group, blocks of channels: about so many programs on 132 processors."""
    blocks, channel_blocks = ceil(sizes.padded, steps), ceil(sizes.d, channels)
    group = max(1, blocks * channel_blocks * sizes.b // (132 * programs))
    return ceil(blocks, group), group, channel_blocks


def scan_config(sizes: Sizes) -> dict[str, int]:
    """Constants of the kernels that go through the sequence with all states in registers."""
    tile = {'STATES': power_of_two(sizes.n), 'STEPS': STEPS, 'CHANNELS': CHANNELS}
    return {'d': sizes.d, 'n': sizes.n, **tile, 'num_warps': 1, 'maxnreg': REGISTERS}


def gradient_factor(x: Tensor) -> tl.dtype:
    """Type in which gradients of matrices are multiplied."""
    # Triton's interpreter knows no product of bfloat16
    return tl.bfloat16 if x.is_cuda and x.dtype != torch.float32 else tl.float32


def stages(x: Tensor) -> int:
    """Tiles that `inputs_bwd` has in shared memory at a time: two, or one where two of float32 do not fit."""
    if x.dtype != torch.float32 or not x.is_cuda:
        return 2
    # PyTorch's annotation lacks this property
    properties: Any = torch.cuda.get_device_properties(x.device)
    available = properties.shared_memory_per_block_optin
    return 2 if available >= SHARED_MEMORY else 1


def gradient_dtype(x: Tensor) -> torch.dtype:
    """Type in which gradients and states per step are kept; float16 would not hold their range."""
    return torch.float32 if x.dtype == torch.float32 else torch.bfloat16


def float32(like: Tensor, *shape: int) -> Tensor:
    """Memory for so many numbers."""
    return torch.empty(shape, dtype=torch.float32, device=like.device)


def ceil(a: int, b: int) -> int:
    """a / b, rounded up."""
    return -(-a // b)


def matrix_side(value: int) -> int:
    """The least power of two that a matrix product accepts."""
    return max(16, power_of_two(value))


def power_of_two(value: int) -> int:
    """The least that is not smaller."""
    return 1 << (value - 1).bit_length()
