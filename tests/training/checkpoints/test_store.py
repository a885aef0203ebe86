import errno
import re

import pytest
import torch

from gsm_plugin.errors import UserError
from gsm_plugin.training.checkpoints.sealed_file import write_sealed
from gsm_plugin.training.checkpoints.store import CheckpointStore


@pytest.fixture
def make(tmp_path):
    for folder in ('states', 'models'):
        (tmp_path / folder).mkdir()
    return lambda **keep: CheckpointStore(tmp_path / 'states', tmp_path / 'models', **keep)


def state(iteration, **more):
    return {'sealed_by': 'test', 'iter': iteration, 'epoch': 0, 'optimizers': [], 'schedulers': [], **more}


def save(store, *iterations):
    for iteration in iterations:
        store.save(iteration, state(iteration), {f'net_g_{iteration}.pth': {'params': {}}})
        store.thin_out(iteration)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def numbers(folder):
    return sorted(int(path.stem.split('_')[-1]) for path in folder.iterdir())


def test_the_newest_state_is_found_by_its_number(make):
    save(make(), 9, 10)
    assert make().newest().content['iter'] == 10


def test_nothing_is_found_where_nothing_is(make):
    assert make().newest() is None


@pytest.mark.parametrize(
    'keep, kept',
    [
        ({}, [5, 10, 15, 20, 25]),
        ({'keep_last': 2}, [20, 25]),
        ({'keep_last': 2, 'keep_every': 10}, [10, 20, 25]),
        ({'keep_every': 10}, [10, 20, 25]),
        ({'keep_last': 1, 'keep_every': 12}, [15, 25]),
        ({'keep_last': 1, 'keep_always': 10}, [10, 25]),
    ],
)
def test_what_is_kept(make, tmp_path, keep, kept):
    save(make(**keep), 5, 10, 15, 20, 25)
    assert numbers(tmp_path / 'states') == kept
    assert numbers(tmp_path / 'models') == kept


def test_networks_without_number_stay(make, tmp_path):
    store = make(keep_last=1)
    store.save_networks({'net_g_best.pth': {}, 'net_g_latest.pth': {}})
    save(store, 1, 2)
    assert names(tmp_path / 'models') == ['net_g_2.pth', 'net_g_best.pth', 'net_g_latest.pth']


def test_later_checkpoints_are_not_those_of_this_run(make, tmp_path):
    save(make(), 5, 10, 20)
    save(make(keep_last=1), 11)
    assert numbers(tmp_path / 'states') == [11, 20]


def test_a_damaged_state_is_set_aside_and_the_one_before_is_taken(make, tmp_path):
    save(make(), 1, 2)
    (tmp_path / 'states' / '3.state').write_bytes(b'half')
    found = make().newest()
    assert found.content['iter'] == 2
    assert '3.state is skipped, because it is cut off or damaged' in found.skipped[0]
    assert (tmp_path / 'states' / '3.state.damaged').read_bytes() == b'half'
    assert make().newest().skipped == ()


def test_a_run_does_not_start_afresh_over_damaged_states(make, tmp_path):
    for iteration in (1, 2):
        (tmp_path / 'states' / f'{iteration}.state').write_bytes(b'half')
    with pytest.raises(UserError, match=r'None of the 2 training states .* can be read; of 2\.state: it is cut off'):
        make().newest()
    assert names(tmp_path / 'states') == ['1.state', '2.state']


def test_a_disk_that_is_away_costs_no_checkpoint(make, monkeypatch):
    from gsm_plugin.training.checkpoints import store

    def away(_):
        raise OSError(116, 'Stale file handle')

    save(make(), 1, 2)
    monkeypatch.setattr(store, 'read_sealed', away)
    with pytest.raises(UserError, match=r'2\.state cannot be read now \(Stale file handle\)'):
        make().newest()


def test_a_state_that_will_not_do_is_passed_over(make):
    store = make()
    for iteration, good in ((1, True), (2, True), (3, False)):
        store.save(iteration, state(iteration, is_good=good), {})
    assert store.newest(lambda one: one['is_good']).content['iter'] == 2


def test_a_file_of_something_else_is_no_state(make, tmp_path):
    torch.save({'params': {}}, tmp_path / 'states' / '1.state')
    with pytest.raises(UserError, match='it is not a training state'):
        make().newest()
    with pytest.raises(UserError, match=r'1\.state cannot be read: it is not a training state .*; name another'):
        make().read_state(tmp_path / 'states' / '1.state')


def test_a_named_state_that_is_missing(make, tmp_path):
    with pytest.raises(UserError, match=r'7\.state does not exist; correct path:resume_state'):
        make().read_state(tmp_path / '7.state')


def test_what_a_killed_run_was_writing_is_swept_away(make, tmp_path):
    save(make(), 1)
    for folder in ('states', 'models'):
        (tmp_path / folder / '2.state.part').write_bytes(b'half')
    make().sweep()
    assert names(tmp_path / 'states') == ['1.state']
    assert names(tmp_path / 'models') == ['net_g_1.pth']


def test_the_state_is_written_last(make, tmp_path, monkeypatch):
    from gsm_plugin.training.checkpoints import store

    written = []
    monkeypatch.setattr(
        store, 'write_sealed', lambda path, content: written.append(path.name) or write_sealed(path, content)
    )
    save(make(), 4)
    assert written == ['net_g_4.pth', '4.state']


@pytest.mark.parametrize(
    'earlier, cure',
    [
        ([], 'start again: this was the first checkpoint of the run'),
        ([0], 'continue with --auto_resume: what was saved before is whole'),
    ],
)
@pytest.mark.parametrize('name', ['net_g_4.pth', '4.state'])
def test_a_full_disk_is_told_with_what_is_there(make, monkeypatch, earlier, cure, name):
    from gsm_plugin.training.checkpoints import store

    def full(path, content):
        if path.name == name:
            raise OSError(errno.ENOSPC, 'No space left on device')
        write_sealed(path, content)

    save(make(), *earlier)
    monkeypatch.setattr(store, 'write_sealed', full)
    expected = f'/{name} cannot be written (No space left on device); make room or correct the folder, then {cure}.'
    with pytest.raises(UserError, match=re.escape(expected)):
        save(make(), 4)


def test_a_folder_is_no_state(make, tmp_path):
    with pytest.raises(UserError, match=r'states is a folder; name a file in it, such as 5000\.state'):
        make().read_state(tmp_path / 'states')
