"""The Restorer: from a file to restored clips of every kind, and what it refuses."""

import json
import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

import gsm_plugin  # makes basicsr importable, so it comes first

# isort: split
from gsm_plugin import Restorer
from gsm_plugin.archs.building import build
from gsm_plugin.errors import UserError
from gsm_plugin.inference.flipping import average_over_views
from gsm_plugin.inference.handling import Handling, handling_of
from gsm_plugin.weights.known_files import KNOWN_WEIGHTS
from tests.models.tiny import SCALE, TinyRecurrentNet

GSM = {'type': 'GSMamba', 'upscale': 2, 'prop_depth': 2, 'attn_depth': 1, 'embed_dims': 8, 'num_heads': 2}
GSM |= {'window_size': [2, 4, 4]}
NETWORKS = {
    'gsm': GSM,
    'vrt': {
        'type': 'VRT',
        'upscale': 2,
        'window_size': [2, 4, 4],
        'depths': [1] * 8,
        'indep_reconsts': [],
        'embed_dims': [8] * 8,
        'num_heads': [2] * 8,
        'deformable_groups': 2,
    },
    'basicvsr': {'type': 'BasicVSR', 'num_feat': 4, 'num_block': 1},
    'basicvsrpp': {'type': 'BasicVSRPlusPlus', 'mid_channels': 8, 'num_blocks': 1},
    'iconvsr': {'type': 'IconVSR', 'num_feat': 8, 'num_block': 1},
    'edvr': {'type': 'EDVR', 'num_feat': 8, 'num_frame': 3, 'num_extract_block': 1, 'num_reconstruct_block': 1},
}
SCALES = {'gsm': 2, 'vrt': 2}


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """A file of random weights of each network, by name."""
    folder, found = tmp_path_factory.mktemp('weights'), {}
    for name, options in NETWORKS.items():
        torch.manual_seed(0)
        found[name] = folder / f'{name}.pth'
        torch.save({'params': build(options).state_dict()}, found[name])
    return found


