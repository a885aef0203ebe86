import re
import runpy
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml

from gsm_plugin.archs.gsm_arch import GSMamba
from gsm_plugin.errors import UserError
from gsm_plugin.layers import implicit_warp
from gsm_plugin.models import guarded_step
from gsm_plugin.models.guarded_step import GuardedStep
from gsm_plugin.ops import flow_warp
from gsm_plugin.studies.clips import StudyClip, charbonnier, clip_names, psnr, read_clip
from gsm_plugin.studies.flow import cures, gradients, noise, saw, warps, worth
from gsm_plugin.studies.flow.subject import Subject, load_subject
from gsm_plugin.studies.networks import NAIVE, TORCH

OPTIONS = {'prop_depth': 2, 'attn_depth': 1, 'pa_frame': 1, 'embed_dims': 8, 'num_heads': 2}
SCRIPTS = Path(__file__).parents[3] / 'scripts'


@pytest.fixture(scope='module')
def subject():
    torch.manual_seed(0)
    net = GSMamba(**OPTIONS)
    with torch.no_grad():
        # a new network does not look at flows yet
        net.implicit_align.q.weight.mul_(8)
    return Subject(OPTIONS, net.state_dict(), torch.device('cpu'))


def clip_of(name, seed, side=8, frames=3):
    generator = torch.Generator().manual_seed(seed)
    gt = torch.rand(1, frames, 3, 4 * side, 4 * side, generator=generator)
    return StudyClip(name, gt[..., ::4, ::4].contiguous(), gt)


@pytest.fixture(scope='module')
def exact(subject):
    return gradients.exact_gradients(subject, clip_of('one', 1), TORCH)


@pytest.mark.slow
def test_torch_backends_may_stand_for_the_naive_network_in_float64(subject, exact):
    naive = gradients.exact_gradients(subject, clip_of('one', 1), NAIVE)
    for way in gradients.WAYS:
        for kind in gradients.KINDS:
            torch.testing.assert_close(exact[way][kind], naive[way][kind], rtol=1e-6, atol=1e-12)


def test_ways_add_up_to_the_whole_gradient_of_the_flows(exact):
    whole = exact['all']['flows']
    torch.testing.assert_close(exact['gather']['flows'] + exact['scatter']['flows'], whole, rtol=1e-6, atol=1e-12)
    assert exact['gather']['flows'].norm() > 0
    assert not torch.equal(exact['gather']['flows'], whole)


def test_gradients_in_float32_have_the_direction_and_the_size_of_those_in_float64(subject, exact):
    rows = list(gradients.rows_of_precisions(subject, clip_of('one', 1), exact, ['fp32']))
    assert len(rows) == 6
    for *_, cosine, ratio in rows:
        assert float(cosine) > 0.999
        assert float(ratio) == pytest.approx(1, abs=1e-2)


def test_differences_over_tiny_steps_agree_with_the_gradient(subject, exact):
    for row in gradients.rows_of_differences(subject, clip_of('one', 1), exact['all']['flows']):
        by_gradient, smallest = float(row[1]), float(row[2])
        assert smallest == pytest.approx(by_gradient, rel=2e-2, abs=1e-7)


def test_a_saw_has_the_loss_of_the_network_at_no_shift(subject, tmp_path):
    clip = clip_of('one', 1)
    found = saw.measure_saw(subject, clip, steps=2)
    with torch.no_grad():
        assert found.loss[0] == pytest.approx(charbonnier(subject.network()(clip.lq), clip.gt).item(), rel=1e-5)
    assert found.shifts.tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 3]
    assert found.slope[0] == pytest.approx(2 * (found.loss[1] - found.loss[0]))
    assert found.describe().startswith('one: loss ')
    saw.draw_saws([found], tmp_path / 'saw.png')
    assert cv2.imread(str(tmp_path / 'saw.png')) is not None


