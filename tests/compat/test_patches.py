"""Every patch does its work, and BasicSR still fails without it."""

import inspect
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

import gsm_plugin  # noqa: F401
from gsm_plugin.compat.distutils_version import LooseVersion

WITHOUT_DISTUTILS = """
import sys
from importlib.machinery import PathFinder

class Python312:
    @staticmethod
    def find_spec(name, path=None, target=None):
        return None if name.split('.')[0] == 'distutils' else PathFinder.find_spec(name, path, target)

sys.meta_path[:] = [Python312 if f is PathFinder else f for f in sys.meta_path if 'istutils' not in type(f).__name__]
"""


def run_python(script):
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path), 'OMP_NUM_THREADS': '1'}
    return subprocess.run([sys.executable, '-c', script], env=environment, capture_output=True, text=True, timeout=120)


def test_basicsr_is_imported_with_the_patches():
    import basicsr.data.degradations

    assert basicsr.data.degradations.rgb_to_grayscale(torch.rand(1, 3, 2, 2)).shape == (1, 1, 2, 2)


def test_basicsr_cannot_be_imported_without_functional_tensor():
    done = run_python('import basicsr')
    assert "No module named 'torchvision.transforms.functional_tensor'" in done.stderr


def test_python_without_distutils_needs_its_stand_in():
    done = run_python(f'{WITHOUT_DISTUTILS}\nfrom distutils.version import LooseVersion')
    assert "No module named 'distutils'" in done.stderr
    done = run_python(f'{WITHOUT_DISTUTILS}\nimport gsm_plugin\nimport distutils.version as v\nv.LooseVersion("1")')
    assert done.returncode == 0, done.stderr


def test_basicsr_still_imports_distutils():
    import inspect

    import basicsr.archs.arch_util

    assert 'from distutils.version import LooseVersion' in inspect.getsource(basicsr.archs.arch_util)


@pytest.mark.parametrize(
    'smaller, larger', [('0.9.0', '0.29.1+cpu'), ('0.8.1', '0.9.0'), ('0.9', '0.9.1a0'), ('1.9', '1.10.0')]
)
def test_versions_compare_by_number(smaller, larger):
    assert LooseVersion(smaller) < LooseVersion(larger)
    assert LooseVersion(larger) >= LooseVersion(smaller)
    assert LooseVersion(larger) == larger
    assert LooseVersion(smaller) != LooseVersion(larger)


def test_jpeg_compression_takes_a_drawn_quality():
    import cv2
    from basicsr.data import degradations

    image = np.random.default_rng(0).random((16, 16, 3), dtype=np.float32)
    assert degradations.random_add_jpg_compression(image).shape == image.shape
    with pytest.raises(cv2.error):
        degradations.add_jpg_compression.__wrapped__(image, 50.5)


class Model:
    """What `BaseModel.model_to_device` looks at."""

    device = torch.device('cpu')

    def __init__(self, **options):
        self.opt = {'dist': True, 'num_gpu': 0, **options}


