"""Networks, data sets, losses, metrics and models of one's own, by the command and by a train.py."""

import json
import os
import signal
import subprocess
import sys
import time
from copy import deepcopy

import pytest
import torch

from gsm_plugin.inference.video.opening import learn
from tests import tiny_project
from tests.inference.video.films import make_film, scene

FILES = {
    'archs/__init__.py': 'from archs import my_arch',
    'archs/my_arch.py': tiny_project.NETWORK_SOURCE.replace('TinyVideoNet', 'MyNet'),
    'data/__init__.py': 'from data import my_dataset',
    'data/my_dataset.py': """
import torch
from basicsr.utils.registry import DATASET_REGISTRY
from torch.utils import data


@DATASET_REGISTRY.register()
class MyNoise(data.Dataset):
    def __init__(self, opt):
        self.opt = opt

    def __getitem__(self, index):
        noise = torch.Generator().manual_seed(index)
        lq = torch.rand(3, self.opt['side'], self.opt['side'], generator=noise)
        return {'lq': lq, 'gt': lq.repeat_interleave(2, 1).repeat_interleave(2, 2), 'lq_path': f'{index}.png'}

    def __len__(self):
        return 6
""",
    'models/__init__.py': """
from basicsr.models.sr_model import SRModel
from basicsr.utils.registry import LOSS_REGISTRY, METRIC_REGISTRY, MODEL_REGISTRY
from torch import nn


@LOSS_REGISTRY.register()
class MyLoss(nn.Module):
    def __init__(self, loss_weight=1.0):
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, pred, target, **_):
        return self.loss_weight * (pred - target).abs().mean()


@METRIC_REGISTRY.register()
def my_error(img, img2, **_):
    return abs(img.astype(float) - img2.astype(float)).mean()


@MODEL_REGISTRY.register()
class MyModel(SRModel):
    def feed_data(self, data):
        super().feed_data({**data, 'lq': data['lq'][:, None], 'gt': data['gt'][:, None]})

    def get_current_visuals(self):
        return {name: image[:, 0] for name, image in super().get_current_visuals().items()}
""",
}
FLAGS = ('--import', 'archs,data', 'models')
SCRIPT = """
import gsm_plugin

import archs, data, models

if __name__ == '__main__':
    gsm_plugin.train_pipeline()
"""


def options(**train):
    made = deepcopy(tiny_project.OPTIONS)
    made |= {'model_type': 'MyModel', 'network_g': {'type': 'MyNet', 'width': 2}}
    made['datasets'] = {
        'train': {'name': 'n', 'type': 'MyNoise', 'side': 8, 'num_worker_per_gpu': 1, 'batch_size_per_gpu': 2},
        'val': {'name': 'v', 'type': 'MyNoise', 'side': 5},
    }
    made['train']['pixel_opt'] = {'type': 'MyLoss', 'loss_weight': 0.5}
    made['train'] |= {'total_iter': 4, 'ema_decay': 0.5, **train}
    made['val'] = {'val_freq': 2, 'save_img': False, 'metrics': {'error': {'type': 'my_error', 'better': 'lower'}}}
    made['logger'] |= {'save_checkpoint_freq': 2, 'save_best': 'error'}
    return made


@pytest.fixture
def project(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / 'train.py').write_text(SCRIPT)
    tiny_project.write_options(tmp_path / 'options.yml', options())
    return tmp_path


def start(project, *command):
    paths = os.pathsep.join(sys.path)
    environment = {**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': paths, 'PYTHONSAFEPATH': ''}
    command = [sys.executable, *command, '-opt', 'options.yml']
    return subprocess.Popen(
        command, cwd=project, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def end(process, status=0):
    output = process.communicate(timeout=200)[0]
    assert process.returncode == status, output
    return output


def validations(project):
    lines = (project / 'experiments/tiny/train.jsonl').read_text().splitlines()
    return [record for record in map(json.loads, lines) if record['kind'] == 'validation']


def weights(project, name='latest'):
    return torch.load(project / f'experiments/tiny/models/net_g_{name}.pth', weights_only=True)['params']


def test_the_command_trains_tests_and_resumes_them(project):
    command = ('-m', 'gsm_plugin', 'train', *FLAGS)
    tiny_project.write_options(project / 'options.yml', options(total_iter=2))
    end(start(project, *command))
    tiny_project.write_options(project / 'options.yml', options())
    output = end(start(project, *command, '--auto_resume'))
    assert 'iter: 2.' in output
    assert [record['iter'] for record in validations(project)] == [2, 4]
    assert all(record['error'] > 0 for record in validations(project))
    assert (project / 'experiments/tiny/models/net_g_best.pth').exists()


def test_without_the_flag_the_sentence_names_what_is_not_known(project):
    output = end(start(project, '-m', 'gsm_plugin', 'train'), status=2)
    assert "model_type: no model is called 'MyModel'" in output
    assert '--import' in output


def test_a_script_that_imports_its_own_first_stops_and_resumes_exactly(project):
    tiny_project.write_options(project / 'options.yml', options(total_iter=10**6, max_hours=1))
    process = start(project, 'train.py')
    log, deadline = project / 'experiments/tiny/train.jsonl', time.monotonic() + 150
    while not (log.exists() and '"iter": 4' in log.read_text()) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    output = end(process, status=130)
    assert 'Traceback' not in output
    assert 'go on by --auto_resume.' in output
    done = validations(project)[-1]['iter']
    tiny_project.write_options(project / 'options.yml', options(total_iter=done + 4))
    output = end(start(project, 'train.py', '--auto_resume'))
    assert 'Resuming training from' in output
    assert validations(project)[-1]['iter'] == done + 4
    assert weights(project)['body.0.weight'].isfinite().all()


TWICE = """
import torch

from basicsr.utils.registry import ARCH_REGISTRY


@ARCH_REGISTRY.register()
class Twice(torch.nn.Module):
    scale = 2

    def __init__(self):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.ones(1))

    def forward(self, clip):
        return self.gain * clip.repeat_interleave(2, -1).repeat_interleave(2, -2)
"""


def test_a_network_of_ones_own_enlarges_films(tmp_path):
    told = {'network_g': '{"type": "Twice"}'}
    torch.save({'params': {'gain': torch.ones(1)}, 'metadata': told}, tmp_path / 'twice.pth')
    make_film(tmp_path / 'in.mp4', scene(3), codec='libx264')
    (tmp_path / 'twice.py').write_text(f'import helper\n{TWICE}')
    command = [sys.executable, '-m', 'gsm_plugin', 'infer', '--import', 'twice', '--device', 'cpu']
    command += ['-i', 'in.mp4', '-w', 'twice.pth', '--report', 'report.json']
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)}
    codes = []
    for factor, target in ((2, ['out.mp4']), (2, ['other.mp4', '--dry-run']), (3, ['other.mp4', '--dry-run'])):
        (tmp_path / 'helper.py').write_text(f'FACTOR = {factor}')
        done = subprocess.run(
            [*command, '-o', *target], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200
        )
        assert done.returncode == 0, done.stdout + done.stderr
        codes.append(json.loads((tmp_path / 'report.json').read_text())['runs'][0]['settings']['imported code'])
    # a run that was interrupted goes on with the same code alone
    assert codes[0] == codes[1] != codes[2]
    facts = learn(tmp_path / 'out.mp4')
    assert (facts.height, facts.width) == (96, 128)
