"""One reader for every layout; and what is no file of weights is named for what it is."""

import argparse
import collections
import datetime
import io
import json
import os
import pathlib
import pickle
import re
import tarfile
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from gsm_plugin.errors import UserError
from gsm_plugin.weights.reader import TOP_LEVEL, read_weights

WEIGHTS = {'a.weight': torch.arange(6.0).reshape(2, 3), 'a.bias': torch.tensor([1, 2], dtype=torch.int64)}
OTHERS = {name: value + 1 for name, value in WEIGHTS.items()}


def saved(content, tmp_path, **how):
    path = tmp_path / 'file.pth'
    torch.save(content, path, **how)
    return path


def written(content, tmp_path, name='file.pth'):
    (tmp_path / name).write_bytes(content)
    return tmp_path / name


def assert_same(actual, expected):
    torch.testing.assert_close(actual, expected, atol=0, rtol=0)


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
def test_safetensors_are_read_with_what_they_say_about_themselves(tmp_path, dtype):
    weights = {**WEIGHTS, 'half': torch.randn(3).to(dtype), 'none': torch.zeros(0, 4)}
    save_file(weights, tmp_path / 'w.safetensors', metadata={'scale': '4', 'network': '{"type": "GSMamba"}'})
    read = read_weights(tmp_path / 'w.safetensors', 'params_ema')
    assert_same(read.tensors, weights)
    assert read.metadata == {'scale': '4', 'network': '{"type": "GSMamba"}'}
    assert (read.taken, read.notes) == (TOP_LEVEL, ())


def test_safetensors_are_known_by_their_content_not_by_their_name(tmp_path):
    save_file(WEIGHTS, tmp_path / 'w.pth')
    read = read_weights(tmp_path / 'w.pth')
    assert_same(read.tensors, WEIGHTS)
    assert read.metadata == {}


@pytest.mark.parametrize('cut', [4, 60])
def test_safetensors_that_are_cut_off_are_one_sentence(tmp_path, cut):
    save_file(WEIGHTS, tmp_path / 'w.safetensors')
    path = written((tmp_path / 'w.safetensors').read_bytes()[:-cut], tmp_path)
    with pytest.raises(UserError, match=r'is a safetensors file that is cut off or damaged .*; get it again, whole\.'):
        read_weights(path)


@pytest.mark.parametrize('key', ['params', 'params_ema', None])
@pytest.mark.parametrize('place', ['model_state_dict', 'weights_of_mine', 'net_g'])
def test_the_only_weights_of_a_file_are_taken_wherever_they_are_with_a_note(tmp_path, place, key):
    content = {'epoch': 3, place: WEIGHTS, 'optimizer': {'state': {0: {'exp_avg': torch.ones(2)}}, 'param_groups': []}}
    read = read_weights(saved(content, tmp_path), key)
    assert_same(read.tensors, WEIGHTS)
    assert read.taken == place
    assert f'so those of {place} are taken' in read.notes[0]


def test_weights_inside_another_dictionary_are_found_and_can_be_asked_for(tmp_path):
    path = saved({'ema': {'model': OTHERS}, 'now': {'model': WEIGHTS, 'step': 3}}, tmp_path)
    assert_same(read_weights(path, 'now:model').tensors, WEIGHTS)
    assert_same(read_weights(path, 'ema:model').tensors, OTHERS)
    with pytest.raises(UserError, match='weights under ema:model, now:model; set path: param_key_g to one of them'):
        read_weights(path)


def test_what_is_no_tensor_is_left_and_told(tmp_path):
    read = read_weights(saved({**WEIGHTS, 'version': 3, 'name': 'mine'}, tmp_path))
    assert_same(read.tensors, WEIGHTS)
    assert read.notes[-1] == 'Of top level, 2 that are no tensors are left: version, name.'


def test_a_file_in_the_format_before_1_6_is_read(tmp_path):
    path = saved({'params': WEIGHTS}, tmp_path, _use_new_zipfile_serialization=False)
    assert_same(read_weights(path).tensors, WEIGHTS)


class Settings:
    def __init__(self, **values):
        vars(self).update(values)


class Named(dict):
    pass


