import numpy as np
import pytest
from PIL import Image

from gsm_plugin.compat.image_files import read_image
from gsm_plugin.errors import UserError
from gsm_plugin.inference.video.images import FolderReading, learn_folder


def write(path, orientation, mode='RGB', size=(6, 4)):
    draw = np.random.default_rng(orientation)
    tags = Image.Exif()
    tags[0x0112] = orientation
    Image.fromarray(draw.integers(0, 256, (*size, 3), np.uint8)).convert(mode).save(path, exif=tags.tobytes())


@pytest.mark.parametrize('suffix, orientation', [('png', 3), ('jpg', 6), ('webp', 8)])
def test_images_are_turned_as_exif_says(tmp_path, suffix, orientation):
    write(tmp_path / f'0.{suffix}', orientation)
    facts = learn_folder(tmp_path)
    expected = read_image(tmp_path / f'0.{suffix}')
    assert (facts.height, facts.width) == expected.shape[:2] == ((4, 6) if orientation > 4 else (6, 4))
    (picture,) = FolderReading(facts).pictures()
    green, blue, red = picture.planes
    np.testing.assert_array_equal(np.stack([blue, green, red], -1), expected)


@pytest.mark.parametrize('mode, kind, transparent', [('L', 'gray', False), ('LA', 'rgb', True), ('RGBA', 'rgb', True)])
def test_grey_stays_one_plane_and_alpha_is_told(tmp_path, mode, kind, transparent):
    write(tmp_path / '0.png', 1, mode)
    facts = learn_folder(tmp_path)
    assert (facts.layout.kind, facts.transparent) == (kind, transparent)
    (picture,) = FolderReading(facts).pictures()
    assert len(picture.planes) == (1 if kind == 'gray' else 3)


def test_an_empty_file_is_named(tmp_path):
    write(tmp_path / '0.png', 1)
    (tmp_path / '1.png').touch()
    with pytest.raises(UserError, match=r'1\.png is empty \(0 bytes\)'):
        list(FolderReading(learn_folder(tmp_path)).pictures())
