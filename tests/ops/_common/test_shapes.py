import pytest
import torch

from gsm_plugin.ops._common.shapes import check_shapes


def test_the_first_wrong_shape_is_named():
    weight, bias = torch.zeros(3, 4), torch.zeros(5)
    check_shapes('3 channels need', [('weight', weight, (3, 4)), ('bias', bias, bias.shape)])
    with pytest.raises(ValueError, match=r'^bias has the shape \(5,\); 3 channels need \(3,\)\.$'):
        check_shapes('3 channels need', [('weight', weight, (3, 4)), ('bias', bias, (3,)), ('more', bias, (4,))])