class Runs:
    """Runs a program when it is unpickled."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


OBJECTS = {
    'settings of Lightning': (argparse.Namespace(lr=1, sub=argparse.Namespace(a=[1])), 'argparse.Namespace'),
    'an object of a class': (Settings(a=1, b={'c': (2, 3)}), 'Settings'),
    'a number of NumPy': (np.float64(3.5), 'scalar'),
    'a date': (datetime.datetime(2026, 1, 2), 'datetime.datetime'),
    'a program': (Runs(eval, '1 / 0'), 'eval'),
    'a dictionary of another class': (collections.defaultdict(list, {'a': [1]}), 'collections.defaultdict'),
    'a dictionary of a class': (Named(a=1, b=argparse.Namespace(c=2)), 'Named'),
}


@pytest.mark.parametrize('kind', OBJECTS)
def test_objects_beside_the_tensors_are_left_out_unread(tmp_path, kind):
    value, name = OBJECTS[kind]
    read = read_weights(saved({'hyper_parameters': value, 'state_dict': WEIGHTS, 'rest': [value]}, tmp_path))
    assert_same(read.tensors, WEIGHTS)
    assert f'{name}' in read.notes[-1]
    assert 'Python objects beside its tensors' in read.notes[-1]


def test_objects_are_not_taken_for_weights_of_another_file(tmp_path):
    read_weights(saved({'hyper_parameters': argparse.Namespace(lr=1), 'state_dict': WEIGHTS}, tmp_path))
    loaded = torch.load(saved([1], tmp_path), weights_only=True)
    assert loaded == [1]
    with pytest.raises(pickle.UnpicklingError, match='Namespace was not an allowed global'):
        torch.load(saved(argparse.Namespace(lr=1), tmp_path), weights_only=True)


@pytest.mark.parametrize(
    'content, sentence',
    [
        (Runs(os.system, 'touch harmed'), r'holds Python objects \((posix|nt)\.system\), which are not loaded'),
        (Runs(open, 'harmed', 'w'), r'is a Python object \((_io|io)\.open\)'),
        ({'params': {'a': Runs(open, 'harmed', 'w')}}, 'and Python objects'),
    ],
)
def test_no_program_in_a_file_runs(tmp_path, monkeypatch, content, sentence):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=sentence):
        read_weights(saved(content, tmp_path))
    assert not (tmp_path / 'harmed').exists()


def test_a_whole_network_is_named_with_the_way_to_its_weights(tmp_path):
    with pytest.raises(UserError, match=r'Python object.*torch\.nn\.modules\.linear\.Linear.*save its state_dict\(\)'):
        read_weights(saved(torch.nn.Linear(2, 2), tmp_path))


def test_an_old_file_with_objects_says_how_to_take_its_tensors_out(tmp_path):
    content = {'state_dict': WEIGHTS, 'settings': argparse.Namespace(lr=1)}
    path = saved(content, tmp_path, _use_new_zipfile_serialization=False)
    with pytest.raises(
        UserError, match=r'holds Python objects, which are not loaded.*take its tensors out: torch\.save'
    ):
        read_weights(path)


def optimizer_state():
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.ones(2))])
    optimizer.param_groups[0]['params'][0].grad = torch.ones(2)
    optimizer.step()
    return optimizer.state_dict()


def test_what_no_network_can_take_is_named(tmp_path):
    with pytest.raises(UserError, match=r'without values \(a\.weight is on the device meta\)'):
        read_weights(saved({name: value.to('meta') for name, value in WEIGHTS.items()}, tmp_path))
    quantised = torch.quantize_per_tensor(WEIGHTS['a.weight'], 0.1, 0, torch.qint8)
    with pytest.raises(UserError, match=r'holds quantised weights \(a\.weight\)'):
        read_weights(saved({'params': {'a.weight': quantised}}, tmp_path))


def test_sparse_weights_are_read_as_dense_ones(tmp_path):
    read = read_weights(saved({'params': {**WEIGHTS, 'a.weight': WEIGHTS['a.weight'].to_sparse()}}, tmp_path))
    assert_same(read.tensors, WEIGHTS)


def test_a_file_that_may_not_be_read_is_one_sentence(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, 'Permission denied')

    path = saved(WEIGHTS, tmp_path)
    monkeypatch.setattr(pathlib.Path, 'open', refuse)
    with pytest.raises(UserError, match=r'file\.pth cannot be read \(Permission denied\); correct its permissions'):
        read_weights(path)


STATES = {
    'an optimiser': (optimizer_state, 'is the state of an optimiser, not weights'),
    'BasicSR': (lambda: {'epoch': 1, 'iter': 2, 'optimizers': [], 'schedulers': []}, 'is a training state'),
    'our training': (
        lambda: {'iter': 2, 'optimizers': [optimizer_state()], 'schedulers': [], 'random': {'cpu': torch.ones(3)}},
        'is a training state, which path: resume_state takes, not weights; give a file',
    ),
    'one tensor': (lambda: torch.ones(3), 'is a single tensor without a name'),
}


@pytest.mark.parametrize('state', STATES)
def test_states_are_named(tmp_path, state):
    make, sentence = STATES[state]
    with pytest.raises(UserError, match=sentence):
        read_weights(saved(make(), tmp_path))


def of_zip(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w') as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def of_torch(**how):
    file = io.BytesIO()
    torch.save({'params': {'a': torch.randn(5000)}}, file, **how)
    return file.getvalue()


def of_torchscript():
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), file)
    return file.getvalue()


def of_tar():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode='w') as archive:
        archive.addfile(tarfile.TarInfo('net.pth'))
    return file.getvalue()


def of_numpy():
    file = io.BytesIO()
    np.savez(file, a=np.ones(2))
    return file.getvalue()


INDEX = {'metadata': {}, 'weight_map': {'a.weight': 'model-00001-of-00002.safetensors'}}
POINTER = b'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 5770000\n'
ONNX = b'\x08\x07\x12\x07pytorch\x1a\x052.1.0:\xd3\x02\n\x1b\n\x05input\x12\x06/Relu'
FILES = {
    'a Git LFS pointer': (POINTER, r'a pointer of Git LFS.*git lfs pull\.'),
    'a pointer with a mark': (b'\xef\xbb\xbf' + POINTER, r'a pointer of Git LFS'),
    'an index': (json.dumps(INDEX).encode(), 'the index of weights in several files; join those'),
    'arrays': (of_numpy(), 'a collection of arrays of NumPy'),
    'an exported program': (
        of_zip(**{'e/archive_format': b'pt2', 'e/models/model.json': b'{}'}),
        r'torch\.export saved',
    ),
    'a web page': (b'\n<!DOCTYPE html>\n<html><title>Sign in</title>', r'a web page.*in a browser'),
    'a page in capitals': ('\ufeff<HTML><BODY>Quota exceeded'.encode(), 'a web page'),
    'an answer of a store': (b'<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>', 'a text in XML'),
    'JSON': (json.dumps({'message': 'Not Found'}).encode(), r"a text \(JSON, which begins with '{.message."),
    'words': (b'Not Found\n', r"a text \(words, which begins with 'Not Found'\)"),
    'words of another tongue': ('nicht gefunden: Gewichte für ×4 '.encode() * 300, r'a text \(words'),
    'words in UTF-16': ('Not Found'.encode('utf-16'), 'a text in UTF-16'),
    'nothing': (b'', r'is empty; get it again'),
    'ONNX': (ONNX, 'a network in ONNX; give the file of weights that it was exported from'),
    'TorchScript': (of_torchscript(), r'a program of TorchScript; .*torch\.jit\.load'),
    'a ZIP archive': (of_zip(**{'net_g.pth': b'x', 'readme.txt': b'y'}), r'a ZIP archive .*\(net_g\.pth and others\)'),
    'a cut file': (of_torch()[:-100], r'is cut off: .* after [\d,]+ bytes; get it again'),
    'a cut old file': (of_torch(_use_new_zipfile_serialization=False)[:-100], 'is cut off or damaged'),
    'half a file': (of_torch()[:2000], r'is cut off'),
    'a tar archive': (of_tar(), 'a tar archive; unpack it'),
    'a gzip archive': (b'\x1f\x8b\x08\x00rest', 'a gzip archive; unpack it'),
    'an array': (b'\x93NUMPY\x01\x00rest', 'an array of NumPy'),
    'a network of Keras': (b'\x89HDF\r\n\x1a\nrest', 'an HDF5 file'),
    'a pickle': (pickle.dumps({'a': [1, 2]}, protocol=4), 'a Python pickle that torch.save did not write'),
    'an image': (b'\x89PNG\r\n\x1a\nrest', 'a PNG image'),
    'a film': (bytes(4) + b'ftypmp42', 'a film; give a file of weights'),
    'something else': (bytes(range(200, 256)), r'of no kind that is known \(it begins with c8 c9'),
}


@pytest.mark.parametrize('kind', FILES)
def test_what_is_no_file_of_weights_is_named_for_what_it_is(tmp_path, kind):
    content, sentence = FILES[kind]
    path = written(content, tmp_path)
    with pytest.raises(UserError, match=sentence) as error:
        read_weights(path)
    assert str(error.value).startswith(f'{path} is ')
    assert str(error.value).endswith('.')


def test_a_folder_is_named_with_a_file_in_it(tmp_path):
    saved(WEIGHTS, tmp_path)
    with pytest.raises(UserError, match=r'is a folder; name a file in it, such as file\.pth\.'):
        read_weights(tmp_path)


@pytest.mark.parametrize('seed', range(20))
def test_damage_anywhere_is_one_sentence_or_changes_nothing(tmp_path, seed):
    generator = np.random.default_rng(seed)
    whole = of_torch()
    content = bytearray(whole)
    for place in generator.integers(0, len(content), 1 + seed % 5):
        content[place] ^= 1 << generator.integers(8)
    try:
        actual = read_weights(written(bytes(content), tmp_path)).tensors
    except UserError as error:
        assert re.search(r'file\.pth is .*damaged|file\.pth has no weights', str(error))  # noqa: PT017
    else:
        assert_same(actual, read_weights(written(whole, tmp_path)).tensors)


def test_a_flipped_bit_among_the_numbers_is_found(tmp_path):
    content = bytearray(of_torch())
    content[len(content) // 2] ^= 4
    with pytest.raises(UserError, match=r'is damaged \(Bad CRC-32 .*; get it again, whole\.'):
        read_weights(written(bytes(content), tmp_path))


def test_a_file_without_checksums_is_read(tmp_path):
    torch.serialization.set_crc32_options(False)
    try:
        path = saved({'params': WEIGHTS}, tmp_path)
    finally:
        torch.serialization.set_crc32_options(True)
    assert_same(read_weights(path).tensors, WEIGHTS)
