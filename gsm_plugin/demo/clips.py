"""The demo's data: real clips as LMDBs for training, as BasicSR's REDS loader reads them, and as folders for tests."""

from contextlib import ExitStack
from pathlib import Path

import numpy as np
from tqdm import tqdm

from gsm_plugin.data.bicubic import resize_bicubic
from gsm_plugin.data.sample_videos import DEMO_VIDEOS, TRAIN_CLIP_FRAMES, DemoVideo, fetch_videos, read_frames
from gsm_plugin.data.tools.lmdb_writer import LmdbWriter, encode_png
from gsm_plugin.files import whole_or_nothing

_RECORD = 'made_from.txt'


def prepare_demo(
    cache: str | Path, out: str | Path, videos: tuple[DemoVideo, ...] = DEMO_VIDEOS, scale: int = 4
) -> bool:
    """Writes the demo's data below `out`.

    `train/GT.lmdb`, `train/LQ.lmdb` and `train/meta_info.txt` are what BasicSR's `REDSRecurrentDataset` reads;
    `test/GT/<clip>/00000000.png` and `test/LQ/...` hold the frames that are not trained on. LQ is the MATLAB-bicubic
    reduction of GT. All is built in `<out>.part`, which becomes `out` when it is whole and is removed when it fails.

    Args:
        cache: Folder of the videos; those that are not there are downloaded to it.
        out: The folder to make.
        videos: What to take from which video.
        scale: Factor between GT and LQ.

    Returns:
        True if the data were made, False if they were there already.

    Raises:
        FileExistsError: `out` exists but holds something else.
        RuntimeError: A video is not there and cannot be downloaded.
        ValueError: A video has too few frames, or cannot be read.
    """
    out = Path(out)
    record = f'scale {scale}\n' + ''.join(f'{video}\n' for video in videos)
    if out.exists():
        _check_record(out, record)
        return False
    paths = fetch_videos(cache, videos)
    with whole_or_nothing(out) as part:
        _write_data(paths, part, videos, scale)
        (part / _RECORD).write_text(record, encoding='utf-8')
    return True


def _check_record(out: Path, record: str) -> None:
    path = out / _RECORD
    if not path.is_file() or path.read_text(encoding='utf-8') != record:
        raise FileExistsError(f'{out} exists but does not hold the data of this demo; remove the folder and run again.')


def _write_data(paths: dict[str, Path], folder: Path, videos: tuple[DemoVideo, ...], scale: int) -> None:
    (folder / 'train').mkdir()
    total = sum(video.held_out[1] - video.held_out[0] + TRAIN_CLIP_FRAMES * len(video.train) for video in videos)
    with _TrainWriter(folder / 'train') as train, tqdm(total=total, unit='frame', desc='demo data') as bar:
        for video in videos:
            _write_video(video, paths[video.name], folder / 'test', train, scale, bar)
        train.finish()


def _write_video(video: DemoVideo, path: Path, test: Path, train: '_TrainWriter', scale: int, bar: tqdm) -> None:
    count = 0
    for count, frame in enumerate(read_frames(path, video.shrink, scale), start=1):
        places = video.places(count - 1)
        images = {'GT': frame, 'LQ': resize_bicubic(frame, 1 / scale)} if places else {}
        for clip, number in places:
            if clip in video.train:
                train.write(clip, number, images)
            else:
                _write_test(test, clip, number, images)
            bar.update()
    if count < video.frames_needed:
        raise ValueError(f'{path} has {count} frames, the demo needs {video.frames_needed}; remove it and run again.')


class _TrainWriter:
    """The two LMDBs and the meta info file, closed together."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._open = ExitStack()
        self._writers = {kind: self._open.enter_context(LmdbWriter(folder / f'{kind}.lmdb')) for kind in ('GT', 'LQ')}
        self._keys: list[str] = []
        self._clips: dict[str, tuple[int, ...]] = {}

    def __enter__(self) -> '_TrainWriter':
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def write(self, clip: str, number: int, images: dict[str, np.ndarray]) -> None:
        self._clips[clip] = images['GT'].shape
        self._keys.append(f'{clip}/{number:08d}')
        for kind, image in images.items():
            self._writers[kind].put(self._keys[-1], encode_png(image))

    def finish(self) -> None:
        for writer in self._writers.values():
            writer.finish(self._keys)
        lines = [f'{clip} {TRAIN_CLIP_FRAMES} ({h},{w},{c})\n' for clip, (h, w, c) in self._clips.items()]
        (self._folder / 'meta_info.txt').write_text(''.join(lines), encoding='utf-8')


def _write_test(test: Path, clip: str, number: int, images: dict[str, np.ndarray]) -> None:
    for kind, image in images.items():
        folder = test / kind / clip
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f'{number:08d}.png').write_bytes(encode_png(image))
