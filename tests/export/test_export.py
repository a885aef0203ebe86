"""What `basicsr export` writes is run again and is the network; what cannot be exported is one sentence."""

import copy
import json
import logging
from dataclasses import replace

import numpy as np
import pytest
import torch

from gsm_plugin.archs.building import build
from gsm_plugin.cli import main as command
from gsm_plugin.errors import UserError
from gsm_plugin.export import export as exporting
from gsm_plugin.export.example_clip import example_clip
from gsm_plugin.export.export import Wanted, export
from gsm_plugin.export.files import EXTRA_FILE
from gsm_plugin.export.ops import exportable_ops
from gsm_plugin.export.tracing import Form, largest_difference
from gsm_plugin.inference.loading import load_network
from gsm_plugin.layers.upsample import FrameConv
from gsm_plugin.weights.content_hash import hash_of
from tests.inference.test_restorer import NETWORKS as SMALL

onnxruntime = pytest.importorskip('onnxruntime')

GSM = {'type': 'GSMamba', 'upscale': 2, 'prop_depth': 2, 'attn_depth': 2, 'pa_frame': 1, 'embed_dims': 8}
GSM |= {'num_heads': 2, 'window_size': [2, 4, 4]}
NETWORKS = {
    'gsm': GSM,
    'basicvsr': {'type': 'BasicVSR', 'num_feat': 4, 'num_block': 1},
    'basicvsrpp': {'type': 'BasicVSRPlusPlus', 'mid_channels': 8, 'num_blocks': 1},
    'vrt': SMALL['vrt'],
}


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """Weights of networks whose flows are of some pixels and whose every part matters."""
    folder, found = tmp_path_factory.mktemp('weights'), {}
    for name, options in NETWORKS.items():
        torch.manual_seed(0)
        network = build(options)
        with torch.no_grad():
            for key, value in network.named_parameters():
                value += 0.05 * torch.randn_like(value)
                if key.startswith('spynet') and key.endswith('8.weight'):
                    value *= 20
        found[name] = folder / f'{name}.pth'
        torch.save({'params': network.state_dict()}, found[name])
    return found


def wanted(weights, out, frames=2, size=(36, 40), **how):
    own = {key: how.pop(key) for key in ('network', 'opset', 'clip') if key in how}
    return Wanted(weights, out, Form(frames, *size, **how), own.pop('network', {'pa_frame': 1}), **own)


@pytest.fixture(scope='module')
def gsm_onnx(files, tmp_path_factory):
    out, said = tmp_path_factory.mktemp('onnx') / 'gsm.onnx', []
    export(wanted(files['gsm'], out), said.append)
    return out, said


def test_gsm_as_onnx_is_the_network_on_another_clip_too(gsm_onnx, files):
    out, said = gsm_onnx
    assert 'largest difference from the network' in said[-1]
    session = onnxruntime.InferenceSession(str(out))
    clip = torch.rand(1, 2, 3, 36, 40, generator=torch.Generator().manual_seed(1))
    network = load_network(files['gsm'], {'pa_frame': 1}, torch.device('cpu')).network
    with torch.no_grad():
        expected = network(clip)
    actual = torch.from_numpy(session.run(['restored'], {'clip': clip.numpy()})[0])
    assert largest_difference(actual, expected) < 1e-4
    # the frames of the clip do tell each other something
    still = network(clip[:, :1])
    assert largest_difference(still, expected[:, :1]) > 1e-2


def test_the_file_says_which_network_it_is_and_how_far_from_it(gsm_onnx, files):
    said = onnxruntime.InferenceSession(str(gsm_onnx[0])).get_modelmeta().custom_metadata_map
    assert json.loads(said['network_g'])['pa_frame'] == 1
    assert (said['scale'], said['frames'], json.loads(said['input'])) == ('2', '2', [1, 2, 3, 36, 40])
    assert float(said['largest_difference']) < 1e-4
    assert said['weights_sha256'] == hash_of(torch.load(files['gsm'], weights_only=True)['params'])
    assert said['compared_on'] == 'a photograph that moves, onnxruntime, CPU'


def test_no_step_of_the_scan_is_a_node_of_its_own(gsm_onnx):
    onnx = pytest.importorskip('onnx')
    kinds = [node.op_type for node in onnx.load(gsm_onnx[0]).graph.node]
    # 2 layers x 2 frames x 2 directions, each three loops
    assert kinds.count('Scan') == 24
    assert len(kinds) < 4000


