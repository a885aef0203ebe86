import pytest
import torch

from gsm_plugin.inference.output_check import frames_not_finite


@pytest.mark.parametrize('value', [float('nan'), float('inf'), float('-inf')])
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
def test_frames_with_a_single_value_that_is_none_are_found(value, dtype):
    output = torch.randn(5, 3, 7, 6).to(dtype)
    assert frames_not_finite(output) == []
    output[1, 2, 6, 5] = value
    output[4, 0, 0, 0] = value
    assert frames_not_finite(output) == [1, 4]


def test_the_largest_numbers_are_numbers():
    assert frames_not_finite(torch.full((1, 3, 2, 2), torch.finfo(torch.float32).max)) == []
