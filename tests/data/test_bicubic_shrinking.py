import numpy as np
import pytest

from gsm_plugin.data.bicubic import resize_bicubic, shrink_bicubic
from tests.data.pictures import assert_same_levels


@pytest.mark.parametrize('scale, height, width', [(4, 64, 48), (4, 16, 20), (2, 30, 22), (3, 33, 63), (8, 64, 64)])
def test_shrinks_as_imresize_does(scale, height, width):
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    actual = np.rint(shrink_bicubic(image, scale)).clip(0, 255).astype(np.uint8)
    assert_same_levels(actual, resize_bicubic(image, 1 / scale))
