import itertools

import av
import numpy as np

from gsm_plugin.inference.video.request import Request
from gsm_plugin.studies.films import write_film
from tests.inference.video.films import Nearest, Quiet, planned


def test_a_film_has_the_frames_the_sound_and_the_cuts_that_are_said(tmp_path):
    path = tmp_path / 'film.mp4'
    write_film(path, 260, 36, 64)
    with av.open(str(path)) as film:
        assert [stream.type for stream in film.streams] == ['video', 'audio']
        assert abs(film.streams.audio[0].duration * film.streams.audio[0].time_base - 260 / 25) < 0.05
        pictures = [frame.to_ndarray(format='rgb24').astype(float) for frame in film.decode(video=0)]
    assert [picture.shape for picture in pictures] == 260 * [(36, 64, 3)]
    changes = [np.abs(a - b).mean() for a, b in itertools.pairwise(pictures)]
    assert min(changes[:-12]) > 1
    job = planned(Request(path, tmp_path / 'out.mp4'), Nearest(4), Quiet())
    assert {segment.start for segment in job.segments if segment.scene == 1} == {250}
