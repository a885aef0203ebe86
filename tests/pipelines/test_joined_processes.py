import os

import pytest

from gsm_plugin.pipelines import finishing


@pytest.fixture
def joined(monkeypatch):
    """What the launcher's environment is when the processes are joined."""
    seen = []
    monkeypatch.setattr(finishing.dist_util, 'init_dist', lambda launcher: seen.append(os.environ.get('LOCAL_RANK')))
    monkeypatch.setenv('LOCAL_RANK', '1')
    return seen


def test_the_environment_comes_before_the_flag(joined):
    finishing.start_processes({'manual_seed': 0}, 'pytorch', local_rank=3)
    assert joined == ['1']


def test_the_flag_stands_in_for_the_environment(joined, monkeypatch):
    monkeypatch.delenv('LOCAL_RANK')
    finishing.start_processes({'manual_seed': 0}, 'pytorch', local_rank=3)
    assert joined == ['3']


def test_without_either_nothing_is_invented(joined, monkeypatch):
    monkeypatch.delenv('LOCAL_RANK')
    finishing.start_processes({'manual_seed': 0}, 'pytorch')
    assert joined == [None]
