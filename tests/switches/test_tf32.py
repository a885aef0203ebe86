from types import SimpleNamespace

import pytest
import torch

from gsm_plugin.switches import tf32

SWITCHES = {'products': tf32.products, 'convolutions': tf32.convolutions}
OLDER = SimpleNamespace(allow_tf32=False)
NEWER = SimpleNamespace(fp32_precision='none')


@pytest.mark.parametrize(
    'switch',
    [*SWITCHES.values(), tf32.switch_of(OLDER, None), tf32.switch_of(OLDER, NEWER)],
    ids=[*SWITCHES, 'older', 'newer'],
)
@pytest.mark.parametrize('on', [True, False])
def test_a_switch_is_turned_for_a_while_however_often(switch, on):
    before = switch.is_on()
    turned = switch.turned(on)
    for _ in range(2):
        with turned:
            assert switch.is_on() == on
        assert switch.is_on() == before
    with pytest.raises(KeyError), turned:
        raise KeyError
    assert switch.is_on() == before


def test_what_is_turned_is_what_pytorch_reads():
    owners = tf32.products._owner, tf32.convolutions._owner
    assert torch.backends.cuda.matmul in owners
    assert getattr(torch.backends.cudnn, 'conv', torch.backends.cudnn) in owners


def test_products_are_asked_about_whichever_way_they_were_set():
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision('high')
        assert tf32.products.is_on()
        torch.set_float32_matmul_precision('highest')
        assert not tf32.products.is_on()
        torch.backends.cuda.matmul.allow_tf32 = True
        assert tf32.products.is_on()
    finally:
        torch.set_float32_matmul_precision(before)


def test_convolutions_are_asked_about_whichever_way_they_were_set():
    for on in (False, True):
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=on):
            assert tf32.convolutions.is_on() == on