def test_basicvsr_as_onnx_with_stacked_frames_is_the_network(files, tmp_path):
    out = tmp_path / 'basicvsr.onnx'
    export(wanted(files['basicvsr'], out, size=(64, 72), is_stacked=True, network={}))
    session = onnxruntime.InferenceSession(str(out))
    clip = torch.rand(1, 2, 3, 64, 72)
    network = load_network(files['basicvsr'], {}, torch.device('cpu')).network
    actual = torch.from_numpy(session.run(None, {'clip': clip.flatten(1, 2).numpy()})[0])
    assert actual.shape == (1, 6, 256, 288)
    with torch.no_grad():
        assert largest_difference(actual.unflatten(1, (2, 3)), network(clip)) < 1e-4


@pytest.mark.slow
def test_basicvsrpp_as_onnx_is_the_network(files, tmp_path):
    said = []
    export(wanted(files['basicvsrpp'], tmp_path / 'a.onnx', frames=3, size=(64, 72), network={}), said.append)
    meta = onnxruntime.InferenceSession(tmp_path / 'a.onnx').get_modelmeta().custom_metadata_map
    assert float(meta['largest_difference']) < 1e-4


@pytest.mark.slow
def test_gsm_as_a_program_of_torch_export_is_the_network(files, tmp_path):
    said = []
    export(wanted(files['gsm'], tmp_path / 'a.pt2', frames=3, is_stacked=True), said.append)
    assert 'by PyTorch on the CPU' in said[-1]


def test_a_program_of_torch_export_is_the_network_and_says_so(files, tmp_path):
    out = tmp_path / 'basicvsr.pt2'
    export(wanted(files['basicvsr'], out, size=(64, 64), network={}))
    extra = {EXTRA_FILE: ''}
    program = torch.export.load(out, extra_files=extra).module()
    clip = torch.rand(1, 2, 3, 64, 64)
    network = load_network(files['basicvsr'], {}, torch.device('cpu')).network
    with torch.no_grad():
        torch.testing.assert_close(program(clip), network(clip), atol=1e-5, rtol=1e-5)
    assert json.loads(extra[EXTRA_FILE])['frames'] == '2'


def test_a_program_that_differs_is_refused_and_leaves_no_file(files, tmp_path, monkeypatch):
    trace = exporting.trace

    def trace_brighter(loaded, form):
        network = copy.deepcopy(loaded.network)
        with torch.no_grad():
            network.conv_last.bias += 0.01
        return trace(replace(loaded, network=network), form)

    monkeypatch.setattr(exporting, 'trace', trace_brighter)
    with pytest.raises(UserError, match=r'differs from the network by 0\.01, more than 0\.001, on a photograph'):
        export(wanted(files['basicvsr'], tmp_path / 'a.pt2', size=(64, 64), network={}))
    assert list(tmp_path.iterdir()) == []


REFUSED = {
    'an ending that is none': ('gsm', 'a.trt', {}, r"ends with '\.trt'; name a file that ends with \.onnx or \.pt2"),
    'no such folder': ('gsm', 'none/a.onnx', {}, 'there is no folder'),
    'an old opset': ('gsm', 'a.onnx', {'opset': 11}, r'--opset is 11; give one from 18, since older ones lack op'),
    'an opset of tomorrow': ('gsm', 'a.onnx', {'opset': 99}, r'--opset is 99; give one from 18'),
    'an opset for no ONNX': ('gsm', 'a.pt2', {'opset': 20}, r'--opset is for \.onnx files'),
    'no frames': ('gsm', 'a.pt2', {'frames': 0}, r'--frames 0 --size 36x40: give whole numbers from 1 up'),
    'a frame too few': ('basicvsr', 'a.pt2', {'frames': 1, 'size': (64, 64)}, 'BasicVSR needs 2 or more'),
    'a side too small': ('basicvsr', 'a.pt2', {'size': (64, 63)}, r'--size is 64x63; BasicVSR needs sides of 64'),
    'an opset without deformable convolution': ('basicvsrpp', 'a.onnx', {'size': (64, 64), 'opset': 18}, 'from 19'),
    'VRT': ('vrt', 'a.onnx', {}, 'VRT cannot be exported; GSMamba, BasicVSR, BasicVSRPlusPlus can'),
    'no such clip': ('gsm', 'a.pt2', {'clip': 'none.mp4'}, r'--clip .*none\.mp4 does not exist'),
}


