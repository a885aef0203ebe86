"""Two processes over gloo, started once for all tests; each process does everything and writes down what came out."""

import datetime
import time

import pytest
import torch
from torch import distributed, multiprocessing

from gsm_plugin.models.gsm_model import GSMModel
from gsm_plugin.models.guarded_step import TrainingDiverged
from gsm_plugin.models.validation import in_any_process
from gsm_plugin.registration import register_all
from tests.models.tiny import SCALE, folders_set, loader_of, make_batch, make_options, weights_of, write_clip

CLIPS = {'single': {'alone': 3}, 'triple': {'a': 2, 'b': 4, 'c': 3}}
PROCESSES = 2
GSM = {
    'type': 'GSMamba',
    'upscale': SCALE,
    'prop_depth': 2,
    'attn_depth': 2,
    'pa_frame': 1,
    'embed_dims': 8,
    'num_heads': 2,
    'use_checkpoint_attn': True,
    'use_checkpoint_ffn': True,
}


def make_model(root, train, rank=None, **changes):
    torch.manual_seed(0)
    ranks = {} if rank is None else {'dist': True, 'rank': rank, 'world_size': PROCESSES}
    return GSMModel(make_options(root, train=train, **ranks, **changes))


def run(model, batches):
    skipped, losses = [], []
    for current_iter, batch in enumerate(batches, start=1):
        model.feed_data(batch)
        model.optimize_parameters(current_iter)
        skipped.append(model.log_dict['skipped_steps'])
        losses.append(model.log_dict['l_pix'])
    return {
        'weights': weights_of(model.get_bare_model(model.net_g)),
        'average': weights_of(model.net_g_ema),
        'skipped': skipped,
        'losses': losses,
    }


def with_bad_data(batch):
    batch['gt'][0, 0, 0, 0, 0] = float('nan')
    return batch


def train_accumulating(root, rank):
    """Four small batches, of which each process has two, in one step; and the number of exchanges of gradients."""
    model = make_model(root, {'accumulate_iter': 2}, rank)
    exchanges = []

    def count(_, bucket):
        exchanges.append(bucket.index())
        work = distributed.all_reduce(bucket.buffer() / PROCESSES, async_op=True)
        return work.get_future().then(lambda done: done.value()[0])

    model.net_g.register_comm_hook(None, count)
    return {**run(model, [make_batch(rank), make_batch(2 + rank)]), 'exchanges': len(exchanges)}


def train_with_bad_data_in_one_process(root, rank):
    batches = [make_batch(10 * step + rank) for step in range(4)]
    if rank == 1:
        batches[2] = with_bad_data(batches[2])
    return run(make_model(root, {}, rank), batches)


def train_with_an_infinite_loss_in_one_process(root, rank):
    """The gradient stays finite, so only the processes' agreement can stop the step."""
    model = make_model(root, {}, rank)
    start = weights_of(model.get_bare_model(model.net_g))
    if rank == 1:
        model.cri_pix = lambda output, _: output.mean() + float('inf')
    return {**run(model, [make_batch(rank)]), 'start': start}


def diverge(root, rank):
    model = make_model(root, {'max_skipped_steps': 2}, rank)
    try:
        run(model, [with_bad_data(make_batch(step)) if rank == 1 else make_batch(step) for step in range(5)])
    except TrainingDiverged as error:
        return str(error)


def release_the_flow_network(root, rank):
    return run(make_model(root, {'fix_flow': 3}, rank), [make_batch(10 * step + rank) for step in range(4)])


def recipe(root, rank=None):
    """GSMamba as published recipes train it: gradient checkpointing, flow warm-up, no search for unused parameters."""
    register_all()
    train = {'fix_flow': 3, 'flow_lr_mul': 0.125, 'accumulate_iter': 2}
    train['optim_g'] = {'type': 'Adam', 'lr': 1e-3, 'eps': 1e-3}
    return make_model(root, train, rank, network_g=dict(GSM))


def follow_the_recipe(root, rank):
    model = recipe(root, rank)
    assert not model.net_g.find_unused_parameters
    return run(model, [make_batch(10 * step + rank) for step in range(6)])


