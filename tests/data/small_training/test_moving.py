import cv2
import numpy as np

from gsm_plugin.data.small_training.moving import write_clips_of
from tests.data.pictures import write_stills


def frames_of(folder):
    return np.stack([cv2.imread(str(path)) for path in sorted(folder.iterdir())])


def test_clips_are_always_the_same_and_everything_in_them_moves(tmp_path):
    write_stills(tmp_path / 'stills')
    names = write_clips_of(tmp_path / 'stills', tmp_path / 'one')
    assert write_clips_of(tmp_path / 'stills', tmp_path / 'two') == names == ['still0', 'still1']
    for name in names:
        frames = frames_of(tmp_path / 'one/GT' / name)
        assert frames.shape == (15, 224, 224, 3)
        assert (frames == frames_of(tmp_path / 'two/GT' / name)).all()
        assert (frames[1:] != frames[:-1]).mean() > 0.5
