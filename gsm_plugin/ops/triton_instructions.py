"""What a kernel is about to read, asked for while it computes."""

import os

import triton
import triton.language as tl

# Triton's interpreter, which has no cache, knows no assembly.
_INTERPRETED = tl.constexpr(os.environ.get('TRITON_INTERPRET') == '1')


@triton.jit
def prefetch(pointers):
    """Brings the cache lines of addresses, which have to exist, near to the multiprocessor; takes no register."""
    if not _INTERPRETED:
        tl.inline_asm_elementwise(
            'prefetch.global.L1 [$1]; mov.u32 $0, 0;', '=r,l', [pointers], tl.int32, is_pure=False, pack=1
        )
