import pytest
import torch

from gsm_plugin.ops._common.shapes import check_shapes, check_tensors


def test_the_first_wrong_shape_is_named():
    weight, bias = torch.zeros(3, 4), torch.zeros(5)
    check_shapes('3 channels need', [('weight', weight, (3, 4)), ('bias', bias, bias.shape)])
    with pytest.raises(ValueError, match=r'^bias has the shape \(5,\); 3 channels need \(3,\)\.$'):
        check_shapes('3 channels need', [('weight', weight, (3, 4)), ('bias', bias, (3,)), ('more', bias, (4,))])


@pytest.mark.parametrize(
    'changed, flow, message',
    [
        (torch.zeros(2).numpy(), None, r'^y is of numpy\.ndarray; make it a tensor, as by torch\.as_tensor\.$'),
        ([1.0], None, r'^y is of list; make it a tensor'),
        (torch.zeros(2, dtype=torch.uint8), None, r'^y is of uint8; make it float\.$'),
        (torch.zeros(2, dtype=torch.complex64), None, r'^y is of complex64; make it float\.$'),
        (torch.zeros(2, device='meta'), None, r'^y is on meta, but x on cpu; move one of them\.$'),
        (torch.zeros(2), torch.zeros(2, device='meta'), r'^flow is on meta, but x on cpu; move one of them\.$'),
        (torch.zeros(2), torch.zeros(2).numpy(), r'^flow is of numpy\.ndarray; make it a tensor'),
    ],
)
def test_what_kernels_would_take_for_what_it_is_not_is_named(changed, flow, message):
    with pytest.raises(ValueError, match=message):
        check_tensors([('x', torch.zeros(2)), ('y', changed)], flow)


def test_flows_may_be_of_whole_numbers():
    check_tensors([('x', torch.zeros(2)), ('y', torch.zeros(3, dtype=torch.bfloat16))], torch.zeros(2).long())
