import io
import json
import os
import re
import shutil
import time
import zipfile
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from gsm_plugin.cli.main import main
from gsm_plugin.inference.restorer import Restorer
from gsm_plugin.inference.video import job
from gsm_plugin.inference.video.opening import learn
from gsm_plugin.locks import locked
from tests.inference.video.films import Nearest, make_film, read_film, scene

QUICK = ['--preset', 'ultrafast']


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """A file that stands for weights of a network that repeats pixels."""
    monkeypatch.setattr(Restorer, 'load', classmethod(lambda cls, *arguments, **how: Nearest(2)))
    path = tmp_path / 'weights.pth'
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('weights/data.pkl', '')
    return ['-w', str(path)]


@pytest.fixture
def films(tmp_path):
    folder = tmp_path / 'films'
    folder.mkdir()
    for name, seed in (('a', 1), ('b', 2)):
        make_film(folder / f'{name}.mp4', scene(6, seed=seed), codec='libx264')
    return folder


def run(*words):
    with pytest.raises(SystemExit) as ended:
        main(['infer', *map(str, words)])
    return ended.value.code


def test_a_film_becomes_a_larger_film(films, weights, tmp_path, capsys):
    assert run('-i', films / 'a.mp4', '-o', tmp_path / 'out.mp4', *weights, *QUICK) == 0
    facts = learn(tmp_path / 'out.mp4')
    assert (facts.height, facts.width) == (96, 128)
    said = capsys.readouterr().out
    assert 'nearest, x2, fp32' in said
    assert 'AdaptiveDetector of PySceneDetect, threshold 3' in said
    assert '6 frames' in said
    assert 'peak: host' in said
    # of one scene there is one figure
    assert re.search(r'the output is [\d.]+ dB from the input$', said, re.MULTILINE)


def test_a_broken_film_stops_no_other_and_the_status_says_so(films, weights, tmp_path, capsys):
    (films / 'broken.mp4').write_bytes((films / 'a.mp4').read_bytes()[:200])
    assert run('-i', films / '*.mp4', '-o', tmp_path / 'out', *weights, *QUICK) == 1
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == ['a_x2.mp4', 'b_x2.mp4']
    rows = capsys.readouterr().out.splitlines()[-3:]
    assert [row.split()[1] for row in rows] == ['done', 'done', 'failed']
    assert 'no film that can be read' in rows[2]
    assert run('-i', films / 'a.mp4', films / 'b.mp4', '-o', tmp_path / 'out', '--overwrite', *weights, *QUICK) == 0


def test_a_folder_of_films_and_real_esrgans_letters(films, weights, tmp_path):
    letters = ['--suffix', 'large', '-s', '3', '-t', '0', '--tile_pad', '10']
    assert run('-i', films, '-o', tmp_path / 'out', *letters, *weights, *QUICK) == 0
    assert learn(tmp_path / 'out' / 'b_large.mp4').width == 192


def test_fps_makes_a_film_of_images_and_another_speed_of_a_film(films, weights, tmp_path):
    assert run('-i', films / 'a.mp4', '-o', tmp_path / 'images', '--ext', 'png', *weights) == 0
    assert run('-i', tmp_path / 'images', '-o', tmp_path / 'film.mp4', '--fps', '30000/1001', *weights, *QUICK) == 0
    assert float(learn(tmp_path / 'film.mp4').rate) == pytest.approx(30000 / 1001)
    assert run('-i', films / 'a.mp4', '-o', tmp_path / 'slow.mp4', '--fps', '5', *weights, *QUICK) == 0
    pictures, facts = read_film(tmp_path / 'slow.mp4'), learn(tmp_path / 'slow.mp4')
    assert [picture.pts * facts.time_base for picture in pictures] == [Fraction(i, 5) for i in range(6)]


def test_without_a_place_outputs_go_into_results_whatever_else_is_there(films, weights, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'results' / 'compare').mkdir(parents=True)
    assert run('-i', films / 'a.mp4', *weights, *QUICK) == 0
    assert run('-i', films / 'b.mp4', '-o', 'frames', '--ext', 'png', *weights) == 0
    (tmp_path / 'frames').rename('frames.v1')
    assert run('-i', 'frames.v1', *weights) == 0
    assert sorted(path.name for path in (tmp_path / 'results').iterdir()) == ['a_x2.mp4', 'compare', 'frames.v1']
    assert len(list((tmp_path / 'results' / 'frames.v1').iterdir())) == 6


