import cv2
import numpy as np
import pytest

from gsm_plugin.data.tools import from_video
from gsm_plugin.data.tools.from_video import make_clips
from gsm_plugin.data.tools.shots import cut_shots, find_shots
from gsm_plugin.data.videos import decode_video
from gsm_plugin.errors import UserError
from tests.data.tools.miniature import everything_below, write_video


@pytest.fixture
def video(tmp_path):
    write_video(tmp_path / 'film.avi', [12, 7, 20], (50, 66))
    return tmp_path / 'film.avi'


def test_shots_lie_between_the_cuts(video):
    assert find_shots(decode_video(video)) == [(0, 12), (12, 19), (19, 39)]


@pytest.mark.parametrize('lengths', [[1, 9], [9, 1], [2, 9, 2]])
def test_cuts_close_to_the_ends_are_found(tmp_path, lengths):
    write_video(tmp_path / 'film.avi', lengths)
    stops = np.cumsum(lengths).tolist()
    assert find_shots(decode_video(tmp_path / 'film.avi')) == list(zip([0, *stops], stops, strict=False))


def test_a_video_without_cuts_is_one_shot_and_nothing_is_none():
    frame = np.zeros((4, 4, 3), np.uint8)
    assert find_shots([frame] * 3) == [(0, 3)]
    assert find_shots([frame]) == [(0, 1)]
    assert find_shots([]) == []


@pytest.mark.parametrize(
    'shots, expected',
    [
        ([(0, 250)], [(0, 100), (100, 200), (200, 250)]),
        ([(0, 39), (39, 79), (79, 190)], [(39, 79), (79, 179)]),
        ([(0, 100)], [(0, 100)]),
    ],
)
def test_long_shots_are_cut_and_short_ones_left_out(shots, expected):
    assert cut_shots(shots, 40, 100) == expected


def test_clips_have_the_frames_of_the_video_in_the_layout_of_reds(video, tmp_path):
    made = make_clips([video], tmp_path / 'out', min_frames=8, max_frames=10, multiple=4)
    assert [(clip.name, clip.start, clip.stop) for clip in made.clips] == [
        ('000', 0, 10),
        ('001', 19, 29),
        ('002', 29, 39),
    ]
    assert made.cut_videos == {}
    frames = list(decode_video(video))
    for clip in made.clips:
        folder = tmp_path / 'out' / clip.name
        assert sorted(path.name for path in folder.iterdir()) == [f'{i:08d}.png' for i in range(10)]
        for i in range(10):
            expected = frames[clip.start + i][:48, :64]
            assert np.array_equal(cv2.imread(str(folder / f'{i:08d}.png')), expected)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['film.avi', 'out']


def test_several_videos_are_numbered_on(video, tmp_path):
    write_video(tmp_path / 'other.avi', [9])
    made = make_clips([video, tmp_path / 'other.avi', video], tmp_path / 'out', 9, 30, first_number=270)
    assert [(clip.name, clip.video.name) for clip in made.clips] == [
        ('270', 'film.avi'),
        ('271', 'film.avi'),
        ('272', 'other.avi'),
    ]
    expected = next(decode_video(tmp_path / 'other.avi'))[:48, :64]
    assert np.array_equal(cv2.imread(str(tmp_path / 'out' / '272' / '00000000.png')), expected)


def test_a_video_that_ends_early_is_reported(video, tmp_path, monkeypatch):
    monkeypatch.setattr(from_video, 'announced_frames', lambda path: 50)
    assert make_clips([video], tmp_path / 'out', 8, 20).cut_videos == {video: (39, 50)}


@pytest.mark.parametrize('error', [KeyboardInterrupt, OSError])
def test_an_interruption_leaves_nothing(video, tmp_path, monkeypatch, error):
    encode, calls = from_video.encode_png, []

    def encode_or_stop(image):
        calls.append(image)
        if len(calls) == 12:
            raise error
        return encode(image)

    monkeypatch.setattr(from_video, 'encode_png', encode_or_stop)
    with pytest.raises(error):
        make_clips([video], tmp_path / 'out', 8, 20, workers=1)
    assert [path.name for path in tmp_path.iterdir()] == ['film.avi']
    monkeypatch.undo()
    make_clips([video], tmp_path / 'out', 8, 20)


def test_mistakes_are_named_and_leave_nothing(video, tmp_path):
    (tmp_path / 'there').mkdir()
    (tmp_path / 'text.mp4').write_text('text')
    before = everything_below(tmp_path)
    for path, out, options, message in (
        (video, 'there', {}, 'there exists; remove it'),
        (tmp_path / 'nowhere.mp4', 'out', {}, r'nowhere\.mp4 is missing or not a video that OpenCV can read'),
        (tmp_path / 'text.mp4', 'out', {}, r'text\.mp4 is missing or not a video'),
        (tmp_path, 'out', {}, 'is missing or not a video'),
        (video, 'out', {}, r'no shot of .*film\.avi has 100 frames; lower --min-frames'),
        (video, 'out', {'min_frames': 9, 'max_frames': 8}, '--min-frames is 9 and --max-frames 8'),
        (video, 'out', {'min_frames': 9, 'multiple': 64}, 'has 50x66 pixels, less than the multiple 64'),
    ):
        with pytest.raises(UserError, match=message):
            make_clips([path], tmp_path / out, **options)
    assert everything_below(tmp_path) == before
