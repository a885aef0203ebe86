"""Pictures and clips with detail, and data sets that are read as a training reads them."""

import cv2
import numpy as np

from gsm_plugin.training.data_order import SeededSamples


def picture(height=96, width=112, seed=0, sigma=1.5):
    """(h, w, 3), uint8: noise, blurred so that it can be followed."""
    noise = np.random.default_rng(seed).uniform(0, 255, (height, width, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), sigma)
    low, high = smooth.min(), smooth.max()
    return np.rint((smooth - low) / (high - low) * 255).astype(np.uint8)


def write_stills(folder, count=2, **size):
    folder.mkdir(parents=True)
    for number in range(count):
        cv2.imwrite(str(folder / f'still{number}.png'), picture(seed=number, **size))
    return folder


def write_clips(folder, clips=('a', 'b'), frames=9, size=(64, 80)):
    """Clips of one picture that moves on by a pixel a frame."""
    for number, clip in enumerate(clips):
        (folder / clip).mkdir(parents=True)
        whole = picture(size[0], size[1] + frames, seed=number)
        for frame in range(frames):
            cv2.imwrite(str(folder / clip / f'{frame:08d}.png'), whole[:, frame : frame + size[1]])
    return folder


def sample(dataset, index=0, place=0):
    """A sample as training draws it at a place of epoch 0."""
    return SeededSamples(dataset)[index, 0, 0, 0, place]


def same(first, second):
    """Whether two samples are equal, bit for bit."""
    return all((first[key] == second[key]).all() for key in ('lq', 'gt'))


def assert_same_levels(actual, expected):
    """That images are equal but for few values between two levels, which rounded the other way."""
    difference = np.abs(actual.astype(int) - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.003
