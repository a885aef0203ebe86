import numpy as np
import pytest
import torch

from gsm_plugin.inference.video.colour import to_rgb
from gsm_plugin.inference.video.facts import Picture
from gsm_plugin.inference.video.layout import Layout
from gsm_plugin.inference.video.survey import shrinking


@pytest.mark.parametrize(
    ('name', 'full_range', 'matrix'),
    [('yuv444p', False, 1), ('yuv444p', True, 5), ('yuv444p10le', False, 9), ('gray10le', False, 1), ('gbrp', True, 0)],
)
def test_colours_of_small_frames_are_those_of_the_film(name, full_range, matrix):
    layout = Layout(name, full_range, matrix)
    codes = np.random.default_rng(0).integers(0, 2**layout.depth, (3, 12, 16))
    planes = tuple(codes[: len(layout.plane_shapes(12, 16))].astype(layout.dtype))
    small = shrinking(layout)(Picture(planes, 0, 1))
    rgb = to_rgb([torch.from_numpy(plane.astype(np.int32))[None] for plane in planes], layout)[0]
    expected = (255 * rgb).clamp(0, 255).permute(1, 2, 0).numpy()[..., ::-1]
    assert small.dtype == np.uint8
    assert np.abs(small - expected).max() < 1.01


def test_large_frames_become_small_and_keep_their_shape():
    planes = tuple(np.full(shape, 128, np.uint8) for shape in ((540, 1024), (270, 512), (270, 512)))
    small = shrinking(Layout('yuv420p', False, 1))(Picture(planes, 0, 1))
    assert small.shape == (135, 256, 3)
    assert small.min() == small.max() == 130