def test_equal_batches_have_no_noise_and_others_have(subject):
    clips = [clip_of('clip', seed) for seed in (1, 2)]
    equal, _ = noise.measure_noise(subject.network(), [(clips[0].lq, clips[0].gt)] * 2, 'fp32')
    other, waves = noise.measure_noise(subject.network(), [(clip.lq, clip.gt) for clip in clips], 'fp32')
    assert [row[0] for row in other] == ['flow network', 'implicit warp', 'scan', 'the rest']
    for still, noisy in zip(equal, other, strict=True):
        assert float(still[2]) < 1e-2 * float(noisy[2])
    assert sum(float(row[1].rstrip('%')) for row in waves) == pytest.approx(100, abs=0.5)


def test_worth_compares_own_flows_with_none_and_those_of_another_clip(subject):
    clips = [clip_of('one', 1), clip_of('two', 2, side=12, frames=4)]
    net = subject.network()
    rows = worth.rows_of_worth(net, clips, first=net.spynet)
    with torch.no_grad():
        expected = psnr(net(clips[0].lq), clips[0].gt)
    assert float(rows[0][1]) == pytest.approx(expected, abs=2e-3)
    assert [row[0] for row in rows] == ['one', 'two']
    # the first flow network is the same, so its error is
    assert rows[0][5] == rows[0][6]
    assert worth.rows_of_worth(net, clips[:1], None)[0][3:7:3] == ['', '']


def test_without_the_gradient_through_the_fraction_flows_learn_less(subject, monkeypatch):
    monkeypatch.setattr(implicit_warp, 'fraction_encoding', implicit_warp.fraction_encoding)
    monkeypatch.setattr(implicit_warp.ImplicitWarp, 'forward', implicit_warp.ImplicitWarp.forward)
    clip = clip_of('one', 1)

    def gradient():
        net = subject.network()
        charbonnier(net(clip.lq), clip.gt).backward()
        return torch.cat([value.grad.flatten() for value in net.spynet.parameters()])

    whole = gradient()
    cures.cut_gradient_of_fraction()
    cut = gradient()
    cures.take_bilinear_gradient()
    assert not torch.allclose(whole, cut)
    assert not torch.allclose(gradient(), cut)


def test_a_tight_norm_is_that_of_the_flow_network_alone(monkeypatch):
    for owner, name in ((GuardedStep, '__init__'), (guarded_step, 'clip_grads_with_norm_')):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    cures.clip_tightly()
    network = torch.nn.ModuleDict({'spynet': torch.nn.Linear(2, 1), 'other': torch.nn.Linear(2, 1)})
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = torch.optim.SGD(network.parameters(), lr=1)
    guard = GuardedStep(optimizer, torch.amp.GradScaler('cpu', enabled=False), network, 1.0, None, 1)
    guard.backward(100 * sum(value.sum() for value in network.parameters()))
    assert guard.step(1)
    moved = {name: (value - before[name]).square().sum().item() for name, value in network.state_dict().items()}
    norms = [sum(square for name, square in moved.items() if part in name) ** 0.5 for part in ('spynet', 'other')]
    assert norms == pytest.approx([0.01, 1.0], rel=1e-3)


def test_changed_warps_gather_otherwise(monkeypatch):
    for name in ('__init__', 'forward'):
        monkeypatch.setattr(implicit_warp.ImplicitWarp, name, getattr(implicit_warp.ImplicitWarp, name))
    frames, flow = torch.rand(1, 6, 7, 8), torch.full((1, 2, 6, 7), 0.25)
    warps.strengthen_positions()
    warp = implicit_warp.ImplicitWarp(8, 2)
    assert warp.position_bias.max() == 4
    warps.warp_bilinearly()
    moved = flow_warp(frames, flow)  # values are linear in frames, and so is the warp
    inside = (slice(None), slice(1, 5), slice(1, 6))
    expected = torch.nn.functional.linear(moved, warp.v.weight, warp.v.bias)
    assert torch.allclose(warp(frames, frames, flow)[inside], expected[inside], atol=1e-6)