@pytest.fixture
def one_process_of_gloo(tmp_path):
    torch.distributed.init_process_group('gloo', init_method=f'file://{tmp_path}/store', rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.usefixtures('one_process_of_gloo')
def test_a_network_on_the_cpu_is_distributed():
    from basicsr.models.base_model import BaseModel

    actual = BaseModel.model_to_device(Model(find_unused_parameters=True), torch.nn.Linear(1, 1))
    assert type(actual) is torch.nn.parallel.DistributedDataParallel
    assert actual.find_unused_parameters


@pytest.mark.skipif(torch.cuda.is_available(), reason='fails only where there is no GPU')
@pytest.mark.usefixtures('one_process_of_gloo')
def test_basicsr_itself_cannot_distribute_a_network_on_the_cpu():
    from basicsr.models.base_model import BaseModel

    with pytest.raises((RuntimeError, AssertionError), match=r'NVIDIA|CUDA'):
        BaseModel.model_to_device.__wrapped__(Model(), torch.nn.Linear(1, 1))


def test_a_network_that_is_not_distributed_is_left_to_basicsr():
    from basicsr.models.base_model import BaseModel

    network = torch.nn.Linear(1, 1)
    assert BaseModel.model_to_device(Model(dist=False), network) is network


@pytest.mark.skipif(torch.cuda.is_available(), reason='fails only where there is no GPU')
def test_basicsr_itself_cannot_start_processes_without_a_gpu(monkeypatch):
    from basicsr.utils import dist_util

    monkeypatch.setenv('RANK', '0')
    with pytest.raises(ZeroDivisionError):
        dist_util.init_dist.__wrapped__('pytorch')


@pytest.mark.skipif(torch.cuda.is_available(), reason='the patch is for machines without GPU')
@pytest.mark.usefixtures('no_launcher')
def test_slurm_starts_gloo_without_a_gpu(monkeypatch, capsys):
    from basicsr.utils import dist_util

    for name, value in (('SLURM_PROCID', '0'), ('SLURM_NTASKS', '1'), ('SLURM_NODELIST', 'localhost,node[2-3]')):
        monkeypatch.setenv(name, value)
    dist_util.init_dist('slurm', port=29511)
    try:
        assert torch.distributed.get_backend() == 'gloo'
        assert os.environ['MASTER_PORT'] == '29511'
    finally:
        torch.distributed.destroy_process_group()
    assert 'over gloo' in capsys.readouterr().out


class Clips:
    """A validation set of two clips."""

    opt: dict

    def __init__(self, *folders):
        self.opt = {'name': 'clips'}
        self.data_info = {'folder': [folder for folder in folders for _ in range(2)]}
        self.folders = folders

    def __len__(self):
        return len(self.folders)

    def __getitem__(self, index):
        return {'lq': torch.rand(2, 3, 4, 4), 'gt': torch.rand(2, 3, 4, 4), 'folder': self.folders[index]}


class Loader:
    def __init__(self, dataset):
        self.dataset = dataset


@pytest.fixture
def recurrent_model():
    from basicsr.models.video_recurrent_model import VideoRecurrentModel

    model = VideoRecurrentModel.__new__(VideoRecurrentModel)
    model.device = torch.device('cpu')
    metric = {'type': 'calculate_psnr', 'crop_border': 0}
    model.opt = {'val': {'metrics': {'psnr': metric}}, 'is_train': False, 'dist': False, 'name': 'x', 'rank': 0}
    model.net_g = torch.nn.Identity()
    return model


def test_validation_runs_on_the_cpu_and_on_a_second_set(recurrent_model):
    recurrent_model.dist_validation(Loader(Clips('a', 'b')), 1, None, False)
    recurrent_model.dist_validation(Loader(Clips('c')), 1, None, False)
    assert list(recurrent_model.metric_results) == ['c']
    assert float(recurrent_model.metric_results['c'].min()) > 0


@pytest.mark.skipif(torch.cuda.is_available(), reason='fails only where there is no GPU')
def test_basicsr_itself_validates_on_cuda_only(recurrent_model):
    with pytest.raises((RuntimeError, AssertionError), match=r'NVIDIA|CUDA'):
        type(recurrent_model).dist_validation.__wrapped__(recurrent_model, Loader(Clips('a')), 1, None, False)


def test_basicsr_itself_keeps_the_table_of_the_first_set(recurrent_model):
    recurrent_model.dist_validation(Loader(Clips('a')), 1, None, False)
    with pytest.raises(KeyError, match='b'):
        type(recurrent_model).dist_validation.__wrapped__(recurrent_model, Loader(Clips('b')), 1, None, False)


def test_what_a_model_was_fed_keeps_its_shape(recurrent_model):
    item = {'lq': torch.rand(1, 2, 3, 4, 4), 'gt': torch.rand(1, 2, 3, 4, 4)}
    feed = type(recurrent_model).feed_data
    feed(recurrent_model, item)
    item['lq'].squeeze_(0)
    item['gt'].squeeze_(0)
    assert recurrent_model.lq.shape == recurrent_model.gt.shape == (1, 2, 3, 4, 4)
    item = {'lq': torch.rand(1, 2, 3, 4, 4)}
    inspect.unwrap(feed)(recurrent_model, item)
    item['lq'].squeeze_(0)
    assert recurrent_model.lq.shape == (2, 3, 4, 4)


@pytest.fixture
def resumable(tmp_path):
    folders = {key: str(tmp_path / key) for key in ('models', 'training_states', 'log', 'visualization')}
    (tmp_path / 'training_states').mkdir()
    state = {'iter': 9, 'epoch': 1, 'optimizers': [], 'schedulers': []}
    for name in ('9', '10', 'latest'):
        torch.save(
            {**state, 'iter': int(name) if name.isdigit() else 0}, tmp_path / 'training_states' / f'{name}.state'
        )
    return {'auto_resume': True, 'name': 'x', 'path': {**folders, 'resume_state': None}}


def test_the_newest_state_below_the_root_is_resumed_on_the_cpu(resumable, tmp_path):
    import basicsr.train

    assert basicsr.train.load_resume_state(resumable)['iter'] == 10
    assert (tmp_path / 'models').is_dir()


def test_without_a_state_the_named_one_is_resumed(resumable, tmp_path):
    import basicsr.train

    named = (tmp_path / 'training_states' / '9.state').rename(tmp_path / 'named.state')
    resumable['path']['resume_state'] = str(named)
    assert basicsr.train.load_resume_state(resumable)['iter'] == 10
    (tmp_path / 'training_states' / '10.state').unlink()
    resumable['path']['resume_state'] = str(named)
    assert basicsr.train.load_resume_state(resumable)['iter'] == 9


def test_basicsr_itself_looks_in_the_working_directory(resumable, tmp_path, monkeypatch):
    import basicsr.train

    monkeypatch.chdir(tmp_path)
    assert basicsr.train.load_resume_state.__wrapped__(resumable) is None


@pytest.mark.skipif(torch.cuda.is_available(), reason='fails only where there is no GPU')
def test_basicsr_itself_resumes_on_cuda_only(resumable, tmp_path):
    import basicsr.train

    resumable |= {'auto_resume': False}
    resumable['path']['resume_state'] = str(tmp_path / 'training_states' / '9.state')
    with pytest.raises((RuntimeError, AssertionError), match=r'NVIDIA|CUDA'):
        basicsr.train.load_resume_state.__wrapped__(resumable)


def test_the_state_of_a_real_scheduler_is_read_without_executing_anything(resumable, tmp_path):
    import basicsr.train
    from basicsr.models.lr_scheduler import MultiStepRestartLR

    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])
    schedulers = [MultiStepRestartLR(optimizer, milestones=[3]).state_dict()]
    state = {'iter': 11, 'epoch': 0, 'optimizers': [optimizer.state_dict()], 'schedulers': schedulers}
    torch.save(state, tmp_path / 'training_states' / '11.state')
    assert basicsr.train.load_resume_state(resumable)['schedulers'][0]['milestones'] == {3: 1}
