import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from torch import distributed

from gsm_plugin.cli import main as command
from gsm_plugin.errors import UserError
from gsm_plugin.pipelines.arguments import end_program

ROOT = Path(__file__).parents[2]


def call(*arguments):
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)
    return ended.value.code


@pytest.fixture
def seen(monkeypatch):
    arguments = []
    monkeypatch.setattr(command, '_run', lambda parsed, is_train: arguments.append((parsed, is_train)))
    return arguments


def test_the_flags_of_basicsr_keep_their_meaning(seen):
    flags = ['-opt', 'a.yml', '--launcher', 'slurm', '--auto_resume', '--debug', '--force_yml', 'a:b=1', 'c=2']
    command.main(['train', *flags])
    parsed, is_train = seen[0]
    assert is_train
    assert (parsed.opt, parsed.launcher, parsed.auto_resume, parsed.debug) == ('a.yml', 'slurm', True, True)
    assert parsed.force_yml == ['a:b=1', 'c=2']


def test_their_defaults_are_those_of_basicsr(seen):
    command.main(['test', '-opt', 'a.yml'])
    parsed, is_train = seen[0]
    assert not is_train
    assert (parsed.launcher, parsed.auto_resume, parsed.debug, parsed.force_yml) == ('none', False, False, None)


def test_a_test_takes_a_precision_and_a_training_has_its_own(seen, capsys):
    command.main(['test', '-opt', 'a.yml', '--force_yml', 'a:b=1', '--precision', 'bf16'])
    assert seen[0][0].force_yml == ['a:b=1', 'val:precision=bf16']
    assert call('train', '-opt', 'a.yml', '--precision', 'bf16') == 2
    assert call('test', '-opt', 'a.yml', '--precision', 'int8') == 2
    assert 'fp32' in capsys.readouterr().err


@pytest.mark.parametrize('flag', ['--local-rank=3', '--local_rank=3'])
def test_launchers_may_pass_the_local_rank_in_both_spellings(seen, flag):
    command.main(['train', '-opt', 'a.yml', flag])
    assert seen[0][0].local_rank == 3


def test_basicsr_itself_does_not_know_the_newer_spelling(monkeypatch, tmp_path):
    import inspect

    from basicsr.utils import options

    assert "'--local_rank'" in inspect.getsource(options)
    assert "'--local-rank'" not in inspect.getsource(options)


