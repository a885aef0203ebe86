import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / 'scripts/compile_kernels.py'

pytestmark = pytest.mark.skipif(importlib.util.find_spec('triton') is None, reason='needs Triton')


@pytest.mark.parametrize(
    ('kernel', 'number', 'capability', 'shared', 'status'),
    [
        ('inputs_bwd', 2, 80, 166912, 0),
        # forwards in three types, of which the two of inference have a frame less at the ends of a clip, and in two for
        # a gradient
        pytest.param('depthwise_conv_gelu_fwd', 7, 90, 232448, 0, marks=pytest.mark.slow),
        # it is called in two precisions, and needs a kilobyte of shared memory
        pytest.param('depthwise_conv_gelu_bwd', 2, 90, 1000, 1, marks=pytest.mark.slow),
        # on an H100 it takes more than this card has
        pytest.param('inputs_bwd', 2, 86, 101376, 0, marks=pytest.mark.slow),
    ],
)
def test_kernels_compile_for_a_gpu_that_is_not_there(kernel, number, capability, shared, status):
    code = (
        f'import sys; sys.path.insert(0, {str(SCRIPT.parent)!r}); import compile_kernels as script; '
        f'script.CARDS[{capability}] = 108, {shared}; sys.exit(script.main())'
    )
    words = ['--capability', str(capability), '--only', kernel]
    environment = {**os.environ, 'TRITON_INTERPRET': '0'}
    done = subprocess.run(
        [sys.executable, '-c', code, *words], capture_output=True, text=True, env=environment, cwd=SCRIPT.parents[1]
    )
    assert done.returncode == status, done.stderr
    assert re.search(rf'{kernel}_kernel +\| +bf16/fp32', done.stdout)
    assert f'{number} kernels of {number}' in done.stdout
