import pytest
import torch

from gsm_plugin.ops._common import requirements
from gsm_plugin.ops._common.requirements import needs_mamba_ssm, needs_numba, needs_triton

CPU, CUDA = torch.device('cpu'), torch.device('cuda')
CAPABILITIES = {0: (9, 0), 1: (7, 5)}


@pytest.fixture(autouse=True)
def _asked_for_the_first_time():
    for function in (requirements._why_no_triton, needs_numba):
        function.cache_clear()
    yield
    for function in (requirements._why_no_triton, needs_numba):
        function.cache_clear()


@pytest.fixture
def two_cards(monkeypatch):
    """A machine with Triton, a new card and an old one, of which the old one is the current device."""
    monkeypatch.setattr(requirements, '_is_installed', lambda module: True)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'current_device', lambda: 1)
    monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda device: CAPABILITIES[device.index])


@pytest.mark.usefixtures('two_cards')
def test_each_card_of_a_machine_is_asked_for_itself():
    for _ in range(2):
        assert needs_triton(torch.device('cuda', 0)) is None
        for old in (torch.device('cuda', 1), CUDA):
            assert needs_triton(old) == 'the GPU has compute capability 7.5, its kernels need 8.0'


def installed(monkeypatch, *modules):
    monkeypatch.setattr(requirements, '_is_installed', lambda module: module in modules)


def test_tritons_kernels_say_what_they_lack(monkeypatch):
    assert needs_triton(CPU) == 'its kernels run on CUDA devices, not on cpu'
    installed(monkeypatch)
    assert needs_triton(CUDA) == 'triton is not installed'
    requirements._why_no_triton.cache_clear()
    installed(monkeypatch, 'triton')
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    assert needs_triton(CUDA) == 'PyTorch finds no CUDA device'


def test_numbas_kernels_say_what_they_lack(monkeypatch):
    assert needs_numba(CUDA) == 'its kernels run on a CPU, not on cuda'
    installed(monkeypatch)
    assert needs_numba(CPU) == 'numba is not installed (pip install numba)'
    needs_numba.cache_clear()
    installed(monkeypatch, 'numba')
    assert needs_numba(CPU) is None


def test_mamba_ssm_says_what_it_lacks(monkeypatch):
    assert needs_mamba_ssm(CPU) == 'mamba-ssm runs on CUDA devices, not on cpu'
    installed(monkeypatch)
    assert needs_mamba_ssm(CUDA) == 'mamba-ssm is not installed'
    installed(monkeypatch, 'mamba_ssm')
    assert needs_mamba_ssm(CUDA) == 'mamba-ssm is installed without its CUDA extension'
    installed(monkeypatch, 'mamba_ssm', 'selective_scan_cuda')
    monkeypatch.setattr(torch, 'are_deterministic_algorithms_enabled', lambda: True)
    assert 'deterministic algorithms are asked for' in needs_mamba_ssm(CUDA)
