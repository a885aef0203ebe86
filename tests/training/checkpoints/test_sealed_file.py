import errno
import os
import pickle
from pathlib import Path

import pytest
import torch

from gsm_plugin.training.checkpoints import sealed_file
from gsm_plugin.training.checkpoints.sealed_file import SEALED_KEY, DamagedFile, read_sealed, write_sealed

CONTENT = {SEALED_KEY: 'test', 'iter': 3, 'weights': {'a': torch.arange(5.0)}, 'lrs': [0.1, None], 'name': 'x'}


@pytest.fixture
def file(tmp_path) -> Path:
    write_sealed(tmp_path / '3.state', CONTENT)
    return tmp_path / '3.state'


def same(actual):
    return str(actual) == str(CONTENT)


def test_what_was_written_is_read(file):
    assert same(read_sealed(file))
    assert os.listdir(file.parent) == ['3.state']


def test_everyone_else_reads_it_too(file):
    assert same(torch.load(file, weights_only=True))
    assert same(torch.load(str(file), weights_only=True, mmap=True))


def test_basicsr_reads_networks_written_so(tmp_path):
    from basicsr.models.base_model import BaseModel

    network, other = torch.nn.Linear(2, 3), torch.nn.Linear(2, 3)
    write_sealed(tmp_path / 'net.pth', {'params': network.state_dict(), 'params_ema': network.state_dict()})
    model = BaseModel({'num_gpu': 0, 'is_train': False})
    model.load_network(other, str(tmp_path / 'net.pth'), param_key='params_ema')
    assert torch.equal(other.weight, network.weight)


def test_a_file_without_checksum_is_read(tmp_path):
    torch.save({'params': 1}, tmp_path / 'old.pth')
    assert read_sealed(tmp_path / 'old.pth') == {'params': 1}


def places(content):
    """Among them each one of the header, and of the end with its index and checksum."""
    return [*range(60), *range(60, len(content) - 120, 11), *range(len(content) - 120, len(content))]


def test_a_file_cut_off_anywhere_is_recognised(file):
    whole = file.read_bytes()
    for length in places(whole):
        file.write_bytes(whole[:length])
        with pytest.raises(DamagedFile, match=r'it is (empty|cut off|damaged)|its checksum is gone'):
            read_sealed(file)


def test_a_flipped_bit_anywhere_is_recognised(file):
    whole = bytearray(file.read_bytes())
    for place in places(whole):
        bit = 1 << place % 8
        whole[place] ^= bit
        file.write_bytes(whole)
        whole[place] ^= bit
        with pytest.raises(DamagedFile, match=r'it is damaged|its checksum is gone'):
            read_sealed(file)


def test_bytes_added_at_the_end_are_recognised(file):
    file.write_bytes(file.read_bytes() + b'\0')
    with pytest.raises(DamagedFile):
        read_sealed(file)


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize('write', [write_sealed, lambda path, content: torch.save(content, path)])
def test_code_in_a_file_is_refused_and_not_run(tmp_path, write):
    victim = tmp_path / 'made_by_code'
    write(tmp_path / '1.state', {'iter': 1, 'bomb': Bomb(str(victim))})
    with pytest.raises(DamagedFile, match='could run code'):
        read_sealed(tmp_path / '1.state')
    assert not victim.exists()


def test_a_bare_pickle_is_refused_and_not_run(tmp_path):
    victim = tmp_path / 'made_by_code'
    (tmp_path / '1.state').write_bytes(pickle.dumps(Bomb(str(victim))))
    with pytest.raises(DamagedFile, match='could run code'):
        read_sealed(tmp_path / '1.state')
    assert not victim.exists()


@pytest.mark.parametrize('step', ['fsync', 'replace'])
def test_a_full_disk_leaves_the_old_file(file, monkeypatch, step):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(sealed_file.os, step, full)
    with pytest.raises(OSError, match='No space left on device'):
        write_sealed(file, {'iter': 4})
    assert same(read_sealed(file))
    assert os.listdir(file.parent) == ['3.state']


@pytest.mark.parametrize('step', ['fsync', 'replace'])
def test_a_death_in_the_middle_leaves_the_old_file(file, monkeypatch, step):
    def die(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(sealed_file.os, step, die)
    with pytest.raises(KeyboardInterrupt):
        write_sealed(file, {'iter': 4})
    assert same(read_sealed(file))


def test_a_file_is_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    steps = []
    for step in ('fsync', 'replace'):
        original = getattr(os, step)
        monkeypatch.setattr(sealed_file.os, step, lambda *a, s=step, f=original: steps.append(s) or f(*a))
    write_sealed(tmp_path / '3.state', CONTENT)
    assert steps == ['fsync', 'replace', 'fsync']
