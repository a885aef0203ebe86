"""Leaderboards on miniature data sets in the real layouts, against a straightforward computation of every figure."""

import json
import re

import cv2
import numpy as np
import pytest

from gsm_plugin.cli import main as command
from gsm_plugin.data.protocols import PROTOCOLS
from gsm_plugin.demo.miniature import write_miniature
from tests.scoring.tiny_vsr import moving_frames, read_rgb, restore, scores, write_network

BOARDS = [(name, kind) for name, protocol in PROTOCOLS.items() for kind, _ in protocol.lq]


@pytest.fixture(scope='module')
def home(tmp_path_factory):
    """Miniature data sets of all layouts, two clips of each, and two networks."""
    root = tmp_path_factory.mktemp('boards')
    for protocol in PROTOCOLS.values():
        write_miniature(protocol, moving_frames(9), 3, 2, root / 'part')
        for folder in (root / 'part').iterdir():
            (root / 'datasets').mkdir(exist_ok=True)
            folder.replace(root / 'datasets' / folder.name)
        (root / 'part').rmdir()
    networks = {label: write_network(root, seed, label)[0] for seed, label in enumerate(('first', 'second'))}
    return root, networks


def run(root, out, *arguments):
    command.main(
        ['leaderboard', *arguments[:1], '--datasets', str(root / 'datasets'), '--out', str(out), *arguments[1:]]
    )


def network_arguments(root, *labels):
    return ['--networks', ','.join(f'{label}={root / label}.yml' for label in labels)]


def expected_scores(root, protocol, kind, network):
    """By clip, (PSNR, SSIM) of each scored frame."""
    gt_root, lq_root = root / 'datasets' / protocol.gt, root / 'datasets' / dict(protocol.lq)[kind]
    clips = sorted({path.parent.relative_to(lq_root) for path in lq_root.rglob('*.png')})
    found = {}
    for clip in clips:
        lq = sorted((lq_root / clip).glob('*.png'))
        output = restore(network, lq, flip=protocol.name == 'vimeo90k-t')
        frames = [3] if protocol.name == 'vimeo90k-t' else range(len(lq))
        gt = [read_rgb(gt_root / clip / lq[frame].name) for frame in frames]
        channel = 'rgb' if protocol.name == 'reds4' else 'y'
        found[str(clip)] = [scores(output[i], image, channel) for i, image in zip(frames, gt, strict=True)]
    return found


@pytest.mark.parametrize('name, kind', BOARDS)
def test_every_figure_is_that_of_a_straightforward_computation(home, tmp_path, capsys, name, kind):
    root, networks = home
    protocol = PROTOCOLS[name]
    run(root, tmp_path, name, '--degradation', kind, '--partial', *network_arguments(root, *networks))
    table = (tmp_path / 'table.md').read_text()
    assert table in capsys.readouterr().out
    for label, network in networks.items():
        record = json.loads((tmp_path / f'{label}.json').read_text())
        expected = expected_scores(root, protocol, kind, network)
        assert list(record['clips']) == list(expected)
        for clip, rows in expected.items():
            actual = record['clips'][clip]['values']
            np.testing.assert_allclose(actual['psnr'], [psnr for psnr, _ in rows], atol=1e-4, rtol=0)
            np.testing.assert_allclose(actual['ssim'], [ssim for _, ssim in rows], atol=1e-4, rtol=0)
        means = [np.mean([np.mean(rows, 0) for rows in expected.values()], 0)]
        row = next(line for line in table.splitlines() if line.startswith(f'| {label} '))
        shown = [float(number) for number in re.findall(r'(\d+\.\d+) \[\d+\]', row)[:2]]
        np.testing.assert_allclose(shown, means[0], atol=0.005001, rtol=0)
        assert f'{means[0][0]:.2f} [' in row
        assert f'{means[0][1]:.4f} [' in row


def test_published_figures_stand_in_the_table_with_their_source(home, tmp_path, capsys):
    root, _ = home
    run(root, tmp_path, 'reds4', '--partial', '--networks', 'bicubic')
    lines = capsys.readouterr().out.splitlines()
    header = next(line for line in lines if line.startswith('| network '))
    assert [word.strip() for word in header.split('|')][2:5] == ['PSNR published', 'PSNR ours', 'difference']
    row = next(line for line in lines if line.startswith('| BasicVSR '))
    cells = [cell.strip() for cell in row.split('|')]
    number = re.fullmatch(r'31\.42 \[(\d+)\]', cells[2])[1]
    assert any(line.startswith(f'[{number}] table image of github.com/JingyunLiang/RVRT') for line in lines)
    assert cells[3] == cells[4] == ''
    own = next(line for line in lines if line.startswith('| Bicubic (part: 6 frames of 2 clips) '))
    # A part of the data set has no difference to what is published.
    assert [cell.strip() for cell in own.split('|')][4] == ''