def test_a_folder_of_images_may_have_a_dot_in_its_name(films, weights, tmp_path):
    assert run('-i', films / 'a.mp4', '-o', tmp_path / 'run_0.5', '--ext', 'png', *weights) == 0
    assert run('-i', tmp_path / 'run_0.5', '-o', tmp_path / 'run.v2', *weights) == 0
    assert len(list((tmp_path / 'run.v2').iterdir())) == 6


def test_a_folder_that_is_replaced_loses_nothing_but_images(films, weights, tmp_path, capsys):
    words = ['-i', films / 'a.mp4', '-o', tmp_path / 'out', '--ext', 'png', *weights]
    assert run(*words) == 0
    assert run(*words, '--overwrite') == 0
    (tmp_path / 'out' / 'notes.txt').write_text('precious')
    assert run(*words, '--overwrite') == 2
    assert 'notes.txt' in capsys.readouterr().err
    assert (tmp_path / 'out' / 'notes.txt').read_text() == 'precious'


def test_a_dry_run_prints_the_plan_and_writes_nothing(films, weights, tmp_path, capsys):
    assert run('-i', films / 'a.mp4', '-o', tmp_path / 'out.mp4', '--dry-run', *weights) == 0
    assert 'windows: 1' in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ['films', 'weights.pth']


def test_lines_of_json_tell_progress(films, weights, tmp_path, capsys):
    assert run('-i', films / 'a.mp4', '-o', tmp_path / 'out.mp4', '--json', *weights, *QUICK) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    last = [line for line in lines if line['event'] == 'progress'][-1]
    assert last['frames'] == last['total'] == 6
    assert last['host_mib'] > 0


def test_an_output_that_another_run_has_begun_meanwhile_is_left_to_it(films, weights, tmp_path, monkeypatch, capsys):
    def load(cls, *arguments, **how):
        # while this run loads its network
        other.__enter__()
        return Nearest(2)

    other = locked(tmp_path / 'out' / 'a_x2.mp4')
    (tmp_path / 'out').mkdir()
    monkeypatch.setattr(Restorer, 'load', classmethod(load))
    assert run('-i', films, '-o', tmp_path / 'out', *weights, *QUICK) == 1
    rows = capsys.readouterr().out.splitlines()[-2:]
    assert 'a_x2.mp4 is being written by process' in rows[0]
    other.__exit__(None, None, None)
    assert [path.name for path in (tmp_path / 'out').iterdir()] == ['b_x2.mp4']


def test_an_output_that_came_while_the_network_was_loaded_is_not_replaced(
    films, weights, tmp_path, monkeypatch, capsys
):
    def load(cls, *arguments, **how):
        (tmp_path / 'out.mp4').write_text('of another run')
        return Nearest(2)

    monkeypatch.setattr(Restorer, 'load', classmethod(load))
    assert run('-i', films / 'a.mp4', '-o', tmp_path / 'out.mp4', *weights, *QUICK) == 2
    assert 'out.mp4 exists' in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ['films', 'out.mp4', 'weights.pth']


def test_a_refused_request_leaves_no_folder_behind(films, weights, tmp_path, capsys):
    assert run('-i', films / 'a.mp4', '-o', tmp_path / 'new' / 'a.mp4', '--memory', '1KiB', *weights, *QUICK) == 2
    assert 'Memory is too little' in capsys.readouterr().err
    assert not (tmp_path / 'new').exists()


def test_a_context_that_fills_the_networks_own_windows_is_refused_before_the_film_is_read(
    films, weights, tmp_path, capsys
):
    assert run('-i', films, '-o', tmp_path / 'out', '--context', '20', *weights) == 2
    assert '--context is 20 on each side, but windows have 40 frames by default' in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


def test_an_output_whose_links_lead_in_a_circle_is_told_beside_a_report_too(films, weights, tmp_path, capsys):
    (tmp_path / 'one.mp4').symlink_to('two.mp4')
    (tmp_path / 'two.mp4').symlink_to('one.mp4')
    assert run('-i', films / 'a.mp4', '-o', tmp_path / 'one.mp4', '--report', tmp_path / 'r.json', *weights) == 2
    assert 'one.mp4 cannot be written: its links lead in a circle; give another -o' in capsys.readouterr().err


