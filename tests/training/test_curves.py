import numpy as np
import pytest
from PIL import Image

from gsm_plugin.cli import main as command
from gsm_plugin.training import curves
from gsm_plugin.training.curves import draw_curves, smooth
from gsm_plugin.training.training_log import TrainingLog
from tests.training.test_training_log import step, write_lines


def make_log(name='one', count=50):
    log = TrainingLog(name)
    for i in range(1, count):
        log.losses['l_pix'][i], log.losses['skipped_steps'][i], log.lr[i] = 1 / i, 0.0, 1e-4
        log.grad_norm[i] = float('nan') if i == 7 else 0.1 * i
    log.metrics['psnr'] = {'REDS4': {10: 30.0, 20: 31.0}, 'Vid4': {10: 26.0}}
    return log


def panels(*logs):
    return {title: [(run, dataset) for run, dataset, _ in drawn] for title, _, drawn in curves._panels(logs)}


def test_every_loss_and_metric_has_a_panel_and_a_count_of_nothing_has_none():
    other = make_log('two')
    other.losses['l_percep'] = {1: 0.5}
    assert panels(make_log(), other) == {
        'l_pix': [(0, None), (1, None)],
        'l_percep': [(1, None)],
        'psnr': [(0, 'REDS4'), (0, 'Vid4'), (1, 'REDS4'), (1, 'Vid4')],
        'learning rate': [(0, None), (1, None)],
        'gradient norm': [(0, None), (1, None)],
    }


def test_the_picture_has_the_colours_of_all_runs(tmp_path):
    draw_curves([make_log(), make_log('two')], tmp_path / 'deep' / 'curves.png')
    pixels = np.asarray(Image.open(tmp_path / 'deep' / 'curves.png').convert('RGB')).reshape(-1, 3)
    for colour in curves._COLOURS[:2]:
        wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        assert (pixels == wanted).all(1).sum() > 100
    assert [path.name for path in (tmp_path / 'deep').iterdir()] == ['curves.png']


@pytest.mark.parametrize('rest', [{}, {2: float('nan'), 3: float('nan')}])
def test_a_lone_value_is_seen(tmp_path, rest):
    log = TrainingLog('one')
    log.losses['l_pix'] = {1: 0.1} | rest
    draw_curves([log], tmp_path / 'curves.png')
    pixels = np.asarray(Image.open(tmp_path / 'curves.png').convert('RGB')).reshape(-1, 3)
    assert (pixels == [int(curves._COLOURS[0][i : i + 2], 16) for i in (1, 3, 5)]).all(1).sum() > 10


def test_a_picture_that_cannot_be_drawn_leaves_the_old_one(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    (tmp_path / 'curves.png').write_bytes(b'old')
    monkeypatch.setattr(Figure, 'savefig', lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        draw_curves([make_log()], tmp_path / 'curves.png')
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [('curves.png', b'old')]


def test_smoothing_keeps_a_line_but_for_its_end_and_passes_over_what_is_not_finite():
    line = np.arange(1000.0)
    np.testing.assert_allclose(smooth(line)[:-10], line[:-10])
    line[500] = np.nan
    assert np.isfinite(smooth(line)).all()
    noise = np.random.default_rng(0).normal(size=1000)
    assert smooth(noise)[20:].std() < 0.5 * noise.std()


def test_short_curves_are_not_smoothed():
    np.testing.assert_array_equal(smooth(np.array([3.0, 1.0])), [3.0, 1.0])


def test_the_command_draws_and_says_where(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_lines(tmp_path / 'experiments' / 'mine', step(1), step(2), '{"kind": "tra')
    command.main(['plot', 'mine', '-o', 'mine.png'])
    said = capsys.readouterr().out
    assert said == 'mine: 1 damaged line(s) of the log are passed over.\nCurves of mine: mine.png\n'
    assert Image.open(tmp_path / 'mine.png').format == 'PNG'


def test_the_command_says_how_many_points_of_which_curve_are_left_out(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_lines(tmp_path / 'experiments' / 'mine', step(1, None, grad_norm=0.1), step(2), step(3, grad_norm=None))
    write_lines(tmp_path / 'experiments' / 'whole', step(1), step(2))
    command.main(['plot', 'mine', 'whole'])
    assert capsys.readouterr().out.splitlines() == [
        'mine: 1 of 3 points of l_pix are no numbers (NaN or infinite) and left out.',
        'mine: 1 of 2 points of gradient norm are no numbers (NaN or infinite) and left out.',
        'Curves of mine, whole: curves.png',
    ]


def test_points_between_two_that_are_no_numbers_are_seen(tmp_path):
    log = TrainingLog('one')
    log.lr = {i: float('nan') if i % 2 else 1e-4 for i in range(20)}
    draw_curves([log], tmp_path / 'curves.png')
    pixels = np.asarray(Image.open(tmp_path / 'curves.png').convert('RGB')).reshape(-1, 3)
    assert (pixels == [int(curves._COLOURS[0][i : i + 2], 16) for i in (1, 3, 5)]).all(1).sum() > 100


def test_the_command_replaces_its_own_pictures_and_no_others(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_lines(tmp_path / 'experiments' / 'mine', step(1), step(2))
    command.main(['plot', 'mine'])
    write_lines(tmp_path / 'experiments' / 'mine', step(1), step(2), step(3, 100.0))
    before = (tmp_path / 'curves.png').read_bytes()
    command.main(['plot', 'mine'])
    assert (tmp_path / 'curves.png').read_bytes() != before
    Image.new('RGB', (200, 100)).save(tmp_path / 'frame.png')
    before = (tmp_path / 'frame.png').read_bytes()
    with pytest.raises(SystemExit):
        command.main(['plot', 'mine', '-o', 'frame.png'])
    assert 'frame.png is there, and nothing that -o has written; give another -o' in capsys.readouterr().err
    assert (tmp_path / 'frame.png').read_bytes() == before


@pytest.mark.parametrize(
    'arguments, sentence',
    [
        (['x'], 'x does not exist; name an experiment (mine), its folder or a log file.'),
        (['x', '-o', 'a.jpg'], '-o is a.jpg'),
    ],
)
def test_a_mistake_ends_in_one_sentence(tmp_path, monkeypatch, capsys, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    write_lines(tmp_path / 'experiments' / 'mine', step(1))
    (tmp_path / 'experiments' / 'pretrained_models').mkdir()
    with pytest.raises(SystemExit):
        command.main(['plot', *arguments])
    err = capsys.readouterr().err
    assert err.startswith(f'basicsr: {sentence}')
    assert err.count('\n') == 1
