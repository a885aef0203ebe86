import pytest
import torch

from gsm_plugin.archs.flow_estimation import build_spynet
from gsm_plugin.errors import UserError
from gsm_plugin.weights.finite import check_values
from gsm_plugin.weights.loading import load_weights


@pytest.mark.parametrize('value', [float('nan'), float('inf'), float('-inf')])
@pytest.mark.parametrize('dtype', [torch.float32, torch.float16, torch.bfloat16, torch.complex64, torch.float64])
def test_values_that_are_no_numbers_are_refused_with_name_and_count(value, dtype):
    weights = {'a': torch.zeros(3, dtype=dtype), 'b': torch.zeros(2, 2, dtype=dtype), 'c': torch.ones(1, dtype=dtype)}
    weights['b'][0] = value
    weights['c'][0] = value
    own = {name: torch.zeros_like(tensor) for name, tensor in weights.items()}
    with pytest.raises(UserError, match=r'w\.pth holds .* 2 of 4 in b, and 1 other weights; its training diverged'):
        check_values(weights, own, 'w.pth')


def test_types_of_eight_bits_are_checked_too():
    weights = {'a': torch.tensor([1.0, float('nan')]).to(torch.float8_e4m3fn)}
    with pytest.raises(UserError, match='1 of 2 in a;'):
        check_values(weights, {'a': torch.zeros(2)}, 'w.pth')


def test_values_that_are_too_large_for_the_type_of_the_network_are_refused():
    with pytest.raises(UserError, match='1 of 2 in a;'):
        check_values({'a': torch.tensor([1.0, 1e300], dtype=torch.float64)}, {'a': torch.zeros(2)}, 'w.pth')


@pytest.mark.parametrize('dtype', [torch.int64, torch.uint8, torch.bool, torch.complex64])
@pytest.mark.parametrize('load', [lambda path: load_weights(build_spynet(), path), build_spynet])
def test_other_than_real_numbers_are_refused_with_name_type_and_cure(tmp_path, load, dtype):
    weights = build_spynet().state_dict()
    weights['basic_module.2.basic_module.0.bias'] = torch.ones(32).to(dtype)
    torch.save(weights, tmp_path / 'spynet.pth')
    kind = str(dtype).removeprefix('torch.')
    expected = rf'spynet\.pth holds basic_module\.2\.basic_module\.0\.bias as {kind}, which is no type of real numbers;'
    with pytest.raises(UserError, match=expected):
        load(tmp_path / 'spynet.pth')


def test_infinite_values_that_the_network_makes_itself_are_meant():
    mask = torch.tensor([0.0, float('-inf')])
    check_values({'mask': mask, 'count': torch.tensor(3)}, {'mask': mask.clone(), 'count': torch.tensor(1)}, 'w.pth')
    with pytest.raises(UserError, match='1 of 2 in mask'):
        check_values({'mask': mask}, {'mask': mask.flip(0)}, 'w.pth')


def network(**values):
    made = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1))
    for name, value in values.items():
        getattr(made[1], name).data.fill_(value)
    return made


@pytest.mark.parametrize('strict', [True, False])
def test_a_network_takes_none_of_them_and_stays_as_it_was(tmp_path, strict):
    torch.save({'params': network(bias=float('inf')).state_dict()}, tmp_path / 'w.pth')
    taking = network()
    before = {name: value.clone() for name, value in taking.state_dict().items()}
    with pytest.raises(UserError, match=r'1 of 1 in 1\.bias'):
        load_weights(taking, tmp_path / 'w.pth', strict)
    torch.testing.assert_close(dict(taking.state_dict()), before, atol=0, rtol=0)


def test_what_a_network_does_not_take_may_be_anything(tmp_path):
    torch.save({'params': {**network().state_dict(), 'else': torch.tensor(float('nan'))}}, tmp_path / 'w.pth')
    load_weights(network(), tmp_path / 'w.pth', strict=False)


def test_the_flow_network_takes_none_of_them(tmp_path):
    weights = build_spynet().state_dict()
    weights['basic_module.2.basic_module.0.bias'] = torch.full((32,), float('nan'))
    torch.save({'params': {f'spynet.{name}': value for name, value in weights.items()}}, tmp_path / 'basicvsr.pth')
    with pytest.raises(UserError, match=r'32 of 32 in basic_module\.2\.basic_module\.0\.bias'):
        build_spynet(tmp_path / 'basicvsr.pth')


def test_a_flow_network_of_other_sizes_is_one_sentence(tmp_path):
    weights = {name: value[:1] for name, value in build_spynet().state_dict().items()}
    torch.save(weights, tmp_path / 'spynet.pth')
    with pytest.raises(UserError, match=r'spynet\.pth lacks basic_module.* of SPyNet'):
        build_spynet(tmp_path / 'spynet.pth')