def test_results_are_reused_and_an_interrupted_run_goes_on(home, tmp_path, capsys, monkeypatch):
    from gsm_plugin.models.gsm_model import GSMModel

    root, _ = home
    arguments = ('reds4', '--partial', *network_arguments(root, 'first'))
    restored = []
    real = GSMModel.restore

    def restore_once(self, clip, on_tile=None):
        if len(restored) == 1:
            raise KeyboardInterrupt
        restored.append(clip.shape)
        return real(self, clip, on_tile)

    monkeypatch.setattr(GSMModel, 'restore', restore_once)
    with pytest.raises(SystemExit):
        run(root, tmp_path, *arguments)
    assert list(json.loads((tmp_path / 'first.json').read_text())['clips']) == ['000']
    monkeypatch.setattr(GSMModel, 'restore', lambda self, clip, _=None: restored.append(0) or real(self, clip))
    run(root, tmp_path, *arguments)
    assert len(restored) == 2
    assert 'first: results of 1 of 2 clips are those of' in capsys.readouterr().out
    run(root, tmp_path, *arguments)
    assert len(restored) == 2


def test_a_record_of_many_short_clips_is_not_written_after_each(home, tmp_path, monkeypatch):
    from gsm_plugin.scoring import running

    root, _ = home
    written = []
    real = running.write_record

    def write(record, path):
        written.append(len(record.clips))
        real(record, path)

    monkeypatch.setattr(running, 'write_record', write)
    monkeypatch.setattr(running, '_SECONDS_BETWEEN_WRITES', 1000)
    run(root, tmp_path / 'a', 'vid4', '--partial', *network_arguments(root, 'first'))
    assert written == [1, 2]
    write_miniature(PROTOCOLS['vid4'], moving_frames(4), 2, 4, tmp_path / 'datasets')
    written.clear()
    arguments = ['--datasets', str(tmp_path / 'datasets'), '--out', str(tmp_path / 'b')]
    command.main(['leaderboard', 'vid4', '--partial', *arguments, *network_arguments(root, 'first')])
    # After the first and the last of four.
    assert written == [1, 4]


def test_other_weights_are_run_anew(home, tmp_path, capsys):
    root, _ = home
    _, file = write_network(tmp_path / 'net', 5, 'third')
    out = tmp_path / 'out'
    run(root, out, 'reds4', '--partial', '--networks', f'third={file}')
    before = json.loads((out / 'third.json').read_text())
    write_network(tmp_path / 'net', 6, 'third')
    run(root, out, 'reds4', '--partial', '--networks', f'third={file}')
    after = json.loads((out / 'third.json').read_text())
    assert before['settings']['weights']['sha256'] != after['settings']['weights']['sha256']
    assert before['clips']['000']['values'] != after['clips']['000']['values']
    assert 'third.json is of other weights, settings or protocol; it is replaced.' in capsys.readouterr().out


def test_records_of_two_machines_make_one_table(home, tmp_path, capsys):
    root, _ = home
    common = ['reds4', '--partial', *network_arguments(root, 'first')]
    run(root, tmp_path / 'all', *common)
    for clip in ('000', '011'):
        run(root, tmp_path / clip, *common, '--clips', clip)
    capsys.readouterr()
    run(root, tmp_path / 'both', 'reds4', '--merge', str(tmp_path / '000'), str(tmp_path / '011'))
    merged = capsys.readouterr().out
    whole = (tmp_path / 'all' / 'table.md').read_text()
    for line in (next(line for line in text.splitlines() if line.startswith('| first')) for text in (whole, merged)):
        scored = [re.sub(r' \[\d+\]', '', cell).strip() for cell in line.split('|')][1:10]
        assert scored[0] == 'first (part: 6 frames of 2 clips)'
        if line in whole:
            expected = scored
    assert scored == expected


def test_records_with_and_without_further_metrics_make_one_table(home, tmp_path, capsys):
    root, _ = home
    common = ['reds4', '--partial', *network_arguments(root, 'first'), '--clips']
    run(root, tmp_path / 'a', *common, '000', '--metrics', 'tof')
    run(root, tmp_path / 'b', *common, '011')
    capsys.readouterr()
    run(root, tmp_path / 'both', 'reds4', '--merge', str(tmp_path / 'a'), str(tmp_path / 'b'))
    table = (tmp_path / 'both' / 'table.md').read_text()
    (line,) = (line for line in table.splitlines() if line.startswith('| first'))
    values = json.loads((tmp_path / 'a' / 'first.json').read_text())['clips']['000']['values']['tof']
    assert len(values) == 2
    assert f' {np.mean(values):.3f} (1 of 2 clips) [' in line
    assert 'mean over frames, then over clips. Published' in table
    assert 'Lower is better: tOF in pixels, of Farneback flows.\n' in table


