"""Importing the plugin costs nothing that is not used."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ('basicsr', 'cv2', 'triton', 'numba')


def modules_after(statement):
    script = f'{statement}\nimport sys\nprint(*sys.modules)'
    environment = {**os.environ, 'PYTHONPATH': str(Path(__file__).parents[1]), 'OMP_NUM_THREADS': '1'}
    done = subprocess.run([sys.executable, '-c', script], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize('statement', ['import gsm_plugin', 'import gsm_plugin.compat', 'import gsm_plugin.cli.main'])
def test_the_package_itself_pulls_nothing_heavy(statement):
    assert not modules_after(statement) & {*HEAVY, 'torch', 'numpy', 'yaml'}


def test_little_is_imported_before_anybody_answers_ctrl_c():
    added = modules_after('import gsm_plugin.__main__') - modules_after('')
    assert not added & {'importlib.abc', 'importlib.util', 'logging', 'pathlib', 're', 'subprocess', 'typing'}


def test_the_ops_pull_pytorch_alone():
    modules = modules_after('import gsm_plugin.ops')
    assert 'torch' in modules
    assert not modules & set(HEAVY)


def test_the_restorer_pulls_no_basicsr_before_it_loads():
    modules = modules_after('from gsm_plugin import Restorer')
    assert 'torch' in modules
    assert not modules & set(HEAVY)


def test_a_network_is_loaded_from_safetensors_and_runs_without_basicsr_and_opencv(tmp_path):
    modules = modules_after(
        'import torch\n'
        'from safetensors.torch import save_file\n'
        'from gsm_plugin import GSMamba, Restorer\n'
        'network = GSMamba(upscale=2, prop_depth=2, attn_depth=1, embed_dims=8, num_heads=2)\n'
        f'save_file(network.state_dict(), {str(tmp_path / "gsm.safetensors")!r})\n'
        f'restorer = Restorer.load({str(tmp_path / "gsm.safetensors")!r}, device="cpu")\n'
        'assert restorer(torch.rand(2, 3, 6, 6)).shape == (2, 3, 12, 12)'
    )
    assert 'safetensors' in modules
    assert not modules & {'basicsr', 'cv2'}


def test_what_packages_offer_is_there():
    modules_after(
        'import gsm_plugin\n'
        'from gsm_plugin import archs, layers, ops\n'
        'for package in (gsm_plugin, archs, layers):\n'
        '    assert all(getattr(package, name) is not None for name in dir(package))\n'
        'assert gsm_plugin.GSMamba is archs.GSMamba and gsm_plugin.BiMamba is layers.BiMamba\n'
        'assert gsm_plugin.GatherScatterBlock is layers.GatherScatterBlock\n'
        'for name in ("bidirectional_scan", "flow_warp", "selective_scan"):\n'
        '    assert getattr(gsm_plugin, name) is getattr(ops, name)'
    )