@pytest.mark.parametrize('kind', REFUSED)
def test_what_cannot_be_exported_is_one_sentence_and_leaves_no_file(files, tmp_path, kind):
    name, out, how, sentence = REFUSED[kind]
    how = {**how, 'clip': tmp_path / how['clip']} if 'clip' in how else how
    network = {'pa_frame': 1} if name == 'gsm' else {}
    with pytest.raises(UserError, match=sentence):
        export(wanted(files[name], tmp_path / out, network=network, **how))
    assert list(tmp_path.iterdir()) == []


def test_weights_that_are_half_there_are_one_sentence(files, tmp_path):
    (tmp_path / 'half.pth').write_bytes(files['gsm'].read_bytes()[:5000])
    with pytest.raises(UserError, match='is cut off'):
        export(wanted(tmp_path / 'half.pth', tmp_path / 'a.onnx'))
    assert [path.name for path in tmp_path.iterdir()] == ['half.pth']


def test_a_size_that_is_none_is_one_sentence(files, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        command.main(['export', str(files['gsm']), str(tmp_path / 'a.onnx'), '--frames', '2', '--size', '180p'])
    assert ended.value.code == 2
    assert "--size is '180p'; write height and width" in capsys.readouterr().err


@pytest.mark.parametrize('size', [(20, 30), (700, 40)])
def test_the_photograph_moves_as_it_says(size):
    clip, what = example_clip(None, 3, *size)
    assert what == 'a photograph that moves'
    assert clip.shape == (1, 3, 3, *size)
    assert 0 <= clip.min() < 0.2
    assert 0.8 < clip.max() <= 1
    assert (clip[:, 0] - clip[:, 1]).abs().mean() > 1e-3


def test_frames_of_a_folder_are_read_in_order_and_cut_to_the_middle(tmp_path):
    from PIL import Image

    frames = np.random.default_rng(0).integers(0, 256, (3, 10, 12, 3), np.uint8)
    for n, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / f'{n}.png')
    clip, what = example_clip(tmp_path, 2, 8, 6)
    assert what == f'2 frames of {tmp_path.name}'
    np.testing.assert_allclose(clip[0].permute(0, 2, 3, 1) * 255, frames[:2, 1:9, 3:9], atol=1e-4)
    with pytest.raises(UserError, match='has 3 frames; give one with 4 or more'):
        example_clip(tmp_path, 4, 8, 6)


def test_the_converter_keeps_its_notes_to_itself(gsm_onnx, caplog):
    # ours tell what a file of weights does not
    others = [record for record in caplog.get_records('setup') if not record.name.startswith('basicsr')]
    assert not [record for record in others if record.levelno >= logging.WARNING]


@pytest.mark.slow
def test_open_sides_hold_at_sizes_that_were_not_traced(files, tmp_path):
    out, said = tmp_path / 'open.onnx', []
    export(wanted(files['gsm'], out, size=(48, 48), is_open=True), said.append)
    assert 'height and width multiples of 4' in said[-2]
    session = onnxruntime.InferenceSession(str(out))
    network = load_network(files['gsm'], {'pa_frame': 1}, torch.device('cpu')).network
    for height, width in ((48, 48), (56, 44), (64, 72)):
        clip = torch.rand(1, 2, 3, height, width, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            expected = network(clip)
        actual = torch.from_numpy(session.run(['restored'], {'clip': clip.numpy()})[0])
        assert largest_difference(actual, expected) < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize('name, size', [('gsm', (46, 48)), ('basicvsr', (64, 64))])
def test_sides_that_cannot_be_open_are_fixed_aloud(files, tmp_path, name, size):
    said = []
    network = {'pa_frame': 1} if name == 'gsm' else {}
    export(wanted(files[name], tmp_path / 'fixed.onnx', size=size, is_open=True, network=network), said.append)
    assert any(line.startswith('height and width are fixed, since ') for line in said)
    assert f'{size[0]}x{size[1]} alone' in said[-2]


def test_a_large_convolution_is_exported_as_one_of_pytorch():
    conv, x = FrameConv(64, 64), torch.rand(1, 64, 64, 64)
    with exportable_ops():
        program = torch.export.export(conv, (x,))
    assert any(node.target is torch.ops.aten.conv2d.default for node in program.graph.nodes)
    torch.testing.assert_close(program.module()(x), conv(x), atol=1e-5, rtol=1e-4)
