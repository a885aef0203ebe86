from pathlib import Path

import pytest
import torch

from gsm_plugin.studies.resuming.kills import Kills, differences, kill_and_resume, plain


def test_every_kind_of_difference_is_named():
    expected = {'a.pth': plain({'w': torch.zeros(2)}), 'b': [1], 'c': 1}
    actual = {'a.pth': plain({'w': torch.tensor([0.0, -0.0])}), 'b': [1], 'd': 2}
    assert list(differences(actual, expected)) == ['a.pth differs', 'c is missing', 'd is too much']


def test_one_lost_checkpoint_or_one_other_ending_is_not_good():
    assert Kills(3, 3, 3, 0, 1).is_good
    assert not Kills(3, 3, 2, 0, 1).is_good
    assert not Kills(3, 3, 3, 1, 1).is_good


@pytest.mark.slow
def test_a_killed_training_ends_as_one_that_nobody_killed(tmp_path):
    lines = []
    found = kill_and_resume(Path(tmp_path), 2, 1, 0, (), lines.append)
    assert found.is_good
    assert found.kills >= 2
    assert lines[-1].startswith(f'{found.kills} kills')