@pytest.mark.parametrize(
    'arguments, sentence',
    [
        (['udm10', '--degradation', 'bi', '--networks', 'bicubic'], r"UDM10 has no degradation 'bi'; take bd\."),
        (['reds4', '--networks', 'basicvsr2'], "no network is called 'basicvsr2'; did you mean basicvsr"),
        (['reds4', '--networks', 'bicubic,bicubic'], '--networks has bicubic twice'),
        (['reds4', '--networks', 'basicvsr=nowhere.pth'], 'nowhere.pth does not exist; correct the path'),
        (['reds4', '--networks', 'basicvsr'], 'run basicsr weights get basicvsr-reds, or name a file'),
        (['vid4', '--networks', 'gsm'], 'No public weights of gsm were trained on Vimeo-90K BI; give a file'),
        (['reds4', '--networks', 'bicubic'], 'clip folder .*015 does not exist; add it'),
        (['vimeo90k-t', '--networks', 'bicubic'], r'names 2 clips, but Vimeo-90K-T has 7824; complete it, or set'),
        (['reds4', '--partial', '--networks', 'bicubic', '--clips', '007'], '--clips has 007, which is not there'),
        (['reds4', '--merge', 'nowhere'], '--merge nowhere does not exist'),
        (['reds4'], 'There are no results for REDS4'),
        (['reds4', '--metrics', 'tof', '--merge', 'x'], '--metrics is for networks that are run; name some by --netw'),
        (
            ['vimeo90k-t', '--partial', '--networks', 'bicubic', '--metrics', 'tlp'],
            'tlp is of consecutive frames, but of clip 00001/0001 one is scored; leave it out',
        ),
    ],
)
def test_what_is_wrong_is_one_sentence_and_nothing_is_run(home, tmp_path, capsys, monkeypatch, arguments, sentence):
    root, _ = home
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        run(root, tmp_path / 'out', *arguments)
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert re.search(sentence, error)
    assert error.count('\n') == 1
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('arguments', [[], ['--networks', 'basicvsr']])
def test_a_data_set_that_is_missing_is_told_before_networks(tmp_path, capsys, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        run(tmp_path, tmp_path / 'out', 'reds4', *arguments)
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert f'{tmp_path / "datasets" / "REDS4" / "GT"} is missing; put REDS4 there' in error
    assert error.endswith('or name the folder of data sets by --datasets.\n')


@pytest.mark.parametrize(
    'change, sentence',
    [
        ('no LQ', r'BIx4 is missing; put Vid4 there, as .*GT/calendar/00000000\.png and .*BIx4/calendar'),
        ('frame', r'clip calendar has no frame 00000002 in dataroot_lq'),
        ('size', r'which is not 4 times the 12x16 of LQ clip calendar'),
        ('damaged', r'calendar/00000001\.png is damaged, cut, or no image'),
        ('later LQ', r'city/00000002\.png has 24x32 pixels but \S+city/00000000\.png has 12x16; make all'),
        ('later GT', r'city/00000002\.png has 12x16 pixels, which is not 4 times the 12x16 of LQ clip city'),
        ('short', r'calendar has 3 frames, but clip calendar of Vid4 has 41; complete it'),
    ],
)
def test_a_damaged_data_set_is_one_sentence(tmp_path, capsys, change, sentence):
    protocol = PROTOCOLS['vid4']
    root = tmp_path / 'datasets'
    write_miniature(protocol, moving_frames(4), 3, 4, root)
    lq = root / 'Vid4' / 'BIx4' / 'calendar'
    if change == 'no LQ':
        (root / 'Vid4' / 'BIx4').rename(root / 'Vid4' / 'LQ')
    elif change == 'frame':
        (lq / '00000002.png').unlink()
    elif change == 'size':
        for path in (root / 'Vid4' / 'GT' / 'calendar').iterdir():
            path.write_bytes((lq / path.name).read_bytes())
    elif change == 'later LQ':
        last = lq.with_name('city') / '00000002.png'
        cv2.imwrite(str(last), cv2.imread(str(last)).repeat(2, 0).repeat(2, 1))
    elif change == 'later GT':
        last = lq.with_name('city') / '00000002.png'
        (root / 'Vid4' / 'GT' / 'city' / last.name).write_bytes(last.read_bytes())
    elif change == 'damaged':
        (lq / '00000001.png').write_bytes(b'\x89PNG nothing')
    partial = [] if change == 'short' else ['--partial']
    with pytest.raises(SystemExit):
        run(tmp_path, tmp_path / 'out', 'vid4', *partial, '--networks', 'bicubic')
    error = capsys.readouterr().err.splitlines()[-1]
    assert re.search(sentence, error), error
    assert not (tmp_path / 'out').exists()
