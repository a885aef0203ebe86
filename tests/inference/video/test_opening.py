"""What films tell, by frames and streams of all versions of PyAV."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from av.sidedata.sidedata import Type

from gsm_plugin.errors import UserError
from gsm_plugin.inference.video.opening import _check_interlaced, _side_data


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
