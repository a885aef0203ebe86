"""Films through a GPU: tiles, whose outputs come back by the CPU, and predictions of memory."""

import gc

import pytest
import torch

import gsm_plugin  # noqa: F401  (makes basicsr importable)
from gsm_plugin import Restorer
from gsm_plugin.inference.video.batch import run_requests
from gsm_plugin.inference.video.encoding import Wishes
from gsm_plugin.inference.video.memory import learn_cost, measured_on
from gsm_plugin.inference.video.progress import Progress
from gsm_plugin.inference.video.request import Request
from gsm_plugin.studies.films import write_film
from tests.inference.video.films import largest_difference, make_film, read_film, scene

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason='for a GPU')


def test_a_film_in_tiles_with_all_that_looks_at_outputs(tmp_path):
    source = make_film(tmp_path / 'in.mkv', scene(6, 64, 96), codec='ffv1')
    network = Restorer.load('gsm-small-x4', 'cuda', tile=(6, 48, 48), tile_overlap=(0, 16, 16))
    request = Request(source, tmp_path / 'out.mkv', beside=True, page=tmp_path / 'page.html')
    (outcome,) = run_requests([request], [network], Progress)
    assert outcome.state == 'done', outcome.text
    assert len(read_film(tmp_path / 'out.mkv')) == 6


@pytest.mark.parametrize('seen', [(64, 96, 160), (8, 240, 320)])
def test_memory_is_predicted_neither_too_small_nor_several_times_too_large(seen):
    network = Restorer.load('gsm-small-x4', 'cuda')
    predicted = learn_cost(measured_on(network), network.device).predict(*seen)
    taken = measured_on(network)(*seen)
    assert taken <= predicted <= 3 * taken


@pytest.mark.parametrize('gib', [2, 4, 8])
def test_a_budget_is_kept_where_there_is_no_more(tmp_path, gib):
    write_film(tmp_path / 'in.mp4', 48, 270, 480)
    network = Restorer.load('gsm-small-x4', 'cuda', cuda_graphs=False)
    request = Request(tmp_path / 'in.mp4', tmp_path / 'out.mkv', memory=gib * 2**30, fit=True)
    # beside what other tests of this process have left
    gc.collect()
    torch.cuda.empty_cache()
    most = gib * 2**30 + torch.cuda.memory_reserved()
    torch.cuda.set_per_process_memory_fraction(most / torch.cuda.get_device_properties(0).total_memory)
    try:
        (outcome,) = run_requests([request], [network], Progress)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert outcome.state == 'done', outcome.text
    assert len(read_film(tmp_path / 'out.mkv')) == 48


@pytest.mark.parametrize('precision', ['fp32', 'bf16'])
def test_networks_that_share_a_film_give_what_one_gives(tmp_path, precision):
    write_film(tmp_path / 'in.mp4', 260, 36, 64)
    networks = [Restorer.load('gsm-small-x4', 'cuda', precision, cuda_graphs=False) for _ in range(2)]
    films = []
    for count in (1, 2):
        request = Request(tmp_path / 'in.mp4', tmp_path / f'{count}.mkv', window=64, wishes=Wishes('ffv1'))
        (outcome,) = run_requests([request], networks[:count], Progress)
        assert outcome.state == 'done', outcome.text
        films.append(read_film(tmp_path / f'{count}.mkv'))
    assert largest_difference(*films) == 0


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason='for two GPUs')
@pytest.mark.parametrize('precision', ['fp32', 'bf16'])
def test_every_gpu_gives_the_same(precision):
    clip = torch.rand(1, 6, 3, 64, 96)
    networks = [Restorer.load('gsm-small-x4', f'cuda:{index}', precision=precision) for index in (0, 1)]
    # the third call is that of a captured graph
    outputs = [[network.restore(clip).cpu() for _ in range(3)] for network in networks]
    for first, second in zip(*outputs, strict=True):
        assert torch.equal(first, second)
