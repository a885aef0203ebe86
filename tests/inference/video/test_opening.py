"""What films tell, by frames and streams of all versions of PyAV."""

import io
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from av.sidedata.sidedata import Type
from PIL import Image

from gsm_plugin.errors import UserError
from gsm_plugin.inference.video.opening import _check_interlaced, _side_data, learn


def test_side_data_are_found_also_where_a_walk_through_them_gives_types():
    frame = SimpleNamespace(side_data={Type.DISPLAYMATRIX: b'nine numbers', Type.ICC_PROFILE: b'more'})
    assert _side_data(frame, Type.DISPLAYMATRIX) == b'nine numbers'
    assert _side_data(frame, Type.CONTENT_LIGHT_LEVEL) == b''


@pytest.mark.parametrize(
    'told, by_frame, refused',
    [
        ({'field_order': 2}, False, 'top field first'),
        ({'field_order': 1}, True, 'by its frames'),
        ({}, True, 'by its frames'),
        ({'field_order': 1}, False, None),
        ({}, False, None),
    ],
)
def test_interlaced_films_are_refused_also_where_streams_do_not_tell_of_fields(told, by_frame, refused):
    stream = SimpleNamespace(codec_context=SimpleNamespace(**told))
    frame = SimpleNamespace(interlaced_frame=by_frame)
    if refused is None:
        _check_interlaced(stream, frame, Path('film.mp4'), deinterlace=False)
        return
    with pytest.raises(UserError, match=rf'film\.mp4 is interlaced \({refused}\)'):
        _check_interlaced(stream, frame, Path('film.mp4'), deinterlace=False)


def make_camera_film(path, orientation):
    """MJPEG whose pictures have EXIF, which PyAV up to 18 does not know."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    with av.open(str(path), 'w') as target:
        stream = target.add_stream('mjpeg', rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, 'yuvj420p'
        for number in range(2):
            picture = io.BytesIO()
            Image.fromarray(np.full((48, 64, 3), 90, np.uint8)).save(picture, 'JPEG', exif=exif)
            packet = av.Packet(picture.getvalue())
            packet.pts = packet.dts = number
            packet.time_base, packet.stream, packet.is_keyframe = Fraction(1, 25), stream, True
            target.mux(packet)
    return path


@pytest.mark.parametrize('orientation, turned', [(1, 0), (3, 180)])
def test_a_camera_film_with_exif_tells_how_it_is_turned(tmp_path, orientation, turned):
    facts = learn(make_camera_film(tmp_path / 'camera.avi', orientation))
    assert abs(facts.rotation) == turned
    assert facts.display_matrix[0] == (-65536 if turned else 65536)
