import json

import pytest

from gsm_plugin.errors import UserError
from gsm_plugin.training.training_log import read_training_log

TEXT = """2026-11-24 12:47:40,718 INFO: Start training from epoch: 0, iter: 0
2026-11-24 12:47:40,718 INFO: [train..][epoch:  0, iter:   1,000, lr:(2.000e-04,2.500e-05,)] [eta: 1 day, 1:02:03, \
time (data): 0.512 (0.001)] l_pix: 1.2500e-02 skipped_steps: 0.0000e+00
2026-11-24 12:47:41,718 INFO: Validation REDS4
\t # psnr: 30.5000\t # 000: 28.0000\t # 011: nan
\t    Best: 30.5000 @ 1000 iter
\t # ssim: 0.9000\t # 000: 0.8000

2026-11-24 12:47:42,718 INFO: Validation Vid4
\t # psnr: inf

2026-11-24 12:47:43,718 INFO: [train..][epoch:  0, iter:   2,000, lr:(1.000e-04,)] l_pix: nan
\t # psnr: 1.0000
"""


def write_lines(folder, *entries):
    folder.mkdir(parents=True, exist_ok=True)
    lines = [entry if isinstance(entry, str) else json.dumps(entry) for entry in entries]
    (folder / 'train.jsonl').write_text('\n'.join(lines) + '\n')
    return folder


def step(iteration, loss=0.5, **more):
    return {'kind': 'train', 'iter': iteration, 'epoch': 0, 'lr': [1e-4, 2e-5], 'losses': {'l_pix': loss}, **more}


def test_json_lines_become_curves(tmp_path):
    val = {'kind': 'val', 'iter': 20, 'dataset': 'REDS4', 'metrics': {'psnr': 30.5, 'ssim': None}}
    log = read_training_log(write_lines(tmp_path / 'run', step(10, grad_norm=0.25), val, step(20, time=1.0)))
    assert (log.name, log.damaged) == ('run', 0)
    assert log.losses == {'l_pix': {10: 0.5, 20: 0.5}}
    assert log.lr == {10: 1e-4, 20: 1e-4}
    assert log.grad_norm == {10: 0.25}
    assert log.metrics['psnr'] == {'REDS4': {20: 30.5}}


def test_losses_and_metrics_may_stand_beside_the_rest(tmp_path):
    rest = {'epoch': 0, 'eta_s': 9.0, 'it_per_s': 2.0, 'iter_time_s': 0.5, 'data_time_s': 0.1, 'memory_gib': 3.0}
    train = {'kind': 'train', 'iter': 10, 'lrs': [1e-4], 'l_pix': 0.5, 'skipped_steps': 1, 'grad_norm': 0.25, **rest}
    val = {'kind': 'validation', 'iter': 10, 'dataset': 'REDS4', 'psnr': 30.5}
    log = read_training_log(write_lines(tmp_path, {'kind': 'start', 'iter': 0, 'total_iter': 9}, train, val))
    assert log.losses == {'l_pix': {10: 0.5}, 'skipped_steps': {10: 1.0}}
    assert (log.lr, log.grad_norm) == ({10: 1e-4}, {10: 0.25})
    assert log.metrics == {'psnr': {'REDS4': {10: 30.5}}}


def test_points_that_are_no_numbers_are_counted_by_curve(tmp_path):
    val = {'kind': 'val', 'dataset': 'REDS4', 'metrics': {'psnr': None, 'ssim': 0.9}}
    log = read_training_log(
        write_lines(
            tmp_path,
            *[step(1, None, grad_norm=None), step(2, 0.5), step(3, None, grad_norm=0.1)],
            {**val, 'iter': 3},
            {'kind': 'train', 'iter': 4, 'l_pix': 0.4, 'lrs': [None]},
        )
    )
    assert log.losses['l_pix'].keys() == {1, 2, 3, 4}
    assert log.gaps() == {'l_pix': (2, 4), 'psnr on REDS4': (1, 1), 'gradient norm': (1, 2)}


