import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from gsm_plugin.data.protocols import PROTOCOLS
from gsm_plugin.scoring.report.galleries import make_gallery
from gsm_plugin.scoring.report.leaderboard_table import join_rows, leaderboard_table
from gsm_plugin.scoring.report.page import Page, frame_curves, points_of, render
from gsm_plugin.scoring.results.records import ClipResult, Record

CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser') or shutil.which('google-chrome')
MACHINE = {'device': 'A card', 'python': '3.11', 'commit': 'abc', 'packages': {'torch': '2', 'triton': None}}


def record(network, psnr, frames=100, clips=('000', '011', '015', '020')):
    values = {'psnr': (psnr,) * frames, 'ssim': (0.9,) * frames}
    names = tuple(map(str, range(frames)))
    results = {name: ClipResult(names, values, frames, 10.0, 1.5, 'print') for name in clips}
    return Record(network, {'weights': None}, {}, 6_300_000, 6.0e6, (180, 320), (MACHINE,), results)


def write_pictures(folder, labels, shape=(90, 130, 3)):
    noise = np.random.default_rng(0)
    gt = noise.integers(0, 256, shape, np.uint8)
    paths = {}
    for number, label in enumerate(labels):
        blurred = gt // (len(labels) - number) * (len(labels) - number)
        paths[label] = folder / f'{label}.png'
        Image.fromarray(blurred).save(paths[label])
    return paths


@pytest.fixture
def page(tmp_path):
    protocol = PROTOCOLS['reds4']
    records = [record('bicubic', 26.1), record('basicvsr', 31.4)]
    rows = join_rows(records, {'bicubic': 'Bicubic', 'basicvsr': 'BasicVSR'})
    header, cells = leaderboard_table(rows, protocol, 'bi')
    labels = ['LQ', 'bicubic', 'basicvsr', 'GT']
    pictures = write_pictures(tmp_path, labels)
    gallery = make_gallery('<000>', pictures, pictures)
    points = points_of(rows, protocol, 'bi')
    return Page('REDS4 & more', protocol.describe(), header, cells, points, 'A note.', records, [gallery])


def test_the_page_needs_nothing_from_outside(page):
    text = render(page)
    assert not re.findall(r'(?:src|href)="(?!data:|#)[^"]+"', text)
    assert '@import' not in text
    assert text.count('data:image/png;base64,') == 8


def test_names_are_escaped(page):
    text = render(page)
    assert '<h1>REDS4 &amp; more</h1>' in text
    assert '<h3>&lt;000&gt;</h3>' in text


def test_measured_rows_are_marked_and_every_figure_has_its_source(page):
    text = render(page)
    rows = re.findall(r'<tr( class="ours")?><td[^>]*>([^<]+)', text)
    assert {name for ours, name in rows if ours} == {'Bicubic', 'BasicVSR'}
    row = re.search(r'<tr class="ours"><td>BasicVSR.*?</tr>', text, re.DOTALL)[0]
    cells = re.findall(r'<td( title="[^"]+")?>([^<]*)', row)
    texts = [cell for _, cell in cells]
    assert texts[1:7] == ['31.42', '31.40', '-0.02', '0.8909', '0.9000', '+0.0091']
    assert all(title for title, cell in cells[1:3])
    assert 'measured: basicvsr (random weights)' in cells[2][0]


def test_the_chart_has_published_points_beside_whole_results_only(page):
    assert {point.title for point in page.points if not point.measured} >= {'VRT', 'BasicVSR', 'EDVR'}
    (basicvsr,) = (point for point in page.points if point.title == 'BasicVSR' and not point.measured)
    assert basicvsr.fps == pytest.approx(1000 / 63)
    rows = join_rows([record('bicubic', 26, clips=('000',))], {'bicubic': 'Bicubic'})
    assert [point.title for point in points_of(rows, PROTOCOLS['reds4'], 'bi')] == ['Bicubic']
    assert [round(point.fps) for point in page.points if point.measured] == [10, 10]


def test_curves_are_of_frames_or_of_clips_where_each_has_one(page):
    assert len(frame_curves(page.records)) == 4
    centres = [record('a', 30, frames=1, clips=[f'00001/{i:04d}' for i in range(20)])]
    (chart,) = frame_curves(centres)
    assert '>clip</text>' in chart


def test_an_infinite_psnr_does_not_break_a_chart():
    assert frame_curves([record('same', float('inf'))])[0].startswith('<svg')


@pytest.mark.skipif(CHROMIUM is None, reason='there is no Chromium')
def test_the_slider_works_in_a_browser(page, tmp_path):
    file = tmp_path / 'page.html'
    # The select of the right side is changed as a user would.
    check = """<script>
    const select = document.querySelector('select[data-side=right]');
    select.value = 'GT';
    select.dispatchEvent(new Event('change'));
    const range = document.querySelector('input[type=range]');
    range.value = 25;
    range.dispatchEvent(new Event('input'));
    document.title = [...document.querySelectorAll('.slider img')]
      .map(image => `${image.dataset.label}:${image.hidden ? '-' : image.style.clipPath}:${image.naturalWidth}`).join();
    </script></body>"""
    file.write_text(render(page).replace('</body>', check))
    options = ['--headless=new', '--no-sandbox', '--disable-gpu', f'--user-data-dir={tmp_path / "profile"}']
    command = [CHROMIUM, *options, '--virtual-time-budget=3000', '--dump-dom', file.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    title = re.search(r'<title>(.*?)</title>', done.stdout)[1]
    assert title == 'LQ:-:130,bicubic:inset(0px 75% 0px 0px):130,basicvsr:-:130,GT:none:130'
    assert re.search(r'class="name right"[^>]*>GT<', done.stdout)
