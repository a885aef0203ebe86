from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from gsm_plugin.data.small_training.frames import write_frames, write_validation
from gsm_plugin.data.small_training.making import unpack
from gsm_plugin.data.small_training.shots import copy_shots
from gsm_plugin.data.small_training.sources import film_shots
from gsm_plugin.data.videos import decode_video
from gsm_plugin.errors import UserError
from tests.data.pictures import picture

SHOTS = [(0, 20), (20, 60)]


@pytest.fixture(scope='module')
def film(tmp_path_factory):
    path = tmp_path_factory.mktemp('film') / 'film.mp4'
    with av.open(str(path), 'w') as out:
        stream = out.add_stream('libx264', rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 48, 'yuv420p'
        stream.time_base, stream.gop_size = Fraction(1, 24), 20
        for number in range(60):
            whole = picture(48, 64 + 60, seed=number // 20)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(whole[:, number : number + 64]), format='bgr24')
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def test_copied_shots_have_the_frames_of_the_film_bit_for_bit(film, tmp_path):
    frames = list(decode_video(film))
    assert copy_shots(film, SHOTS, tmp_path) == 60
    for start, stop in SHOTS:
        np.testing.assert_array_equal(list(decode_video(tmp_path / f'{start:05d}.mp4')), frames[start:stop])


def test_a_budget_shortens_all_shots_to_one_length(film, tmp_path):
    frames = list(decode_video(film))
    copy_shots(film, SHOTS, tmp_path / 'whole')
    budget = 0.7 * sum(path.stat().st_size for path in (tmp_path / 'whole').iterdir())
    copy_shots(film, SHOTS, tmp_path / 'cut', budget)
    lengths = []
    for start, _ in SHOTS:
        cut = list(decode_video(tmp_path / 'cut' / f'{start:05d}.mp4'))
        np.testing.assert_array_equal(cut, frames[start : start + len(cut)])
        lengths.append(len(cut))
    assert sum(lengths) < 60
    assert min(lengths) >= 1


def test_videos_become_clips_and_short_rests_are_left_out(film, tmp_path):
    assert write_frames([film], tmp_path, 25, workers=1) == {'film_00000': 25, 'film_00025': 25}
    frames = list(decode_video(film))
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / 'film_00025' / '00000003.png')), frames[28])
    assert sorted(path.name for path in tmp_path.iterdir()) == ['film_00000', 'film_00025']


def test_validation_has_fifteen_frames_with_lq(film, tmp_path):
    write_validation([film], tmp_path)
    assert len(list((tmp_path / 'GT' / 'film').iterdir())) == 15
    assert cv2.imread(str(tmp_path / 'LQ' / 'film' / '00000014.png')).shape == (12, 16, 3)


def test_no_shot_to_train_on_is_that_of_validation():
    shots = film_shots()
    assert len(shots) > 100
    assert all(stop <= 1145 or start >= 1346 for start, stop in shots)
    assert all(stop <= 11757 or start >= 13918 for start, stop in shots)


def test_a_folder_that_was_not_packed_is_refused(tmp_path):
    with pytest.raises(UserError, match='has no folder stills'):
        unpack(tmp_path, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()