def test_points_of_a_text_log_that_are_no_numbers_are_counted_too(tmp_path):
    (tmp_path / 'train_tiny_20261124_124740.log').write_text(TEXT)
    assert read_training_log(tmp_path).gaps() == {'l_pix': (1, 2), 'psnr on Vid4': (1, 1)}


def test_what_a_resumed_run_logs_again_replaces_what_came_before(tmp_path):
    log = read_training_log(write_lines(tmp_path, step(10, 1.0), step(20, 2.0), step(10, 3.0)))
    assert log.losses['l_pix'] == {10: 3.0, 20: 2.0}


def test_damaged_lines_are_passed_over_and_counted(tmp_path):
    bad = ('{"kind": "tr', '[1]', '{"iter": 3}', '{"kind": "train", "iter": "x"}', '\x00\x00', '')
    log = read_training_log(write_lines(tmp_path, step(10), *bad))
    assert log.losses['l_pix'] == {10: 0.5}
    assert log.damaged == 5


def test_the_text_log_of_basicsr_is_read_where_there_are_no_json_lines(tmp_path):
    (tmp_path / 'train_tiny_20261124_124740.log').write_text(TEXT)
    log = read_training_log(tmp_path)
    assert log.losses['l_pix'][1000] == 0.0125
    assert log.losses['l_pix'][2000] != log.losses['l_pix'][2000]
    assert log.lr == {1000: 2e-4, 2000: 1e-4}
    assert log.metrics == {
        'psnr': {'REDS4': {1000: 30.5}, 'Vid4': {1000: float('inf')}},
        'ssim': {'REDS4': {1000: 0.9}},
    }


def test_the_logger_of_basicsr_writes_what_is_read(tmp_path):
    import logging

    from basicsr.utils import get_root_logger
    from basicsr.utils.logger import MessageLogger

    logger = get_root_logger()
    handler = logging.FileHandler(tmp_path / 'train_x.log')
    handler.setFormatter(logging.Formatter('%(asctime)s %(levelname)s: %(message)s'))
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.INFO)
    opt = {'name': 'some_name', 'logger': {'print_freq': 1, 'use_tb_logger': False}, 'train': {'total_iter': 9**9}}
    values = {'epoch': 3, 'iter': 123456, 'lrs': [2e-4], 'time': 0.5, 'data_time': 0.1, 'l_pix': 0.02}
    try:
        MessageLogger(opt)(values)
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)
        handler.close()
    log = read_training_log(tmp_path / 'train_x.log')
    assert log.losses == {'l_pix': {123456: 0.02}}
    assert log.lr == {123456: 2e-4}


def test_the_text_logs_of_every_start_are_one_run(tmp_path):
    (tmp_path / 'train_a_1.log').write_text(TEXT)
    (tmp_path / 'train_a_2.log').write_text(TEXT.replace('2,000', '3,000'))
    assert list(read_training_log(tmp_path).lr) == [1000, 2000, 3000]


def test_an_experiment_is_found_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_lines(tmp_path / 'experiments' / 'mine', step(1))
    assert read_training_log('mine').name == 'mine'


@pytest.mark.parametrize(
    'name, sentence',
    [
        ('mien', r'mien does not exist; name an experiment \(mine\), its folder or a log file\.'),
        ('empty', r'empty has neither train\.jsonl nor train_\*\.log; name'),
        (
            'film.mp4',
            r'film\.mp4 is a film, and no log of a training; name an experiment \(mine\), its folder or a log',
        ),
        ('net_g.pth', r'net_g\.pth is no text, and no log of a training; name an experiment'),
    ],
)
def test_a_run_without_a_log_is_one_sentence(tmp_path, monkeypatch, name, sentence):
    monkeypatch.chdir(tmp_path)
    write_lines(tmp_path / 'experiments' / 'mine', step(1))
    (tmp_path / 'experiments' / 'empty').mkdir()
    for file in ('film.mp4', 'net_g.pth'):
        (tmp_path / file).write_bytes(b'\0\0\0 ftypmp42')
    with pytest.raises(UserError, match=sentence):
        read_training_log(name)


def test_a_log_without_anything_in_it_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match='neither losses nor metrics; name a log'):
        read_training_log(write_lines(tmp_path, '{"kind": "train", "iter": 1}'))
