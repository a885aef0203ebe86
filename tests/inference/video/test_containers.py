"""Containers are opened in one place, by what each version of PyAV takes."""

from pathlib import Path
from types import SimpleNamespace

import av
import pytest

import gsm_plugin
from gsm_plugin.data.videos import decode_video
from gsm_plugin.inference.video.containers import open_input, open_output
from gsm_plugin.inference.video.encoding import Wishes
from tests.inference.video.films import frame_of, make_film, scene
from tests.inference.video.test_jobs import enlarge

PACKAGE = Path(gsm_plugin.__file__).parent
LATIN = b'caf\xe9'.decode('utf-8', 'surrogateescape')


def make_latin_film(path):
    """A film whose title was written by a program that knew no UTF-8."""
    with open_output(path, 'matroska') as target:
        stream = target.add_stream('ffv1', rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, 'yuv420p'
        stream.metadata['title'] = LATIN
        target.metadata['title'] = LATIN
        for number, picture in enumerate(scene(3)):
            frame = frame_of(picture, 'yuv420p')
            frame.pts = number
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    return path


@pytest.mark.parametrize('name', ['film:part.mkv', 'pipe:0.mkv', 'http:x.mkv', '12:30.mp4'])
def test_a_colon_in_a_name_makes_no_protocol_of_it(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    source = make_film(tmp_path / name, scene(3), codec='libx264').relative_to(tmp_path)
    enlarge(source, Path(f'x2:{name}'), wishes=Wishes(preset='ultrafast'))
    with open_input(Path(f'x2:{name}')) as container:
        assert len(list(container.decode(video=0))) == 3


@pytest.mark.parametrize('ending', ['mkv', 'mp4'])
def test_a_title_that_is_no_utf8_goes_on_byte_for_byte(tmp_path, ending):
    source, target = make_latin_film(tmp_path / 'in.mkv'), tmp_path / f'out.{ending}'
    enlarge(source, target, wishes=Wishes(preset='ultrafast'))
    with open_input(target) as container:
        titles = {key.lower(): text for key, text in container.metadata.items()}
        assert titles['title'] == LATIN
    assert b'caf\xe9' in target.read_bytes()


def test_frames_of_a_film_whose_title_is_no_utf8_are_read_for_training(tmp_path):
    assert len(list(decode_video(make_latin_film(tmp_path / 'in.mkv')))) == 3


@pytest.mark.parametrize('says', [True, False])
def test_pyav_is_told_of_titles_where_it_has_a_word_for_it(monkeypatch, says):
    asked = []
    stand_in = SimpleNamespace(**({'metadata_errors': ''} if says else {}))
    monkeypatch.setattr(av.container, 'InputContainer', stand_in)
    monkeypatch.setattr(av, 'open', lambda *place, **how: asked.append(how))
    open_input(Path('in.mkv'))
    open_output(Path('out.mkv'), 'matroska')
    assert [how.get('metadata_errors') for how in asked] == ['surrogateescape' if says else None] * 2
    assert all('metadata_errors' in how for how in asked) == says


def test_nothing_else_in_the_package_opens_containers():
    others = [path.name for path in PACKAGE.rglob('*.py') if 'av.open(' in path.read_text(encoding='utf-8')]
    assert others == ['containers.py']
