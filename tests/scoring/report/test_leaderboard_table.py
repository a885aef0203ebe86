from dataclasses import replace

import pytest

from gsm_plugin.data.protocols import PROTOCOLS
from gsm_plugin.scoring.leaderboard import titles_of
from gsm_plugin.scoring.report.leaderboard_table import comparison_cells, join_rows, leaderboard_table, to_markdown
from gsm_plugin.scoring.results.published import PUBLISHED, SOURCES
from gsm_plugin.scoring.results.records import ClipResult, Record
from gsm_plugin.weights.known_files import find_weights


def record(label, psnr, protocol, frames=None, **further):
    values = {'psnr': (psnr,), 'ssim': (0.9,), **further}
    clips = {
        name: ClipResult(('0',) * (frames or count), values, count, 2.0, None, '') for name, count in protocol.clips
    }
    machine = {'device': 'A card'}
    weights = {'file': 'net.pth', 'sha256': 'abcdef0123456789'}
    return Record(label, {'weights': weights}, {}, 2_500_000, 1e7, (180, 320), (machine,), clips)


def table(records, name='reds4', degradation='bi'):
    rows = join_rows(records, {'basicvsr': 'BasicVSR', 'gsm': 'GSM'})
    header, cells = leaderboard_table(rows, PROTOCOLS[name], degradation)
    return header, {row[0].text: row for row in cells}


def test_ours_stands_beside_the_published_figure_with_the_difference():
    header, rows = table([record('basicvsr', 31.5, PROTOCOLS['reds4'])])
    row = dict(zip(header, rows['BasicVSR'], strict=True))
    assert (row['PSNR published'].text, row['PSNR ours'].text) == ('31.42', '31.50')
    assert [cell.text for cell in rows['BasicVSR']][3::3][:2] == ['+0.08', '+0.0091']
    assert row['000'].text == '31.50/0.9000'
    assert row['params M'].text == '2.50'
    assert row['multiply-adds T'].text == '0.576'
    assert row['fps'].text == '50.00'
    assert row['peak GiB'].text == ''


def test_every_figure_says_where_it_comes_from():
    _, rows = table([record('basicvsr', 31.5, PROTOCOLS['reds4'])])
    differences = (3, 6)
    for row in rows.values():
        for number, cell in enumerate(row[1:], start=1):
            assert bool(cell.source) == bool(cell.text) or number in differences
    assert rows['BasicVSR'][2].source == 'measured: basicvsr (net.pth, sha256 abcdef01), fp32'
    assert rows['BasicVSR'][1].source == SOURCES['RVRT']


def test_further_metrics_are_columns_where_a_record_has_them():
    first = record('basicvsr', 31.5, PROTOCOLS['reds4'], tlp=(1.5,), lpips=(0.123,))
    second = record('bicubic', 26.1, PROTOCOLS['reds4'])
    second = replace(second, clips={**second.clips, '000': first.clips['000']})
    without, _ = table([record('gsm', 32.9, PROTOCOLS['reds4'])])
    header, rows = table([first, second, record('gsm', 32.9, PROTOCOLS['reds4'])])
    assert header == [*without[:7], 'LPIPS ↓', 'tLP x100 ↓', *without[7:]]
    assert [cell.text for cell in rows['BasicVSR'][7:9]] == ['0.1230', '1.500']
    assert [cell.text for cell in rows['bicubic'][7:9]] == ['0.1230 (1 of 4 clips)', '1.500 (1 of 4 clips)']
    assert [cell.text for cell in rows['GSM'][7:9]] == ['', '']
    assert [cell.text for cell in rows['VRT'][7:9]] == ['', '']
    assert rows['BasicVSR'][7].source == rows['BasicVSR'][2].source
    header, cells = comparison_cells([first, second])
    assert header[5:9] == ['PSNR', 'SSIM', 'LPIPS ↓', 'tLP x100 ↓']
    assert [cell.text for cell in cells[0][7:9]] == ['0.1230', '1.500']


def test_what_is_not_published_stays_empty():
    header, rows = table([record('gsm', 32.9, PROTOCOLS['reds4'])])
    row = dict(zip(header, rows['GSM'], strict=True))
    assert row['PSNR published'].text == ''
    assert rows['GSM'][3].text == ''
    assert row['PSNR ours'].text == '32.90'
    assert rows['MIA-VSR'][4].text == ''


REDS_TRAINED = {'file': 'mine.pth', 'sha256': find_weights('basicvsr-reds').sha256}


@pytest.mark.parametrize(
    'name, title, difference',
    [('reds4', 'BasicVSR', '-4.42'), ('vid4', 'BasicVSR, trained on REDS BI', '-0.27')],
)
def test_weights_of_another_training_stand_beside_figures_of_that_training(name, title, difference):
    protocol = PROTOCOLS[name]
    made = replace(record('basicvsr', 27.0, protocol), settings={'weights': REDS_TRAINED})
    _, cells = leaderboard_table(join_rows([made], titles_of([made], protocol.training('bi'))), protocol, 'bi')
    (row,) = (row for row in cells if row[2].text)
    assert (row[0].text, row[2].text, row[3].text) == (title, '27.00', difference)


def test_a_part_of_a_data_set_has_no_difference():
    _, rows = table([record('basicvsr', 31.5, PROTOCOLS['reds4'], frames=3)])
    assert rows['BasicVSR (part: 12 frames of 4 clips)'][3].text == ''


def test_only_networks_with_figures_for_the_leaderboard_are_shown():
    _, rows = table([], 'udm10', 'bd')
    assert 'PSRT-recurrent' not in rows
    assert rows['VRT'][1].text == '41.05'


@pytest.mark.parametrize(
    'name, degradation, title, psnr, ssim',
    [
        ('reds4', 'bi', 'BasicVSR++', 32.39, 0.9069),
        ('vimeo90k-t', 'bi', 'VRT', 38.20, 0.9530),
        ('vid4', 'bi', 'IconVSR', 27.39, 0.8279),
        ('udm10', 'bd', 'EDVR', 39.89, 0.9686),
        ('vimeo90k-t', 'bd', 'RVRT', 38.59, 0.9576),
        ('vid4', 'bd', 'Bicubic', 21.80, 0.5246),
    ],
)
def test_figures_stand_in_the_right_column(name, degradation, title, psnr, ssim):
    (entry,) = (entry for entry in PUBLISHED if entry.title == title)
    figure = entry.figures[name, degradation]
    assert (figure.psnr, figure.ssim) == (psnr, ssim)


def test_markdown_numbers_the_sources():
    _, rows = table([], 'udm10', 'bd')
    text = to_markdown(['a'] * len(rows['VRT']), list(rows.values()))
    assert '41.05 [3]' in text
    assert f'[3] {SOURCES["VRT"]}\n' in text