def test_a_stream_that_may_be_left_out_is_named(films, weights, tmp_path, capsys):
    with av.open(films / 'sound.mkv', 'w') as film:
        video, sound = film.add_stream('ffv1', 25), film.add_stream('pcm_s16le', 8000)
        video.width = video.height = 64
        video.pix_fmt = 'yuv420p'
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), 's16', 'mono')
        samples.sample_rate = 8000
        for stream, frame in ((video, av.VideoFrame(64, 64, 'yuv420p')), (sound, samples)):
            film.mux([*stream.encode(frame), *stream.encode()])
    for number, why in ((0, 'stream 0 is the film itself, which is enlarged'), (9, 'there is no such stream')):
        words = ['-i', films / 'sound.mkv', '-o', tmp_path / 'out.mkv', '--leave-out', number]
        assert run(*words, *weights) == 2
        assert f'--leave-out {number}: {why}; give another number (1).' in capsys.readouterr().err


def test_a_part_between_two_frames_is_told_by_both_of_its_ends(films, weights, tmp_path, capsys):
    assert run('-i', films / 'a.mp4', '-o', tmp_path / 'out.mp4', '--start', '0.05', '--end', '0.06', *weights) == 2
    assert 'a.mp4 has no frames from 0.05 to 0.06 s; correct the wanted part' in capsys.readouterr().err


def test_an_end_behind_that_of_the_film_is_noted(films, weights, tmp_path, capsys):
    words = ['-i', films / 'a.mp4', '--dry-run', *weights, '-o', tmp_path / 'out.mp4']
    for end, noted in (('0.3', True), ('0.24', False), ('0.2', False)):
        assert run(*words, '--end', end) == 0
        assert (f'note: the film ends at 0.24 s, before {end}0 s' in capsys.readouterr().out) == noted


def test_the_format_that_an_encoder_is_given_is_told(films, weights, tmp_path, capsys):
    words = ['-i', films / 'a.mp4', '-o', tmp_path / 'out.mov', *weights]
    assert run(*words, '--codec', 'prores_ks') == 0
    assert 'note: prores_ks does not take yuv420p; the output is yuv422p10le' in capsys.readouterr().out
    assert learn(tmp_path / 'out.mov').layout.pixel_format == 'yuv422p10le'


def test_a_preview_takes_a_part(films, weights, tmp_path):
    assert run('-i', films / 'a.mp4', '-o', tmp_path / 'out.mp4', '--preview', '0.08s@0.04', *weights, *QUICK) == 0
    assert len(read_film(tmp_path / 'out.mp4')) == 2


def test_names_need_not_be_text(films, weights, tmp_path, monkeypatch, capsys):
    import os
    import sys

    # a terminal takes no such name as it is
    monkeypatch.setattr(sys, 'stdout', io.TextIOWrapper(io.BytesIO(), 'utf-8', 'strict'))
    folder = tmp_path / os.fsdecode(b'\xff')
    places = ['-o', folder / 'out.mp4', '--page', folder / 'page.html', '--report', folder / 'report.json']
    film = (films / 'a.mp4').rename(films / os.fsdecode(b'\xfe.mp4'))
    assert run('-i', film, *places, *weights, *QUICK) == 0
    assert run('-i', film, '-o', folder / os.fsdecode(b'\xff'), '--ext', 'png', *weights) == 0
    (image, *_) = sorted((folder / os.fsdecode(b'\xff')).iterdir())
    image.rename(image.with_name(os.fsdecode(b'\xfd.png')))
    assert run('-i', image.parent, '-o', tmp_path / 'images', *weights) == 0
    assert os.fsdecode(b'\xfd.png') in os.listdir(tmp_path / 'images')
    assert '\\udcfe.mp4' in (folder / 'page.html').read_text(encoding='utf-8')
    sys.stdout.flush()
    assert b'\\udcfe.mp4: 6 frames' in sys.stdout.buffer.getvalue()


