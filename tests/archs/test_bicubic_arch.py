import pytest
import torch
from basicsr.utils.matlab_functions import imresize

from gsm_plugin.archs.bicubic_arch import Bicubic


@pytest.mark.parametrize('scale', [1, 2, 3, 4, 8])
@pytest.mark.parametrize('size', [(9, 16), (2, 3), (1, 1)])
def test_equals_the_enlargement_of_matlab(scale, size):
    clip = torch.rand(2, 3, 3, *size)
    actual = Bicubic(scale)(clip)
    assert actual.shape == (2, 3, 3, size[0] * scale, size[1] * scale)
    if min(size) > 2:
        # BasicSR's function cannot mirror farther than the image is wide.
        torch.testing.assert_close(actual[1, 2], imresize(clip[1, 2], scale), atol=1e-5, rtol=0)


def test_a_constant_clip_stays_constant():
    clip = torch.full((1, 1, 3, 1, 5), 0.3)
    torch.testing.assert_close(Bicubic(4)(clip), torch.full((1, 1, 3, 4, 20), 0.3), atol=1e-5, rtol=0)


def test_it_has_no_weights():
    assert not Bicubic().state_dict()


@pytest.mark.parametrize('factor', [0, 1.5])
def test_a_factor_that_is_none_is_refused(factor):
    with pytest.raises(ValueError, match='set a whole number from 1 up'):
        Bicubic(factor)