@pytest.mark.parametrize(
    'arguments, expected',
    [
        ([], 'basicsr: COMMAND is missing; see basicsr --help.'),
        (['train'], 'basicsr train: -opt is missing; see basicsr train --help.'),
        (['teach'], "basicsr: COMMAND is 'teach'; did you mean "),
        (['train', '-opt', 'x', '--launcher', 'mpi'], "basicsr train: --launcher is 'mpi'; did you mean "),
        (['train', '-opt', 'x', '--fast'], 'basicsr train: nothing is known of --fast; see basicsr train --help.'),
        (
            ['infer', '-i', 'train', '--precison', 'bf16'],
            'basicsr infer: nothing is known of --precison bf16; did you mean --precision for --precison?; see basicsr '
            'infer --help.',
        ),
        (
            ['data', 'check', 'clips', '--gt', 'GT', '--sacle', '4'],
            'basicsr data check: nothing is known of --sacle 4; did you mean ',
        ),
        (['teach', 'infer'], "basicsr: COMMAND is 'teach'; did you mean "),
        (['export', 'a'], 'basicsr export: OUT, --frames, --size are missing;'),
        (['train', '-opt'], 'basicsr train: -opt has no value; write -opt FILE; see'),
        (
            ['infer', '-i', 'a', '--window', 'x'],
            "basicsr infer: --window is 'x'; give a whole number, such as --window 4;",
        ),
        (['infer', '-i', 'a', '-s', 'x'], "basicsr infer: -s is 'x'; give a number, such as -s 1.5;"),
        (
            ['infer', '-i', '-dash.mp4', '-o', 'b'],
            'basicsr infer: -i has no value; write -i ./-dash.mp4, for -dash.mp4 begins as flags do; see',
        ),
        (['infer', '-i', 'a', '-s', '1_0'], "basicsr infer: -s is '1_0'; give a number, such as -s 1.5;"),
        (['infer', '-i', 'a', '-t', '٤'], "basicsr infer: -t is '٤'; give a whole number, such as -t 4;"),
        (['infer', '-i', 'a', '-t'], 'basicsr infer: -t has no value; write -t 4;'),
        (['infer', '-i', 'a', '--tile=x'], "basicsr infer: --tile is 'x'; give a whole number, such as --tile 4;"),
        (['infer', '-i', 'a', '-n', 'x', '-w', 'y'], 'basicsr infer: -w/--weights and -n/--name exclude each other;'),
        (
            ['infer', '-i', 'a', '--cut', '3'],
            'basicsr infer: --cut may be any of --cuts, --cut-threshold; write it out;',
        ),
        (
            ['infer', '-i', 'a', '--overwrite=x'],
            "basicsr infer: --overwrite takes no value, but has 'x'; leave it out;",
        ),
        (['compare', 'a', 'b', '--networks', 'x'], 'basicsr compare: nothing is known of b;'),
        (['compare', 'a', '--networks'], 'basicsr compare: --networks has no value; write --networks NAME[=FILE];'),
    ],
)
def test_a_usage_mistake_ends_in_one_sentence(capsys, arguments, expected):
    assert call(*arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith(expected)
    assert err.count('\n') == 1
    assert 'argument' not in err


def test_a_mistake_of_the_user_ends_in_one_sentence(capsys, monkeypatch):
    def fail(parsed, is_train):
        raise UserError('scale is 0; set 4.')

    monkeypatch.setattr(command, '_run', fail)
    assert call('train', '-opt', 'x') == 2
    assert capsys.readouterr().err == 'basicsr: scale is 0; set 4.\n'


def test_only_the_first_process_says_it(capsys, monkeypatch):
    def fail(parsed, is_train):
        raise UserError('text')

    monkeypatch.setattr(command, '_run', fail)
    monkeypatch.setenv('RANK', '1')
    assert call('train', '-opt', 'x') == 2
    assert capsys.readouterr().err == ''


def test_the_first_process_of_another_machine_speaks_too(capsys, monkeypatch):
    monkeypatch.setenv('RANK', '8')
    monkeypatch.setenv('LOCAL_RANK', '0')
    with pytest.raises(SystemExit):
        end_program('basicsr: no such folder.', status=2)
    assert re.fullmatch(r'\[process 8 on \S+\] basicsr: no such folder\.\n', capsys.readouterr().err)


def test_once_processes_are_joined_whichever_fails_speaks_and_the_others_do_not_repeat_it(
    capsys, monkeypatch, tmp_path
):
    monkeypatch.setenv('RANK', '3')
    distributed.init_process_group('gloo', init_method=f'file://{tmp_path}/store', rank=0, world_size=1)
    try:
        for sentence in ('one.', 'one.', 'two.'):
            with pytest.raises(SystemExit):
                end_program(sentence, status=2)
    finally:
        distributed.destroy_process_group()
    said = capsys.readouterr().err
    assert said.count('one.') == said.count('two.') == 1
    assert said.startswith('[process 3 on ')


def test_a_bug_keeps_its_traceback(monkeypatch):
    def fail(parsed, is_train):
        raise ZeroDivisionError

    monkeypatch.setattr(command, '_run', fail)
    with pytest.raises(ZeroDivisionError):
        command.main(['train', '-opt', 'x'])


def test_ctrl_c_ends_without_a_traceback(capsys, monkeypatch):
    def fail(parsed, is_train):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, '_run', fail)
    assert call('train', '-opt', 'x') == 130
    assert capsys.readouterr().err == 'basicsr: stopped.\n'