def freeze_the_flow_network(root, rank):
    """DistributedDataParallel waits for the gradients of what is trained alone, though nothing searches for them."""
    model = make_model(root, {'freeze': ['spynet.*']}, rank)
    return run(model, [make_batch(10 * step + rank) for step in range(3)])


def validate(root, rank):
    model = make_model(root, {}, rank)
    results = {}
    for current_iter in (1, 2):
        for name in CLIPS:
            model.validation(loader_of(folders_set(root / name, name)), current_iter, None, save_img=current_iter == 2)
            results[name] = model.metric_results
    lone = [in_any_process(rank == one, model._waiting_group) for one in range(PROCESSES + 1)]
    if rank == 1:
        # a NaN that the clips of one process alone are restored with
        model.restore = lambda *arguments: GSMModel.restore(model, *arguments) * float('nan')
    model.validation(loader_of(folders_set(root / 'triple', 'ruined')), 3, None)
    ruined = model.best_metric_results.pop('ruined')['psnr']['iter']
    return {'tables': results, 'best': model.best_metric_results, 'lone': lone, 'ruined': ruined}


def validate_longer_than_training_waits(root, rank):
    """A clip takes one process longer than the process group of training has patience."""
    rendezvous = f'file://{root / "impatient"}'
    patience = datetime.timedelta(seconds=1)
    distributed.init_process_group('gloo', init_method=rendezvous, rank=rank, world_size=PROCESSES, timeout=patience)
    model = make_model(root, {}, rank)
    loader = loader_of(folders_set(root / 'triple', 'triple'))
    # Only when the processes have met once do they wait with the patience of their group.
    model.validation(loader, 1, None)
    if rank == 1:
        restore = model.restore
        model.restore = lambda *arguments: time.sleep(2.5) or restore(*arguments)
    model.validation(loader, 2, None)
    distributed.destroy_process_group()
    return model.metric_results


JOBS = (
    train_accumulating,
    train_with_bad_data_in_one_process,
    train_with_an_infinite_loss_in_one_process,
    diverge,
    release_the_flow_network,
    follow_the_recipe,
    freeze_the_flow_network,
    validate,
)


def work(rank, root):
    torch.set_num_threads(1)
    rendezvous = f'file://{root / "rendezvous"}'
    distributed.init_process_group('gloo', init_method=rendezvous, rank=rank, world_size=PROCESSES)
    results = {job.__name__: job(root, rank) for job in JOBS}
    distributed.destroy_process_group()
    last = validate_longer_than_training_waits
    torch.save({**results, last.__name__: last(root, rank)}, root / f'{rank}.pt')


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp('distributed')
    for name, clips in CLIPS.items():
        for clip, frames in clips.items():
            write_clip(folder / name, clip, frames)
    return folder


@pytest.fixture(scope='module')
def results(root):
    """What each process wrote down."""
    multiprocessing.spawn(work, (root,), nprocs=PROCESSES)
    return [torch.load(root / f'{rank}.pt') for rank in range(PROCESSES)]


def both(results, job):
    return [result[job.__name__] for result in results]


def joined(batches):
    return {key: torch.cat([batch[key] for batch in batches]) for key in ('lq', 'gt')}


def test_accumulation_in_two_processes_is_one_step_with_the_whole_batch(results, tmp_path):
    expected = run(make_model(tmp_path, {}), [joined([make_batch(seed) for seed in range(4)])])
    for actual in both(results, train_accumulating):
        torch.testing.assert_close(actual['weights'], expected['weights'], atol=1e-6, rtol=0)
        torch.testing.assert_close(actual['average'], expected['average'], atol=1e-6, rtol=0)


def test_gradients_are_exchanged_once_per_step(results):
    assert [actual['exchanges'] for actual in both(results, train_accumulating)] == [1, 1]


