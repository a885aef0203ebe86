"""Which form of the selective scan exporters and onnxruntime take best: chunks in lockstep, one loop, or no loop."""

import argparse
import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gsm_plugin.export.files import OnnxFile
from gsm_plugin.export.scan import loop, scan_in_lockstep, step
from gsm_plugin.ops import selective_scan
from gsm_plugin.scoring.report.tables import markdown_table


def one_loop(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor) -> Tensor:
    """A loop with a round for each step."""
    sequences = [x.permute(2, 0, 1).clone(memory_format=torch.contiguous_format) for x in (delta, delta * u, B, C)]
    return loop(step, u.new_zeros(*u.shape[:2], A.shape[1]), sequences, A)[1].permute(1, 2, 0)


def no_loop(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, steps: int = 64) -> Tensor:
    """Chunks of 64 steps in lockstep, steps written out one after the other; chunks are joined by doubling."""
    length = u.shape[-1]
    pad = -length % steps
    delta_, x, B_, C_ = (
        F.pad(value, (0, pad)).unflatten(-1, (-1, steps)).permute(3, 0, 2, 1) for value in (delta, delta * u, B, C)
    )

    def advance(state: Tensor, t: int) -> Tensor:
        return torch.exp(delta_[t][..., None] * A) * state + x[t][..., None] * B_[t][..., None, :]

    state = u.new_zeros(*x.shape[1:], A.shape[1])
    for t in range(steps):
        state = advance(state, t)
    decay = torch.exp(delta_.sum(0)[..., None] * A)
    for power in range(math.ceil(math.log2(state.shape[1]))):
        k = 2**power
        state = torch.cat((state[:, :k], state[:, k:] + decay[:, k:] * state[:, :-k]), 1)
        decay = torch.cat((decay[:, :k], decay[:, k:] * decay[:, :-k]), 1)
    state = torch.cat((torch.zeros_like(state[:, :1]), state[:, :-1]), 1)
    outputs = []
    for t in range(steps):
        state = advance(state, t)
        outputs.append((state * C_[t][..., None, :]).sum(-1))
    return torch.stack(outputs, -1).permute(0, 2, 1, 3).flatten(2)[..., :length]


FORMS = {'chunks in lockstep, loops': scan_in_lockstep, 'one loop of all steps': one_loop, 'chunks, no loop': no_loop}


class Form(nn.Module):
    """A form as a module, which torch.export wants."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *sequences: Tensor) -> Tensor:
        """Calls the function."""
        return self.function(*sequences)


def measure(name: str, function: Callable[..., Tensor], inputs: tuple[Tensor, ...], expected: Tensor) -> list[str]:
    """A row of the table."""
    began = time.process_time()
    program = torch.export.export(Form(function), inputs, strict=False)
    file = OnnxFile(program, opset=20, inputs=('u', 'dt', 'A', 'B', 'C'))
    exported = time.process_time() - began
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'scan.onnx')
        file.write(path, {})
        run = file.load(path)
        difference = (run(*inputs) - expected).abs().max().item()
        in_onnx = _least_time(run, inputs)
    in_pytorch = _least_time(program.module(), inputs)
    return [name, f'{exported:.1f}', str(file.nodes), f'{in_onnx:.2f}', f'{in_pytorch:.2f}', f'{difference:.1e}']


def _least_time(run: Callable[..., Tensor], inputs: tuple[Tensor, ...]) -> float:
    """Of three runs, in seconds of processor time: that of a machine that others use, too, says little else."""
    times = []
    for _ in range(3):
        began = time.process_time()
        run(*inputs)
        times.append(time.process_time() - began)
    return min(times)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--length', type=int, default=20480, help='steps (default: 20480, 5 frames of 64x64)')
    parser.add_argument('--width', type=int, default=384)
    parser.add_argument('--state', type=int, default=16)
    arguments = parser.parse_args()
    d, n, length = arguments.width, arguments.state, arguments.length
    torch.manual_seed(0)
    inputs = (
        torch.randn(1, d, length),
        0.1 * torch.rand(1, d, length),
        -8 * torch.rand(d, n),
        torch.randn(1, n, length),
        torch.randn(1, n, length),
    )
    expected = selective_scan(*inputs)
    # the first export of a process also loads what exports
    measure('', scan_in_lockstep, tuple(x[..., :64] if x.ndim == 3 else x for x in inputs), expected[..., :64])
    rows = [measure(name, function, inputs, expected) for name, function in FORMS.items()]
    header = ['form', 'export s', 'nodes of ONNX', 'onnxruntime s', '.pt2 in PyTorch s', 'largest difference']
    print(markdown_table(header, rows), end='')


if __name__ == '__main__':
    main()
