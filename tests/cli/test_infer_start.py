"""Mistakes of `basicsr infer` that headers tell are told before PyTorch is loaded."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from gsm_plugin.locks import locked
from tests.inference.video.films import make_film, scene

ROOT = Path(__file__).parents[2]
# Runs commands one after the other in a process of its own, and tells how each ended and whether PyTorch was loaded.
RUN = """
import contextlib, io, json, sys
from gsm_plugin.cli.main import main

for words in json.loads(sys.stdin.read()):
    said, status = io.StringIO(), None
    with contextlib.redirect_stderr(said):
        try:
            main(['infer', *words])
        except SystemExit as end:
            status = end.code
    print(json.dumps([status, said.getvalue(), 'torch' in sys.modules]))
"""
BICUBIC = ['--network', 'type=Bicubic', 'upscale=2']


@pytest.fixture
def place(tmp_path):
    make_film(tmp_path / 'film.mp4', scene(6), codec='libx264')
    (tmp_path / 'there.mp4').write_text('precious')
    (tmp_path / 'text.mp4').write_text('no film')
    (tmp_path / 'empty.mp4').touch()
    (tmp_path / 'cuts.txt').write_text('five\n')
    (tmp_path / 'arabic.txt').write_text('٤\n', encoding='utf-8')
    (tmp_path / 'windows.txt').write_text('3\n6\n', encoding='utf-8-sig')
    (tmp_path / 'there.html').write_text('precious')
    (tmp_path / 'loop1.mp4').symlink_to('loop2.mp4')
    (tmp_path / 'loop2.mp4').symlink_to('loop1.mp4')
    (tmp_path / 'late.txt').write_text('3\n6  # the film has frames 0 to 5\n')
    (tmp_path / 'later.txt').write_text('0.5s\n')
    for name, size in (('frames', (5, 1025)), ('links', (5, 5))):
        (tmp_path / name).mkdir()
        Image.new('RGB', size).save(tmp_path / name / '1.png')
    (tmp_path / 'links' / '2.png').symlink_to('2.png')
    (tmp_path / 'both').mkdir()
    (tmp_path / 'both' / 'film.mkv').touch()
    Image.new('RGB', (5, 5)).save(tmp_path / 'both' / 'poster.png')
    (tmp_path / 'more').mkdir()
    (tmp_path / 'more' / 'film.mp4').touch()
    (tmp_path / 'full').mkdir()
    (tmp_path / 'full' / 'notes.txt').write_text('precious')
    (tmp_path / 'results').mkdir()
    (tmp_path / 'results' / 'film_x2.mp4').write_text('precious')
    return tmp_path


def ends(folder, commands):
    """How commands ended that were run in a folder: status, sentence, whether PyTorch was loaded."""
    environment = {**os.environ, 'PYTHONPATH': str(ROOT)}
    done = subprocess.run(
        [sys.executable, '-c', RUN], input=json.dumps(commands), cwd=folder, env=environment, capture_output=True,
        text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    # what is no list is the commands' own: a table
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith('[')]


WRONG = [
    (['-i', 'missing.mp4'], 'missing.mp4 is missing'),
    (['-i', 'text.mp4'], 'text.mp4 is no film'),
    (['-i', 'film.mp4'], 'results/film_x2.mp4 exists'),
    (['-o', 'there.mp4'], 'there.mp4 exists'),
    (['-o', 'film.mp4'], 'film.mp4 is the input'),
    (['-o', 'out.xyz'], 'ends in .xyz'),
    (['-o', f'{"x" * 250}.mp4'], '-o has a name of 254 bytes; give one of at most 246'),
    (['-o', f'{"ü" * 150}/out.mp4'], '-o has a name of 300 bytes'),
    (['--page', f'{"x" * 300}.html'], '--page has a name of 305 bytes'),
    (['--report', f'{"x" * 300}.json'], '--report has a name of 305 bytes'),
    (
        ['-i', 'frames', '-o', 'images', '--ext', 'webp', '-s', '16'],
        'has 80x16400 pixels, but .webp holds 16383 a side',
    ),
    (['-i', 'links', '-o', 'images'], 'links/2.png is a link that leads nowhere; correct or remove it'),
    (['-i', 'frames/*.png', '-o', 'images'], 'frames/*.png matches frames/1.png, an image; name a folder of images'),
    (['-i', 'frames/1.png', '-o', 'images'], 'frames/1.png is an image; name a folder of images'),
    (
        ['-i', 'both', '-o', 'images'],
        'both has films (film.mkv) and images (poster.png); name the films, as both/film.mkv',
    ),
    (['-i', 'empty.mp4'], 'empty.mp4 is no film that can be read (it is empty); get it again'),
    (['-o', 'text.mp4/out.mp4'], 'is no folder'),
    (['-o', '/proc/none/out.mp4'], 'nothing can be made in /'),
    (['--page', '/proc/none/page.html'], 'nothing can be made in /'),
    (['--report', '/proc/none/report.json'], 'nothing can be made in /'),
    (['-o', 'full', '--ext', 'png', '--overwrite'], 'has notes.txt in it'),
    (['--page', 'text.mp4/page.html'], 'give another --page'),
    (['--report', 'text.mp4/report.json'], 'give another --report'),
    (['--report', 'film.mp4'], 'film.mp4 is there, and nothing that --report has written'),
    (['--page', 'there.html'], 'there.html is there, and nothing that --page has written'),
    (['--page', 'x.txt'], '--page is x.txt; give a name that ends in .html'),
    (['--report', 'full'], 'full is a folder; give the name of a file by --report'),
    (['-o', 'out.mp4', '--report', 'out.mp4'], 'out.mp4 is both -o and --report'),
    (['-o', 'x.html', '--ext', 'png', '--page', 'x.html'], 'x.html is both -o and --page'),
    (['--page', 'x.html', '--report', 'x.html'], 'x.html is both --page and --report'),
    (['--codec', 'h265'], 'no encoder h265'),
    (['--codec', 'libx264', '--pix-fmt', 'yuv420p14le'], 'does not take yuv420p14le'),
    (['-o', 'out.webm', '--codec', 'libx264'], '.webm cannot hold'),
    (['--ext', 'gif', '-o', 'images'], '--ext gif'),
    (['--ext', 'png'], '--ext png is of images, but out.mp4 is a film'),
    (['--ext', 'png', '-o', 'images', '--crf', '14'], '--crf is of films, but images are written; leave it out'),
    (['-i', ''], '-i is empty'),
    (['--leave-out', 'audoi'], "--leave-out is 'audoi'; give audio, subtitle"),
    (['--leave-out', '9'], '--leave-out 9: there is no such stream'),
    (['--leave-out', '0'], '--leave-out 0: stream 0 is the film itself, which is enlarged; take it out of --leave-out'),
    (['--leave-out', '٤'], "--leave-out is '٤'"),
    (['--leave-out', 'video'], '--leave-out video: there is none beside the film itself; take it out of --leave-out'),
    (['-o', 'loop1.mp4'], 'loop1.mp4 cannot be written: its links lead in a circle; give another -o'),
    (['-o', 'loop1.mp4/x.mp4'], 'loop1.mp4/x.mp4 cannot be written: its links lead in a circle; give another -o'),
    (['--report', 'loop1.mp4'], 'loop1.mp4 cannot be written: its links lead in a circle; give another --report'),
    (['--page', 'loop1.mp4'], 'loop1.mp4 cannot be written: its links lead in a circle; give another --page'),
    (['-i', 'frames', '-o', '/', '--overwrite'], '-o / has no name that the output could get; name a folder in it'),
    (['-i', 'frames', '-o', '.', '--overwrite'], '-o . has no name that the output could get'),
    (['--start', '1:99'], "--start is '1:99', with 60 or more behind a colon; write seconds (80.5) or 0:01:20.5"),
    (['--start', '1:60:00'], "--start is '1:60:00', with 60 or more behind a colon"),
    (['--start', '٤'], "--start is '٤', which is no time"),
    (['--start', '9' * 400], "9', which is no time"),
    (['--preview', '@1'], "--preview is '@1', which lacks a time beside the @; write, for example, 5s@1:20"),
    (['--preview', '1s@'], "--preview is '1s@', which lacks a time beside the @"),
    (['--fps', '1e-9'], "--fps is '1e-9'; write a number from 0.001 to 1000, such as 25 or 30000/1001"),
    (['--fps', '0.000000001'], "--fps is '0.000000001'; write a number from 0.001"),
    (['--fps', '1e99999999'], "--fps is '1e99999999'"),
    (['--fps', '25/0'], "--fps is '25/0'"),
    (['--fps', '٢٥'], "--fps is '٢٥'"),
    (['--memory', '٤GiB'], "--memory is '٤GiB'"),
    (['--memory', f'{"9" * 400}GiB'], "9GiB'; write a number with its unit"),
    (['--device', 'cpu:3'], "device is 'cpu:3'; it must be auto, cpu, cuda, cuda:NUMBER or mps"),
    (['--cuts', 'arabic.txt'], "line 1 of arabic.txt is '٤', which is no time"),
    (['--cuts', 'windows.txt'], 'line 2 of windows.txt has frame 6, but the film has 6'),
    (['-s', '99'], '-s is 99'),
    (['-s', 'nan'], '-s is nan'),
    (['--start', '99'], 'film.mp4 ends at 0.24 s, but the wanted part begins at 0:01:39'),
    (['--preview', '1s@99'], 'film.mp4 ends at 0.24 s, but the wanted part begins at 0:01:39'),
    (['--start', '5', '--end', '2'], '--end 2 is not after'),
    (['--preview', 'all'], "--preview is 'all'"),
    (['--preview', '-1s'], "--preview is '-1s', a negative time; write seconds from 0 up (80.5) or 0:01:20.5"),
    (['--start', '-.5s'], "--start is '-.5s', a negative time"),
    (['--end', '-1:20'], "--end is '-1:20', a negative time"),
    (['--preview', '5s@-1'], "--preview is '-1', a negative time"),
    (['-o', 'out.png'], 'is the name of an image'),
    (['--encoder-option', 'speed=9'], 'no option speed'),
    (['--encoder-option', 'speed'], 'write NAME=VALUE'),
    (['--pix-fmt', 'nv21'], 'pixel format nv21'),
    (['-i', '-'], '-i is -, but films are not read from standard input; name a file'),
    (['-o', '-'], '-o is -, but films are not written to standard output; name a file'),
    (
        ['-i', 'http://host/film.mp4'],
        '-i http://host/film.mp4 is an address, but films are read from disk; name a file',
    ),
    (['-o', 'http://host/out.mp4'], '-o http:/host/out.mp4 is an address, but films are written to disk; name a file'),
    (['-o', 'out.mkv', '--codec', 'wrapped_avframe'], '.mkv cannot hold this film'),
    (['-o', 'out.mkv', '--codec', 'wrapped_avframe'], '; take another --codec.'),
    (
        ['-i', 'film.mp4', 'both/film.mkv', 'more/film.mp4', '-o', 'results', '--suffix', 'y'],
        'film.mp4 and more/film.mp4 would both become results/film_y.mp4; rename one',
    ),
    (['--cuts', 'full'], 'the list of cuts full is no file; correct --cuts'),
    (['--cuts', 'missing.txt'], 'list of cuts missing.txt'),
    (['--cuts', 'late.txt'], 'line 2 of late.txt has frame 6, but the film has 6; correct it'),
    (['--cuts', 'later.txt'], 'line 1 of later.txt has 0.50 s, but the film ends at 0.24 s; correct it'),
    (['--cuts', 'late.txt', '--no-cuts'], '--cuts late.txt and --no-cuts contradict each other'),
    (['--window', '0'], '--window is 0'),
    (['--window', '4'], '--window is 4, but --context is 8 on each side; make --window more than 16, or --context'),
    (['--tile_pad', '10'], '--tile_pad 10 is of tiles, but none are asked for; give -t 256 too, or leave it out'),
    (['-t', '-5'], '-t is -5; give a whole number from 0 up'),
    (['--devices', ','], "--devices is ','; name devices such as cuda:0,cuda:1"),
    (['--tile-pad', '0'], '--tile_pad 0 is of tiles, but none are asked for'),
    (['--tile-rule', 'published'], '--tile-rule published is of tiles, but none are asked for'),
    (['--cuts', 'cuts.txt', '--cut-threshold', '3'], '--cut-threshold 3 is of the search for cuts, which --cuts cuts'),
    (['--no-cuts', '--cut-threshold', '3'], '--cut-threshold 3 is of the search for cuts, which --no-cuts takes'),
    (['--suffix', 'x'], '--suffix x is of names that are made, but -o out.mp4 is the whole name; leave out one'),
    (['-i', 'frames', '-o', 'images', '--suffix', ''], 'but -o images is the whole name'),
    (['-i', 'frames', '-o', 'images', '--fps', '30'], '--fps 30 is of films, but images are written; leave it out'),
    (['-o', 'images', '--ext', 'png', '--fps', '9', '--end', '1'], '--fps 9 is of films, but images are written'),
    (['-o', 'images', '--ext', 'png', '--leave-out', 'audio'], '--leave-out is of films, but images are written'),
    (['-i', 'frames', '-o', 'out.mp4', '--leave-out', 'audio'], '--leave-out is of films, but images are read'),
    (['-i', 'frames', '-o', 'out.mp4', '--deinterlace'], '--deinterlace is of films, but images are read'),
    (['-i', 'frames', '-o', 'images', '--salvage'], '--salvage is of films, but images are read; leave it out'),
    (['--device', 'cpu', '--devices', 'cpu,cpu'], '--device cpu and --devices cpu,cpu are both given'),
    (['-t', '-1'], '-t is -1'),
    (['--precision', 'fp8'], "precision is 'fp8'"),
    (['--device', 'cuda:99999999999'], "device is 'cuda:99999999999'; it must be auto, cpu, cuda, cuda:NUMBER or mps"),
    (['-n', ''], '-n is empty; give a value, or leave it out'),
    (['--device', 'gpu'], "device is 'gpu'"),
    (['--devices', 'cpu,gpu'], "device is 'gpu'"),
    (['--tile-rule', 'mixed'], "--tile-rule is 'mixed'"),
    (['--cuts', 'cuts.txt'], "line 1 of cuts.txt is 'five'"),
    (['--cut-threshold', 'nan'], '--cut-threshold is nan'),
    (['--suffix', '../x'], "--suffix is '../x'"),
    (['--memory', 'much'], "--memory is 'much'"),
    (['--memory', '8'], "--memory is '8'; write a number with its unit, for example 8GiB"),
    (['--fps', 'fast'], "--fps is 'fast'"),
    (['--network', 'upscale=4'], "--network 'upscale=4' names upscale for the second time; leave out one of them"),
    (['-i', 'film.mp4', '-i', 'missing.mkv', '-o', 'results'], 'missing.mkv is missing'),
    (['-i', 'film.mp4', '-o', ''], '-o is empty; give a path, or leave it out'),
    (['--report', ''], '--report is empty; give a path, or leave it out'),
    (['--devices', ''], '--devices is empty; give a value, or leave it out'),
    (['--pix-fmt', ''], '--pix-fmt is empty; give a value, or leave it out'),
    (['--leave-out', '9', '--leave-out', 'audio'], '--leave-out 9: there is no such stream'),
    (['--network', 'upscale'], "--network 'upscale' is no KEY=VALUE"),
]


def test_what_headers_tell_is_told_without_pytorch_and_writes_nothing(place):
    before = sorted(place.rglob('*'))
    commands = []
    for words, _ in WRONG:
        source = [] if '-i' in words else ['-i', 'film.mp4']
        target = [] if '-o' in words or '-i' in words else ['-o', 'out.mp4']
        commands.append([*BICUBIC, *source, *target, *words])
    for (status, said, loaded), (words, sentence) in zip(ends(place, commands), WRONG, strict=True):
        assert (status, loaded) == (2, False), (words, said)
        assert sentence in said
        assert said.count('\n') == 1
    assert sorted(place.rglob('*')) == before


def test_sides_that_nothing_can_count_are_refused(place):
    words = ['-i', 'film.mp4', '-o', 'out.mp4', '--network', 'type=Bicubic', 'upscale=99999999999']
    ((status, said, loaded),) = ends(place, [words])
    assert (status, loaded) == (2, False)
    assert 'the output would have 6399999999936x4799999999952 pixels; give an -s that makes less' in said


def test_files_of_weights_are_looked_at_without_pytorch(place):
    words = ['-i', 'film.mp4', '-o', 'out.mp4']
    cases = [
        ([*words, '-n', 'gsm-reds'], 'run basicsr weights get gsm-reds'),
        ([*words, '-n', 'gsm-red'], 'did you mean gsm-reds'),
        ([*words, '-w', 'none.pth'], 'none.pth does not exist'),
        ([*words, '-w', 'film.mp4'], 'film.mp4 is '),
        ([*words, '-w', 'full'], 'full is a folder'),
        ([*words, '-w', 'gsm.pt2'], 'gsm.pt2 is a program that torch.export saved; give the file of weights that it'),
        ([*words, '-w', 'gsm.pt'], 'gsm.pt is a program of TorchScript'),
        ([*words, '-w', 'cut.pth'], 'cut.pth is cut off'),
        ([*words, '-w', 'gsm.onnx'], 'gsm.onnx is a network in ONNX'),
    ]
    for name, members in (('gsm.pt2', ('archive_format', 'data.pkl')), ('gsm.pt', ('data.pkl', 'gsm/constants.pkl'))):
        with zipfile.ZipFile(place / name, 'w') as archive:
            for member in members:
                archive.writestr(member, 'pt2')
    (place / 'cut.pth').write_bytes((place / 'gsm.pt').read_bytes()[:50])
    (place / 'gsm.onnx').write_bytes(b'\x08\x08\x12\x07pytorch')
    for (status, said, loaded), (_, sentence) in zip(ends(place, [case for case, _ in cases]), cases, strict=True):
        assert (status, loaded) == (2, False), said
        assert sentence in said


def test_several_inputs_of_which_none_can_be_served_load_no_network(place):
    words = ['-i', 'text.mp4', 'film.mp4', '-o', 'results', *BICUBIC]
    ((status, _, loaded),) = ends(place, [words])
    assert (status, loaded) == (1, False)


@pytest.mark.parametrize('target, how', [('out.mp4', []), ('frames', ['--ext', 'png'])])
def test_an_output_that_another_process_writes_is_refused_before_anything_is_loaded_or_written(place, target, how):
    (place / f'{target}.segments').mkdir()
    with locked(place / target):
        before = sorted(place.rglob('*'))
        words = ['-i', 'film.mp4', '-o', target, '--restart', *how, *BICUBIC]
        ((status, said, loaded),) = ends(place, [words])
        assert sorted(place.rglob('*')) == before
    assert (status, loaded) == (2, False)
    assert f'{target} is being written by process {os.getpid()} on ' in said
    assert said.count('\n') == 1


@pytest.mark.parametrize('closed', ['>&-', '2>&-', '>&- 2>&-'])
def test_outputs_may_be_closed(place, closed):
    words = ['-m', 'gsm_plugin', 'infer', '-i', 'film.mp4', '-o', 'out.mp4', '--dry-run', *BICUBIC]
    environment = {**os.environ, 'PYTHONPATH': str(ROOT)}
    command = ['sh', '-c', f'exec "$@" {closed}', 'sh', sys.executable, *words]
    assert subprocess.run(command, cwd=place, env=environment, timeout=120).returncode == 0