def test_bad_data_in_one_process_skips_the_step_in_both(results, tmp_path):
    first, second = both(results, train_with_bad_data_in_one_process)
    assert first['skipped'] == second['skipped'] == [0, 0, 1, 1]
    torch.testing.assert_close(first['weights'], second['weights'], atol=0, rtol=0)
    torch.testing.assert_close(first['average'], second['average'], atol=0, rtol=0)
    good = [joined([make_batch(10 * step), make_batch(10 * step + 1)]) for step in (0, 1, 3)]
    expected = run(make_model(tmp_path, {}), good)
    torch.testing.assert_close(first['weights'], expected['weights'], atol=1e-6, rtol=0)
    torch.testing.assert_close(first['average'], expected['average'], atol=1e-6, rtol=0)


def test_an_infinite_loss_in_one_process_skips_the_step_in_both(results):
    for actual in both(results, train_with_an_infinite_loss_in_one_process):
        assert actual['skipped'] == [1]
        torch.testing.assert_close(actual['weights'], actual['start'], atol=0, rtol=0)


def test_both_processes_stop_where_training_diverges(results):
    first, second = both(results, diverge)
    assert first == second
    assert 'stopped at iteration 2, because 2 steps in a row' in first


def test_the_flow_network_is_released_without_a_change_of_the_graph(results, tmp_path):
    first, second = both(results, release_the_flow_network)
    torch.testing.assert_close(first['weights'], second['weights'], atol=0, rtol=0)
    batches = [joined([make_batch(10 * step), make_batch(10 * step + 1)]) for step in range(4)]
    expected = run(make_model(tmp_path, {'fix_flow': 3}), batches)
    torch.testing.assert_close(first['weights'], expected['weights'], atol=1e-6, rtol=0)


def test_validation_in_two_processes_equals_that_in_one(results, root, tmp_path):
    expected = make_model(tmp_path, {})
    for name in CLIPS:
        expected.validation(loader_of(folders_set(root / name, name)), 1, None)
        for actual in both(results, validate):
            assert list(actual['tables'][name]) == list(expected.metric_results)
            torch.testing.assert_close(actual['tables'][name], expected.metric_results, atol=0, rtol=0)
    for actual in both(results, validate):
        best = {name: {key: one['val'] for key, one in metrics.items()} for name, metrics in actual['best'].items()}
        assert best == {
            name: {key: one['val'] for key, one in metrics.items()}
            for name, metrics in expected.best_metric_results.items()
        }


def test_outputs_that_are_ruined_in_one_process_are_not_the_best_in_any(results):
    for actual in both(results, validate):
        assert actual['lone'] == [True] * PROCESSES + [False]
        assert actual['ruined'] == -1


def test_the_published_recipe_has_the_losses_of_one_process_with_twice_the_batch(results, tmp_path):
    model = recipe(tmp_path)
    start = weights_of(model.net_g)
    batches = [[make_batch(10 * step + rank) for rank in range(PROCESSES)] for step in range(6)]
    expected = run(model, [joined(batch) for batch in batches])
    first, second = both(results, follow_the_recipe)
    assert first['losses'] == pytest.approx(expected['losses'], rel=1e-3)
    assert expected['losses'][-1] < expected['losses'][0]
    torch.testing.assert_close(first['weights'], second['weights'], atol=0, rtol=0)
    torch.testing.assert_close(first['weights'], expected['weights'], atol=1e-5, rtol=0)
    flow = [name for name in start if name.startswith('spynet')]
    assert any(not torch.equal(first['weights'][name], start[name]) for name in flow)


def test_a_frozen_network_is_trained_in_two_processes_as_in_one(results, tmp_path):
    first, second = both(results, freeze_the_flow_network)
    torch.testing.assert_close(first['weights'], second['weights'], atol=0, rtol=0)
    batches = [joined([make_batch(10 * step), make_batch(10 * step + 1)]) for step in range(3)]
    expected = run(make_model(tmp_path, {'freeze': ['spynet.*']}), batches)
    torch.testing.assert_close(first['weights'], expected['weights'], atol=1e-6, rtol=0)


def test_a_process_waits_for_one_that_validates_for_long(results):
    for actual in both(results, validate_longer_than_training_waits):
        assert list(actual) == list(CLIPS['triple'])


def test_two_processes_save_the_images_of_all_clips(results, root):
    for name, clips in CLIPS.items():
        for clip, frames in clips.items():
            assert len(list((root / 'visualization' / name / clip).glob('*_2.png'))) == frames
