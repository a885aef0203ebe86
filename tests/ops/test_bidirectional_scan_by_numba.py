import pytest
import torch

from gsm_plugin.ops._common import threads as sharing
from gsm_plugin.ops.dispatch import choose_backend
from tests.ops.comparison import TOLERANCES, assert_same_function, random_tensors
from tests.ops.test_bidirectional_scan import inputs, with_backend

numba_impl = pytest.importorskip('gsm_plugin.ops.bidirectional_scan.numba_impl', exc_type=ImportError)


def sized(length, batch, d, n, rank, step=0.0):
    """As `inputs`, with projections that do not grow with the channels."""
    x, z, conv, bias, x_proj, *rest = inputs(length, batch, d, n, rank, step)
    return [x, z, conv, bias, x_proj * (6 / d) ** 0.5, *rest]


# around the sizes of blocks: 32 steps, tiles of 16 channels, pieces of 64; states go in pairs
@pytest.mark.parametrize('step', [0.0, -5.0])
@pytest.mark.parametrize(
    'length, batch, d, n, rank',
    [(1, 1, 3, 1, 1), (2, 1, 5, 4, 2), (32, 1, 32, 2, 1), (63, 2, 40, 4, 3), (65, 1, 33, 16, 2), (33, 1, 81, 3, 2)],
)
def test_matches_naive(length, batch, d, n, rank, step):
    tensors = sized(length, batch, d, n, rank, step)
    assert_same_function(with_backend('numba'), with_backend('naive'), tensors, torch.float32)


def test_matches_naive_on_a_long_sequence():
    tensors = sized(1000, 1, 32, 16, 2, -3.0)
    assert_same_function(with_backend('numba'), with_backend('naive'), tensors, torch.float32)


@pytest.mark.parametrize('width', [1, 2, 6])
def test_matches_naive_with_other_widths(width):
    x, z, conv, *rest = inputs(9)
    conv = torch.cat((conv, conv.flip(2)), 2)[:, :, :width]
    assert_same_function(with_backend('numba'), with_backend('naive'), [x, z, conv, *rest], torch.float32)


def test_pieces_of_tokens_change_nothing(monkeypatch):
    monkeypatch.setattr(numba_impl, '_TOKENS', 5)
    assert_same_function(with_backend('numba'), with_backend('naive'), inputs(33), torch.float32)


def test_reads_strided_input_and_gradients():
    def halves(backend):
        return lambda both, *rest: with_backend(backend)(*both.chunk(2, -1), *rest).transpose(0, 1)

    x, z, *parameters = inputs(9)
    assert_same_function(halves('numba'), halves('naive'), [torch.cat((x, z), -1), *parameters], torch.float32)


@pytest.mark.parametrize('dtype, tolerance', [(torch.bfloat16, 2e-2), (torch.float16, 2e-3)])
def test_half_precision(dtype, tolerance):
    leaves = [x.to(dtype).requires_grad_() for x in sized(130, 2, 33, 4, 2)]
    wide = [leaf.detach().double().requires_grad_() for leaf in leaves]
    results = []
    for backend, tensors in (('numba', leaves), ('naive', wide)):
        y = with_backend(backend)(*tensors)
        cotangent = random_tensors(y.shape, seed=1)[0].to(dtype).to(y.dtype)
        results.append([y, *torch.autograd.grad(y, tensors, cotangent)])
    for actual, expected in zip(*results, strict=True):
        assert actual.dtype == dtype
        assert (actual - expected).norm() <= tolerance * expected.norm()


def test_any_number_of_threads_gives_the_same(monkeypatch):
    results = []
    monkeypatch.setattr(sharing, '_WORTH_THREADS', 0)
    for threads in (1, 2, 5):
        monkeypatch.setattr(sharing.torch, 'get_num_threads', lambda threads=threads: threads)
        leaves = [x.float().requires_grad_() for x in sized(1100, 2, 70, 4, 2)]
        y = with_backend('numba')(*leaves)
        results.append([y, *torch.autograd.grad(y.square().sum(), leaves)])
    for other in results[1:]:
        assert all(torch.equal(*pair) for pair in zip(results[0], other, strict=True))


def test_without_gradients_it_is_the_same_keeps_no_states_and_overwrites_no_input(monkeypatch):
    leaves = [x.float().requires_grad_() for x in inputs(70)]
    expected, before = with_backend('numba')(*leaves), [leaf.detach().clone() for leaf in leaves]
    shapes = []
    kernel = numba_impl.kernels.scan
    monkeypatch.setattr(numba_impl.kernels, 'scan', lambda *a: shapes.append(a[-1].shape) or kernel(*a))
    with torch.no_grad():
        actual = with_backend('numba')(*leaves)
    absolute, relative = TOLERANCES[torch.float32]
    torch.testing.assert_close(actual, expected, atol=absolute, rtol=relative)
    assert {shape[0] for shape in shapes} == {0}
    assert all(map(torch.equal, leaves, before))


def test_keeps_nothing_of_the_size_of_states_per_token():
    kept = []
    leaves = [x.float().requires_grad_() for x in inputs(640, 1, 4, 16, 1)]
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x):
        with_backend('numba')(*leaves)
    assert max(x.numel() for x in kept) <= 2 * 640 * (1 + 2 * 16)


def test_it_is_chosen_on_a_cpu():
    assert choose_backend('bidirectional_scan', 'auto', 'cpu', torch.float32).name == 'numba'
    assert choose_backend('bidirectional_scan', 'auto', 'cpu', torch.float64).name == 'torch'


@torch.no_grad()
@pytest.mark.parametrize('length, batch, d, n, rank', [(1, 1, 3, 1, 1), (63, 2, 40, 7, 2), (65, 1, 33, 16, 2)])
@pytest.mark.parametrize('tokens', [5, 33, 1024])
def test_without_gradients_pieces_of_tokens_are_convolved_and_projected_at_once(
    monkeypatch, length, batch, d, n, rank, tokens
):
    monkeypatch.setattr(numba_impl, '_TOKENS', tokens)
    tensors = [x.float() for x in sized(length, batch, d, n, rank)]
    expected = with_backend('naive')(*(x.double() for x in tensors))
    absolute, relative = TOLERANCES[torch.float32]
    actual = with_backend('numba')(*tensors)
    torch.testing.assert_close(actual.double(), expected, atol=absolute * max(1, expected.abs().max()), rtol=relative)
