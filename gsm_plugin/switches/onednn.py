"""Whether a CPU multiplies float32 matrices by oneDNN in place of MKL, which on AMD's takes twice as long.

PyTorch has no switch for that alone. It hands them to oneDNN where this may round factors to bfloat16, and oneDNN does
so only where a CPU has units for it (AMX); elsewhere it multiplies float32 as it is.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from types import SimpleNamespace

import torch

from gsm_plugin.switches.switch import Switch

# PyTorch before 2.9 has none
_of_products = getattr(torch.backends.mkldnn, 'matmul', None) or SimpleNamespace(fp32_precision='ieee')
products = Switch(_of_products, 'fp32_precision', ('ieee', 'bf16'))


@lru_cache(maxsize=1)
def is_exact() -> bool:
    """Whether oneDNN leaves float32 as it is on this CPU."""
    # in a thread of its own, where no mode of PyTorch's lets tensors be without numbers, as an export does
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(_multiplies_exactly).result()


def _multiplies_exactly() -> bool:
    """Tries a product; rounded factors err by 3e-3."""
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.rand(256, 256, generator=generator) - 0.5 for _ in range(2))
    exact = a.double() @ b.double()
    with torch.no_grad(), products.turned(True):
        return bool(((a @ b) - exact).norm() < 1e-5 * exact.norm())