def odd_films(folder, good):
    """Files that a tool for films meets, and what is said of them."""
    content = good.read_bytes()
    (folder / 'empty.mp4').write_bytes(b'')
    (folder / 'text.mp4').write_text('This is no film.')
    (folder / 'head.mp4').write_bytes(content[:300])
    with av.open(str(folder / 'sound.mp4'), 'w') as target:
        sound = target.add_stream('aac', rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), 'fltp', 'stereo')
        frame.sample_rate = 44100
        target.mux(sound.encode(frame))
        target.mux(sound.encode(None))
    make_film(folder / 'cut.mkv', scene(40))
    whole = (folder / 'cut.mkv').read_bytes()
    place = len(whole) // 2
    (folder / 'hole.mkv').write_bytes(whole[:place] + bytes(4000) + whole[place + 4000 :])
    make_film(folder / 'long.mp4', scene(40), codec='libx264', container_options={'movflags': '+faststart'})
    content = (folder / 'long.mp4').read_bytes()
    (folder / 'short.mp4').write_bytes(content[: len(content) * 3 // 4])
    parts = [make_film(folder / f'{n}.ts', scene(5, 48, 64 * n), codec='libx264') for n in (1, 2)]
    (folder / 'sizes.ts').write_bytes(b''.join(part.read_bytes() for part in parts))
    return {
        'empty.mp4': 'no film that can be read',
        'text.mp4': 'no film that can be read',
        'head.mp4': 'no film that can be read',
        'sound.mp4': 'no video stream (audio)',
        'short.mp4': 'damaged or cut off: after',
        'sizes.ts': 'changes its size',
    }


def test_odd_films_are_refused_in_one_sentence(films, weights, tmp_path, capsys):
    folder = tmp_path / 'odd'
    folder.mkdir()
    for name, sentence in odd_films(folder, films / 'a.mp4').items():
        assert run('-i', folder / name, '-o', tmp_path / 'out.mp4', *weights) == 2, name
        assert sentence in capsys.readouterr().err, name
        assert not list(tmp_path.glob('out.mp4*'))
    assert run('-i', folder / 'short.mp4', '-o', tmp_path / 'out.mp4', '--salvage', *weights, *QUICK) == 0
    assert 10 < len(read_film(tmp_path / 'out.mp4')) < 40
    capsys.readouterr()
    assert run('-i', folder / 'hole.mkv', '-o', tmp_path / 'hole.mp4', *weights, *QUICK) == 0
    assert 'FFmpeg complains' in capsys.readouterr().out


def test_a_film_that_is_closed_gets_another_cure_than_a_broken_one(films, weights, tmp_path, monkeypatch, capsys):
    def closed(*arguments, **how):
        raise av.PermissionError(13, 'Permission denied')

    monkeypatch.setattr(av, 'open', closed)
    assert run('-i', films / 'a.mp4', '-o', tmp_path / 'out.mp4', *weights) == 2
    assert 'a.mp4 cannot be read (permission denied); correct its permissions.' in capsys.readouterr().err


def test_odd_folders_of_images_are_refused_in_one_sentence(films, weights, tmp_path, capsys):
    import cv2

    folder = tmp_path / 'images'
    folder.mkdir()
    assert run('-i', folder, '-o', tmp_path / 'out', *weights) == 2
    assert 'neither images nor films' in capsys.readouterr().err
    cv2.imwrite(str(folder / '1.png'), np.zeros((20, 30, 3), np.uint8))
    for name, image, sentence in (
        ('2.png', np.zeros((20, 31, 3), np.uint8), 'images of one size'),
        ('2.png', np.zeros((20, 30, 3), np.uint16), 'images of one depth'),
        ('1.jpg', np.zeros((20, 30, 3), np.uint8), 'more than one image called 1'),
    ):
        cv2.imwrite(str(folder / name), image)
        assert run('-i', folder, '-o', tmp_path / 'out', *weights) == 2
        assert sentence in capsys.readouterr().err
        (folder / name).unlink()
    (folder / '2.png').write_bytes((folder / '1.png').read_bytes()[:40])
    assert run('-i', folder, '-o', tmp_path / 'out', *weights) == 2
    assert '2.png is damaged' in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()
    shutil.rmtree(folder)


def test_a_report_has_what_an_issue_needs(films, weights, tmp_path, capsys):
    (films / 'empty.mp4').write_bytes(b'')
    places = ['-o', tmp_path / 'out', '--report', tmp_path / 'report.json']
    assert run('-i', films, *places, *weights, *QUICK) == 1
    report = json.loads((tmp_path / 'report.json').read_text())
    assert report['machine']['av'] == av.__version__
    first, _, broken = report['runs']
    assert first['frames'] == 6
    assert first['back_projection_db']['0'] > 25
    assert first['probe']['codec'] == 'h264'
    assert first['settings']['window'] == '40'
    assert 'no film that can be read' in broken['error']
    assert 'dB from the input' in capsys.readouterr().out


def test_a_page_shows_before_and_after(films, weights, tmp_path):
    places = ['-o', tmp_path / 'out.mp4', '--page', tmp_path / 'page.html']
    assert run('-i', films / 'a.mp4', *places, *weights, *QUICK) == 0
    assert (tmp_path / 'page.html').read_text().count('<figure') == 3


KEPT = '; finished pieces are kept, and the same command goes on from them'
NONE = '; no piece of the output was finished, so the next run makes it from its beginning'


AFRESH = KEPT.replace('command', 'command without --restart')


@pytest.mark.parametrize(
    ('pieces', 'flags', 'said'), [(0, [], NONE), (1, [], KEPT), (1, ['--restart'], AFRESH)], ids=str
)
def test_ctrl_c_is_one_sentence_that_says_how_to_go_on(
    films, weights, tmp_path, monkeypatch, capsys, pieces, flags, said
):
    windows, restore = [], Nearest.restore

    def interrupted(self, clip):
        windows.append(clip)
        # a piece is finished when the next one has begun
        if len(windows) <= 2 * pieces:
            return restore(self, clip)
        deadline = time.monotonic() + 20
        while len(list(tmp_path.glob('out.mp4.segments/segment_?????0'))) < pieces and time.monotonic() < deadline:
            time.sleep(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr(Nearest, 'restore', interrupted)
    (tmp_path / 'cuts.txt').write_text('2\n4\n')
    words = ('--cuts', tmp_path / 'cuts.txt', *flags, *weights, *QUICK)
    assert run('-i', films / 'a.mp4', '-o', tmp_path / 'out.mp4', *words) == 130
    assert capsys.readouterr().err.strip().splitlines()[-1].endswith(f'basicsr: stopped{said}.')
    assert not (tmp_path / 'out.mp4').exists()


def test_ctrl_c_while_a_plan_is_made_says_nothing_of_pieces(films, weights, tmp_path, monkeypatch, capsys):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(job, 'survey', interrupted)
    assert run('-i', films / 'a.mp4', '-o', tmp_path / 'out.mp4', *weights, '--dry-run') == 130
    assert capsys.readouterr().err.endswith('basicsr: stopped.\n')


def test_what_the_file_does_not_tell_is_named(films, weights, tmp_path, monkeypatch, capsys):
    taken = []
    monkeypatch.setattr(Restorer, 'load', classmethod(lambda cls, *args, **how: taken.append(how) or Nearest(2)))
    words = ('-i', films / 'a.mp4', '-o', tmp_path / 'out.mp4', *weights, '--dry-run')
    assert run(*words, '--network', 'pa_frame=1', 'anchor=forward') == 0
    assert taken[0]['network'] == {'pa_frame': 1, 'anchor': 'forward'}
    assert run(*words, '--network', 'pa_frame') == 2
    assert "--network 'pa_frame' is no KEY=VALUE" in capsys.readouterr().err


@pytest.mark.parametrize('there', [True, False])
def test_of_a_link_what_it_stands_for_is_written(films, weights, tmp_path, there):
    meant, link = tmp_path / 'elsewhere.mp4', tmp_path / 'link.mp4'
    if there:
        shutil.copy(films / 'b.mp4', meant)
    link.symlink_to(meant.name)
    flags = ['--overwrite'] if there else []
    assert run('-i', films / 'a.mp4', '-o', link, *weights, *QUICK, *flags) == 0
    assert link.is_symlink()
    assert learn(meant).height == 96


def test_what_is_no_file_is_not_replaced(films, weights, tmp_path, capsys):
    pipe = tmp_path / 'pipe.mp4'
    os.mkfifo(pipe)
    assert run('-i', films / 'a.mp4', '-o', pipe, *weights, '--overwrite') != 0
    assert f'{pipe} is neither a file nor a folder; give another -o.' in ''.join(capsys.readouterr())
    assert pipe.is_fifo()


def test_images_of_several_kinds_become_one_and_that_is_said(weights, tmp_path, capsys):
    folder = tmp_path / 'images'
    folder.mkdir()
    for name in ('0.png', '1.jpg'):
        cv2.imwrite(str(folder / name), np.zeros((16, 24, 3), np.uint8))
    assert run('-i', folder, '-o', tmp_path / 'out', *weights) == 0
    assert 'note: .jpg are written as .png, as the first image; see --ext' in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == ['0.png', '1.png']