def test_the_package_is_the_command_and_works_from_any_folder(tmp_path):
    environment = {**os.environ, 'PYTHONPATH': str(ROOT)}
    done = subprocess.run(
        [sys.executable, '-m', 'gsm_plugin', 'train', '-opt', 'nowhere.yml'],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    assert done.stderr == 'basicsr: The option file nowhere.yml does not exist; -opt names a YAML file.\n'
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    'words, expected',
    [
        (['train', '--opt', 'a.yml'], 'did you mean -opt for --opt?'),
        (['test', '--opt=a.yml'], 'did you mean -opt for --opt?'),
        (['train', '-opt', 'a.yml', '--auto-resume'], 'did you mean --auto_resume for --auto-resume?'),
        (['train', '-opt', 'a.yml', '--force-yml', 'a=1'], 'did you mean --force_yml for --force-yml?'),
        (['compare', 'x', '--network', 'bicubic', '--chanel', 'y'], 'did you mean --channel for --chanel?'),
        (['data', 'degrade', 'x', 'y', '--kind', 'bi', '--with_gt'], 'did you mean --with-gt for --with_gt?'),
        (['trian', '-opt', 'a.yml'], "COMMAND is 'trian'; did you mean train? Known: train, test, "),
        (['data', 'form-video', 'x'], "ACTION is 'form-video'; did you mean from-video? Known: check, lmdb, "),
        (['train', '-opt', 'a.yml', '--launcher', 'pytorhc'], "--launcher is 'pytorhc'; did you mean pytorch?"),
    ],
)
def test_a_wrong_word_is_answered_by_the_nearest_right_one(capsys, words, expected):
    assert call(*words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert expected in line


@pytest.mark.parametrize('words', [['train', '-opt'], ['train', '-opt', 'a.yml', '--zzzz'], ['weights', 'get']])
def test_without_anything_alike_there_is_no_hint(capsys, words):
    assert call(*words) == 2
    assert 'did you mean' not in capsys.readouterr().err


def test_a_fault_of_the_machine_is_one_sentence(monkeypatch, capsys):
    def fail(*_, **__):
        raise PermissionError(13, 'Permission denied', '/data/out')

    monkeypatch.setattr(command, '_run', fail)
    assert call('train', '-opt', 'a.yml') == 2
    assert capsys.readouterr().err.startswith('basicsr: /data/out cannot be written or read (Permission denied)')


def test_a_package_that_cannot_be_loaded_is_one_sentence_with_its_cure(tmp_path):
    (tmp_path / 'cv2.py').write_text('raise ImportError("libGL.so.1: cannot open shared object file")')
    environment = os.environ | {'PYTHONPATH': os.pathsep.join([str(tmp_path), *sys.path])}
    words = [sys.executable, '-m', 'gsm_plugin', 'train', '-opt', 'a.yml']
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2
    assert line.startswith('basicsr: cv2 cannot be imported (ImportError: libGL.so.1: ')
    assert 'run apt-get install libgl1, or run pip uninstall' in line
    assert 'basicsr doctor' in line


def test_a_bug_in_an_import_keeps_its_traceback(monkeypatch):
    def fail(*_, **__):
        raise ImportError("cannot import name 'x' from 'gsm_plugin'")

    monkeypatch.setattr(command, '_run', fail)
    with pytest.raises(ImportError):
        command.main(['train', '-opt', 'a.yml'])


@pytest.mark.parametrize(
    'given, expected',
    [
        ({}, (None, 'passive')),
        ({'GOMP_SPINCOUNT': '5'}, ('5', None)),
        ({'OMP_WAIT_POLICY': 'active'}, (None, 'active')),
    ],
)
def test_threads_sleep_while_they_wait_unless_the_user_wants_it_otherwise(given, expected, seen, monkeypatch):
    for name in ('GOMP_SPINCOUNT', 'OMP_WAIT_POLICY'):
        monkeypatch.setenv(name, '')
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    command.main(['test', '-opt', 'a.yml'])
    assert (os.environ.get('GOMP_SPINCOUNT'), os.environ.get('OMP_WAIT_POLICY')) == expected


def test_the_version_is_told(capsys):
    import gsm_plugin

    with pytest.raises(SystemExit) as end:
        command.main(['--version'])
    assert end.value.code == 0
    assert capsys.readouterr().out == f'gsm_plugin {gsm_plugin.__version__}\n'
