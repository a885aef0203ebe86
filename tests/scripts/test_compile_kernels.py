import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / 'scripts/compile_kernels.py'

pytestmark = pytest.mark.skipif(importlib.util.find_spec('triton') is None, reason='needs Triton')


@pytest.mark.parametrize(('capability', 'shared', 'status'), [(80, 166912, 0), (90, 1000, 1)])
def test_kernels_compile_for_a_gpu_that_is_not_there(capability, shared, status):
    code = (
        f'import sys; sys.path.insert(0, {str(SCRIPT.parent)!r}); import compile_kernels as script; '
        f'script.CARDS[{capability}] = 108, {shared}; sys.exit(script.main())'
    )
    # it is called in two precisions, and needs 2 and 4 kB of shared memory
    words = ['--capability', str(capability), '--only', 'implicit_warp_bwd']
    environment = {**os.environ, 'TRITON_INTERPRET': '0'}
    done = subprocess.run(
        [sys.executable, '-c', code, *words], capture_output=True, text=True, env=environment, cwd=SCRIPT.parents[1]
    )
    assert done.returncode == status, done.stderr
    assert '| implicit_warp_bwd_kernel | bf16/fp32 |' in done.stdout
    assert '2 kernels of 2' in done.stdout