def test_an_implicit_warp_can_have_a_rate_of_its_own(monkeypatch):
    class Model:
        def __init__(self):
            self.net_g = torch.nn.Sequential(implicit_warp.ImplicitWarp(8, 2), torch.nn.Linear(3, 3))

        def setup_optimizers(self):
            self.optimizer_g = torch.optim.Adam(self.net_g.parameters(), lr=1e-3)

        def get_bare_model(self, net):
            return net

    monkeypatch.setattr(warps, 'GSMModel', Model)
    warps.speed_up_implicit_warp()
    model = Model()
    model.setup_optimizers()
    rest, warp = model.optimizer_g.param_groups
    assert (rest['lr'], warp['lr']) == (1e-3, 4e-3)
    assert (len(rest['params']), len(warp['params'])) == (2, 6)


def test_missing_clips_are_one_sentence(tmp_path):
    with pytest.raises(UserError, match='has no folder LQ with a folder of frames'):
        clip_names(tmp_path)
    (tmp_path / 'LQ/a').mkdir(parents=True)
    assert clip_names(tmp_path) == ['a']
    with pytest.raises(UserError, match='a has no frames'):
        read_clip(tmp_path, 'a')


def test_the_script_prints_tables_of_files(subject, tmp_path):
    for name, seed in (('a', 1), ('b', 2)):
        clip = clip_of(name, seed, frames=2)
        for kind, frames in (('LQ', clip.lq), ('GT', clip.gt)):
            (tmp_path / kind / name).mkdir(parents=True)
            for i, frame in enumerate(frames[0]):
                image = np.ascontiguousarray((frame.permute(1, 2, 0) * 255).byte().numpy())
                cv2.imwrite(str(tmp_path / kind / name / f'{i}.png'), image)
    torch.save({'params_ema': subject.weights}, tmp_path / 'net.pth')
    options = {'network_g': {'type': 'GSMamba', 'spynet_path': None, **OPTIONS}}
    (tmp_path / 'options.yml').write_text(yaml.safe_dump(options), encoding='utf-8')
    loaded = load_subject(options['network_g'], tmp_path / 'net.pth', torch.device('cpu'))
    assert loaded.options == OPTIONS
    files = ['--opt', tmp_path / 'options.yml', '--weights', tmp_path / 'net.pth', '--clips', tmp_path]
    command = [sys.executable, SCRIPTS / 'study_flow.py', 'worth', *files]
    done = subprocess.run(command, capture_output=True, encoding='utf-8', check=True)
    assert '| a ' in done.stdout
    assert 'no motion' in done.stdout
    command[2:3] = ['saw', '--saw-steps', '1', '--gradient-frames', '2', '--saw-crop', '16', '--out', tmp_path / 'saw']
    saws = []
    for change in ([], ['--warp', 'bilinear-warp']):
        done = subprocess.run([*command, *change], capture_output=True, encoding='utf-8', check=True)
        saws.append(done.stdout)
    assert saws[0].startswith('a: loss ')
    assert saws[0] != saws[1]


@pytest.mark.parametrize(
    'options, sentence',
    [
        ({}, 'network_g:type is None; flows are studied of a GSMamba'),
        ({'network_g': {'type': 'BasicVSR'}}, "network_g:type is 'BasicVSR'; flows are studied of a GSMamba"),
        ({'network_g': {'type': 'GSMamba', **OPTIONS, 'embed_dims': 16}}, r'net\.pth do not fit GSMamba'),
        ({'network_g': {'type': 'GSMamba', **OPTIONS}}, 'has no folder LQ with a folder of frames for each clip'),
    ],
)
def test_a_mistake_of_the_user_is_one_sentence_and_status_2(subject, tmp_path, monkeypatch, capsys, options, sentence):
    torch.save({'params_ema': subject.weights}, tmp_path / 'net.pth')
    (tmp_path / 'options.yml').write_text(yaml.safe_dump(options), encoding='utf-8')
    files = ['--opt', tmp_path / 'options.yml', '--weights', tmp_path / 'net.pth', '--clips', tmp_path]
    monkeypatch.setattr(sys, 'argv', ['study_flow.py', 'worth', *map(str, files)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(SCRIPTS / 'study_flow.py'), run_name='__main__')
    assert ended.value.code == 2
    assert re.fullmatch(f'study_flow: .*{sentence}.*\n', capsys.readouterr().err)