def clip(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


class Blur(nn.Module):
    """Each output frame depends on a few neighbours in time, and on pixels on one side more than on the other."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(clip(3, 3, 3, 3, 3, seed=1) / 40, requires_grad=False)

    def forward(self, x):
        mixed = F.conv3d(x.transpose(1, 2), self.weight, padding=1).transpose(1, 2)
        return mixed.repeat_interleave(2, -1).repeat_interleave(2, -2)


@pytest.fixture
def blur():
    return Restorer(Blur().eval(), 2)


@pytest.mark.parametrize('name', NETWORKS)
def test_every_network_takes_one_frame_of_any_size(files, name):
    restorer = Restorer.load(files[name], device='cpu')
    scale = SCALES.get(name, 4)
    assert restorer.scale == scale
    output = restorer(clip(1, 3, 17, 33))
    assert output.shape == (1, 3, 17 * scale, 33 * scale)
    assert output.isfinite().all()
    assert restorer.name == name
    assert (restorer.device.type, restorer.precision) == ('cpu', 'fp32')


@pytest.mark.parametrize(('name', 'shape'), [('basicvsr', (2, 3, 64, 64)), ('gsm', (2, 3, 8, 5))])
def test_a_clip_that_needs_nothing_is_what_the_bare_network_gives(files, name, shape):
    restorer = Restorer.load(files[name], device='cpu')
    with torch.no_grad():
        expected = restorer.network(clip(1, *shape))[0]
    torch.testing.assert_close(restorer(clip(*shape)), expected, atol=0, rtol=0)


def test_it_gives_the_kind_that_it_got(blur):
    float_clip = clip(2, 3, 8, 9)
    output = blur(float_clip)
    assert output.dtype == torch.float32
    torch.testing.assert_close(blur(float_clip[None])[0], output, atol=0, rtol=0)
    for dtype in (torch.float64, torch.float16):
        assert blur(float_clip.to(dtype)).dtype == dtype
    as_bytes = (float_clip * 255).round().byte()
    restored = blur(as_bytes)
    assert restored.dtype == torch.uint8
    torch.testing.assert_close(restored / 255, blur(as_bytes / 255).clamp(0, 1), atol=0.51 / 255, rtol=0)
    array = as_bytes.permute(0, 2, 3, 1).numpy()
    np.testing.assert_array_equal(blur(array), restored.permute(0, 2, 3, 1).numpy())
    assert blur(array[None]).shape == (1, 2, 16, 18, 3)
    # as OpenCV's colours turned around are
    np.testing.assert_array_equal(blur(np.ascontiguousarray(array[..., ::-1])[..., ::-1]), blur(array))
    swapped = blur(float_clip.permute(0, 2, 3, 1).numpy().astype('>f4'))
    np.testing.assert_array_equal(swapped, output.permute(0, 2, 3, 1).numpy())


@pytest.mark.filterwarnings('error')
def test_a_clip_need_not_be_writable_and_may_overshoot_a_little(blur):
    array = clip(2, 3, 8, 9).permute(0, 2, 3, 1).contiguous().numpy() * 1.4 - 0.2
    array.flags.writeable = False
    assert blur(array).shape == (2, 16, 18, 3)


def test_gradients_are_neither_kept_nor_asked_for(files):
    gsm = Restorer.load(files['gsm'], device='cpu')
    output = gsm(clip(1, 3, 4, 4).requires_grad_())
    assert not output.requires_grad
    assert not any(parameter.requires_grad for parameter in gsm.network.parameters())
    assert not gsm.network.training


def test_a_stream_is_the_whole_clip_where_the_context_is_enough(blur):
    frames = clip(11, 3, 5, 6)
    streamed = torch.stack(list(blur.stream(iter(frames), window=5, context=1)))
    torch.testing.assert_close(streamed, blur(frames))
    short = torch.stack(list(blur.stream(iter(frames), window=5, context=0)))
    assert not torch.allclose(short, blur(frames))


def test_a_stream_takes_arrays(blur):
    frames = (clip(3, 8, 9, 3) * 255).byte().numpy()
    streamed = list(blur.stream(iter(frames)))
    np.testing.assert_array_equal(np.stack(streamed), blur(frames))


@pytest.mark.parametrize('rule', ['blended', 'published'])
def test_tiles_are_joined_by_a_rule(blur, rule):
    tiled = blur.with_tile((2, 8, 8), (1, 4, 4), rule)
    assert f'overlap by 1x4x4, {rule}' in tiled.describe()
    frames = clip(3, 3, 12, 12)
    calls = []
    output = tiled(frames, lambda done, of: calls.append((done, of)))
    assert calls[-1] == (8, 8)
    assert output.shape == blur(frames).shape
    assert not torch.equal(output, blur(frames))
    other = blur.with_tile((2, 8, 8), (1, 4, 4), 'published' if rule == 'blended' else 'blended')
    assert not torch.equal(output, other(frames))
    torch.testing.assert_close(blur.with_tile((8, 64, 64), tile_rule=rule)(frames), blur(frames))


def test_self_ensemble_is_the_mean_of_eight_views(blur):
    restorer = Restorer(blur.network, 2, Handling(self_ensemble=True))
    frames = clip(2, 3, 8, 9)
    output = restorer(frames)
    torch.testing.assert_close(restorer(frames.transpose(-1, -2)).transpose(-1, -2), output)
    torch.testing.assert_close(restorer(frames.flip(-1)).flip(-1), output)
    assert not torch.allclose(blur(frames), output)


def test_views_are_turned_back():
    seen = []
    output = average_over_views(lambda view: seen.append(view) or view)(clip(1, 2, 3, 4, 5))
    torch.testing.assert_close(output, clip(1, 2, 3, 4, 5))
    assert len({tuple(view.flatten().tolist()) for view in seen}) == 8


def test_what_the_file_does_not_tell_is_said(files, caplog):
    caplog.set_level(logging.INFO, logger='basicsr')
    restorer = Restorer.load(files['gsm'], device='cpu')
    assert 'does not tell pa_frame 2, anchor center, scatter all, flow_composition reference' in caplog.text
    assert 'precision fp32 (the fastest on a CPU)' in caplog.text
    assert restorer.network.pa_frame == 2
    described = restorer.describe()
    for words in ('gsm: GSMamba, x2', 'embed_dims 8', 'taken for granted', 'precision: fp32 (the fastest'):
        assert words in described
    caplog.clear()
    named = Restorer.load(
        files['gsm'],
        device='cpu',
        network={
            'pa_frame': 1,
            'anchor': 'forward',
            'scatter': 'anchor',
            'flow_composition': 'exact',
            'ssm_init': 'mamba',
        },
    )
    assert 'does not tell' not in caplog.text
    assert (named.network.pa_frame, named.network.anchor) == (1, 2)


def test_metadata_of_safetensors_tell_what_shapes_do_not(files, tmp_path, caplog):
    weights = torch.load(files['gsm'], weights_only=True)['params']
    save_file(weights, tmp_path / 'a.safetensors', {'network_g': json.dumps({**GSM, 'pa_frame': 3})})
    restorer = Restorer.load(tmp_path / 'a.safetensors', device='cpu')
    assert restorer.network.pa_frame == 3
    assert 'pa_frame' not in caplog.text
    save_file(weights, tmp_path / 'b.safetensors', {'network_g': json.dumps({**GSM, 'embed_dims': 16})})
    with pytest.raises(UserError, match='says embed_dims: 16, but its shapes are of 8'):
        Restorer.load(tmp_path / 'b.safetensors', device='cpu')


def test_any_network_of_the_registry_is_taken_by_its_type(tmp_path):
    network = TinyRecurrentNet()
    torch.save({'params': network.state_dict()}, tmp_path / 'net.pth')
    restorer = Restorer.load(tmp_path / 'net.pth', device='cpu', network={'type': 'TinyRecurrentNet'})
    assert restorer.scale == SCALE
    with torch.no_grad():
        torch.testing.assert_close(restorer(clip(2, 3, 5, 6)), network(clip(1, 2, 3, 5, 6))[0])


def test_the_type_that_a_file_says_goes_before_shapes_and_the_user_before_both(files, tmp_path):
    def saying(weights, **network_g):
        torch.save({'params_ema': weights, 'metadata': {'network_g': json.dumps(network_g)}}, tmp_path / 'net.pth')
        return tmp_path / 'net.pth'

    weights = TinyRecurrentNet(5).state_dict()
    path = saying(weights, type='TinyRecurrentNet', width=5)
    assert Restorer.load(path, device='cpu').scale == SCALE
    gsm = torch.load(files['gsm'], weights_only=True)['params']
    with pytest.raises(UserError, match='do not fit TinyRecurrentNet'):
        Restorer.load(saying(gsm, type='TinyRecurrentNet', width=5), device='cpu')
    assert Restorer.load(path, device='cpu', network={'type': 'GSMamba', **GSM}).scale == SCALE
    with pytest.raises(UserError, match=r"net\.pth says that its network is 'Mine', which nothing has"):
        Restorer.load(saying(weights, type='Mine', width=5), device='cpu')
    assert Restorer.load(path, device='cpu', network={'type': 'TinyRecurrentNet', 'width': 5}).scale == SCALE


def test_names_are_those_of_the_known_files(files, tmp_path):
    known = KNOWN_WEIGHTS['basicvsr-reds']
    (tmp_path / known.file).write_bytes(files['basicvsr'].read_bytes())
    assert Restorer.load('basicvsr-reds', device='cpu', folder=tmp_path).name == 'basicvsr-reds'


@pytest.mark.parametrize(
    ('name', 'options', 'text'),
    [
        ('basicvsr-red', {}, "No weights are called 'basicvsr-red'; did you mean basicvsr-reds?"),
        ('vrt-reds', {}, 'run basicsr weights get vrt-reds'),
        ('there/is/none.pth', {}, 'none.pth does not exist; correct the path, or give a name of basicsr weights list'),
        ('gsm', {'precision': 'int8'}, "precision is 'int8'; it must be one of auto, fp32, tf32, bf16, fp16"),
        ('gsm', {'precision': 'fp16'}, 'precision is fp16, but a CPU does not compute in fp16; take fp32 or auto'),
        ('gsm', {'precision': 'tf32'}, 'precision is tf32, but a CPU does not compute in tf32'),
        ('gsm', {'device': 'gpu'}, "device is 'gpu'; it must be auto, cpu, cuda, cuda:NUMBER or mps"),
        ('gsm', {'device': 'cuda:256'}, "device is 'cuda:256'; it must be"),
        ('gsm', {'network': {'pa_frame': 'two'}}, "GSMamba: pa_frame is 'two'; set a whole number"),
        ('gsm', {'network': {'type': [1, 2]}}, r'No network is called \[1, 2\]; did you mean'),
        ('gsm', {'device': 'meta'}, "device is 'meta'; it must be"),
        ('gsm', {'device': None}, 'device is None; it must be'),
        ('gsm', {'device': 'cpu:7'}, "device is 'cpu:7'; it must be"),
        (5, {}, 'name_or_path is 5; give a path, a name of basicsr weights list, or None'),
        ('gsm', {'folder': 5}, 'folder is 5; give a path, or None'),
        ('gsm', {'network': 5}, "network is 5; give its arguments by name, such as {'type': 'Bicubic'}"),
        ('gsm', {'self_ensemble': 'x'}, "self_ensemble is 'x'; give True or False"),
        (
            'gsm',
            {'network': {'scan_backend': 'triton'}},
            "GSMamba: scan_backend: The backend 'triton' of .* not on cpu",
        ),
        ('gsm', {'tile': (0, 8, 8)}, 'tile is'),
        ('gsm', {'tile': (2, 8, 8)}, 'tile has 2 frames, but tile_overlap is 2'),
        ('gsm', {'network': {'embed_dim': 8}}, 'GSMamba takes no embed_dim; did you mean embed_dims'),
        ('gsm', {'network': {'anchor': 'centre'}}, "GSMamba: anchor is 'centre'"),
        ('gsm', {'network': {'upscale': 4}}, 'do not fit GSMamba'),
        ('gsm', {'network': {'type': 'GSMamba2'}}, "No network is called 'GSMamba2'; did you mean GSMamba?"),
        ('gsm', {'network': {'type': 'BasicVSR'}}, 'do not fit BasicVSR'),
    ],
    ids=str,
)
def test_what_cannot_be_loaded_is_refused_in_a_sentence(files, tmp_path, name, options, text):
    with pytest.raises(UserError, match=text) as caught:
        Restorer.load(files.get(name, name), **{'device': 'cpu', 'folder': tmp_path, **options})
    assert '\n' not in str(caught.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
@pytest.mark.parametrize('device', ['cuda', 'cuda:1', torch.device('cuda')])
def test_a_gpu_that_is_not_there_is_refused(files, device):
    with pytest.raises(UserError, match=r"device is 'cuda.*finds no CUDA device; take cpu"):
        Restorer.load(files['gsm'], device=device)


@pytest.mark.parametrize('content', [b'', b'no weights', b'PK\x03\x04'])
def test_a_file_of_something_else_is_refused(tmp_path, content):
    (tmp_path / 'net.pth').write_bytes(content)
    with pytest.raises(UserError, match=r'net\.pth is '):
        Restorer.load(tmp_path / 'net.pth', device='cpu')


@pytest.mark.parametrize(
    ('broken', 'text'),
    [
        (lambda: torch.rand(3, 8, 8), r'has the shape \(3, 8, 8\); give \(t, 3, h, w\) or \(b, t, 3, h, w\)'),
        (lambda: torch.rand(2, 8, 8, 3), r'has the shape \(2, 8, 8, 3\); give \(t, 3, h, w\)'),
        (lambda: torch.rand(2, 1, 8, 8), 'three colours'),
        (lambda: np.zeros((2, 3, 8, 8), np.uint8), r'give \(t, h, w, 3\)'),
        (lambda: torch.rand(0, 3, 8, 8), r'A clip is empty, of shape \(0, 3, 8, 8\)'),
        (lambda: torch.rand(1, 3, 0, 8), 'A clip is empty'),
        (lambda: torch.zeros(1, 3, 8, 8, dtype=torch.int64), r'of int64; give uint8, or floats in \[0, 1\]'),
        (lambda: torch.zeros(1, 3, 8, 8, dtype=torch.bool), 'of bool'),
        (lambda: torch.zeros(1, 3, 8, 8, dtype=torch.complex64), 'of complex64'),
        (lambda: np.zeros((1, 8, 8, 3), np.uint16), 'of uint16'),
        (lambda: np.full((1, 8, 8, 3), 'a'), 'of <U1'),
        (lambda: [[1.0]], 'is of type list'),
        (lambda: None, 'is of type NoneType'),
        (lambda: torch.rand(2, 3, 8, 8) * 255, 'reach from .* to .*; give floats in'),
        (lambda: torch.linspace(-1, 1, 384).reshape(2, 3, 8, 8), r'reach from -1 to 1; give floats in \[0, 1\], or'),
        (lambda: torch.rand(2, 3, 8, 8) - 9, r'reach from -\d'),
        (lambda: torch.rand(1, 1, 2, 3, 8, 8), r'has the shape \(1, 1, 2, 3, 8, 8\)'),
        (
            lambda: torch.rand(2, 3, 8, 8).to_sparse(),
            r'A clip is of layout sparse_coo; make it dense first, by \.to_dense',
        ),
        (lambda: torch.rand(2, 3, 8, 8).to_mkldnn(), 'A clip is of layout mkldnn; make it dense first'),
        (
            lambda: torch.rand(2, 3, 8, 8, device='meta'),
            'A clip is on the device meta, which holds no values; give one',
        ),
        (
            lambda: torch.nested.nested_tensor([torch.rand(2, 3, 8, 8)], layout=torch.jagged),
            'A clip is nested; give its parts one by one',
        ),
        (
            lambda: torch.quantize_per_tensor(torch.rand(2, 3, 8, 8), 0.1, 0, torch.quint8),
            r'A clip is quantized; turn it back into floats, by \.dequantize',
        ),
        (lambda: np.ma.masked_less(np.ones((2, 8, 8, 3)), 0), r'A clip is a masked array; fill what is masked'),
    ],
)
@pytest.mark.filterwarnings('ignore:torch.quantize_per_tensor', 'ignore:The PyTorch API of nested')
def test_what_is_no_clip_is_refused_in_a_sentence(blur, broken, text):
    with pytest.raises(UserError, match=text) as caught:
        blur(broken())
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('value', [float('nan'), float('inf'), -float('inf')])
def test_a_frame_that_is_not_finite_is_named(blur, value):
    frames = clip(4, 3, 8, 8)
    frames[2, 1, 3, 4] = value
    with pytest.raises(UserError, match='Frame 2 of the clip has values that are not finite'):
        blur(frames)


def test_frames_of_a_stream_that_differ_are_refused(blur):
    frames = [torch.rand(3, 8, 8), torch.rand(3, 8, 9)]
    with pytest.raises(UserError, match='Frames differ: 3x8x8 of float32, then 3x8x9 of float32'):
        list(blur.stream(frames))
    with pytest.raises(UserError, match='then 3x8x8 of uint8'):
        list(blur.stream([torch.rand(3, 8, 8), torch.zeros(3, 8, 8, dtype=torch.uint8)]))
    with pytest.raises(UserError, match='A frame is on the device meta'):
        list(blur.stream([torch.rand(3, 8, 8), torch.rand(3, 8, 8, device='meta')]))
    with pytest.raises(UserError, match='A frame is of type int'):
        list(blur.stream([1, 2]))
    with pytest.raises(UserError, match='make it more than 8'):
        blur.stream([], window=8, context=4)
    with pytest.raises(UserError, match='one after the other, not 5; give a list or an iterator'):
        blur.stream(5)


def test_the_package_offers_it():
    assert gsm_plugin.Restorer is Restorer
    with pytest.raises(AttributeError, match='no attribute'):
        _ = gsm_plugin.Restorers


@pytest.mark.parametrize('kind, frames', [('GSMamba', 96), ('BasicVSR', 32), ('VRT', 32)])
def test_gsm_is_shown_longer_clips_than_networks_that_carry_mistakes_along(kind, frames):
    seen = []

    def network(clip):
        seen.append(clip.shape[1])
        return clip

    restorer = Restorer(network, 1, replace(handling_of({'type': kind}), smallest_side=1))
    list(restorer.stream(torch.zeros(3, 2, 2) for _ in range(100)))
    assert max(seen) == frames


def test_a_network_that_gives_several_things_is_told_as_one():
    class Pair(nn.Module):
        def forward(self, clip):
            return clip, clip

    with pytest.raises(UserError, match='gave a tuple instead of a clip'):
        Restorer(Pair().eval(), 1)(torch.rand(2, 3, 8, 8))


def test_a_gpu_with_room_is_shown_more_frames_of_a_film_by_gsm_alone():
    found = {}
    for kind in ('GSMamba', 'BasicVSR'):
        restorer = Restorer(Blur().eval(), 2, handling_of({'type': kind}))
        found[kind] = [restorer.frames_at_once, restorer.frames_with_room]
        restorer.device = torch.device('cuda')
        found[kind].append(restorer.frames_with_room)
    assert found == {'GSMamba': [96, 96, 320], 'BasicVSR': [32, 32, 32]}
