"""One decoder for all: what is read is turned as EXIF says, keeps 16 bits, and has the size that its header tells."""

import io
import os

import cv2
import numpy as np
import pytest
from basicsr.data.data_util import read_img_seq
from basicsr.utils import imfrombytes
from PIL import Image, ImageOps

from gsm_plugin.compat.image_files import decode_image, header_of, read_file, read_header, read_image, to_8_bit, to_unit
from gsm_plugin.errors import UserError

NOISE = np.random.default_rng(0)


def picture(fmt, orientation, exif=None):
    """The bytes of an image of 6x10 pixels as stored, and what Pillow shows of it, BGR."""
    stored = cv2.resize(NOISE.integers(0, 256, (2, 3, 3), np.uint8), (10, 6), interpolation=cv2.INTER_CUBIC)
    tags = Image.Exif()
    tags[0x0112] = orientation
    how = {'TIFF': {'tiffinfo': {0x0112: orientation}}, 'WEBP': {'lossless': True}, 'JPEG': {'quality': 100}}
    how = how.get(fmt, {}) | ({} if fmt == 'TIFF' else {'exif': exif or tags.tobytes()})
    buffer = io.BytesIO()
    Image.fromarray(stored).save(buffer, fmt, **how)
    shown = Image.open(buffer) if exif else ImageOps.exif_transpose(Image.open(buffer))
    return buffer.getvalue(), np.asarray(shown.convert('RGB'))[..., ::-1]


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('fmt', ['JPEG', 'PNG', 'WEBP', 'TIFF'])
def test_pixels_and_size_are_turned_by_the_same_tag(fmt, orientation):
    content, expected = picture(fmt, orientation)
    actual = decode_image(content, 'x')
    assert header_of(content, 'x').size == actual.shape[:2] == ((10, 6) if orientation > 4 else (6, 10))
    # JPEG decoders differ by a level or two
    np.testing.assert_allclose(actual.astype(int), expected, atol=3 if fmt == 'JPEG' else 0)


def test_exif_that_cannot_be_parsed_turns_nothing():
    content, expected = picture('PNG', 1, exif=b'Exif\x00\x00nonsense')
    np.testing.assert_array_equal(decode_image(content, 'x'), expected)
    assert header_of(content, 'x').orientation == 1


@pytest.mark.parametrize('suffix', ['png', 'tif'])
@pytest.mark.parametrize('shape', [(5, 7, 3), (5, 7), (5, 7, 4)])
def test_16_bits_are_kept(tmp_path, shape, suffix):
    stored = NOISE.integers(0, 65536, shape).astype(np.uint16)
    path = tmp_path / f'x.{suffix}'
    cv2.imwrite(str(path), stored)
    colour = stored[..., :3] if stored.ndim == 3 else np.repeat(stored[..., None], 3, 2)
    np.testing.assert_array_equal(read_image(path), colour)
    expected = colour / 65535
    assert np.abs(to_unit(read_image(path)) - expected).max() < 0.01 / 65535
    # as BasicSR's data sets read: from bytes in training, from a list of paths in tests
    assert np.abs(imfrombytes(path.read_bytes(), float32=True) - expected).max() < 0.01 / 65535
    clip = read_img_seq([str(path)])[0].permute(1, 2, 0).numpy()[..., ::-1]
    assert np.abs(clip - expected).max() < 0.01 / 65535
    assert imfrombytes(path.read_bytes()).dtype == np.uint8


def test_16_bits_are_rounded_to_8_where_8_are_wanted():
    image = np.array([[[0, 128, 129], [65535, 257, 65406]]], np.uint16)
    np.testing.assert_array_equal(to_8_bit(image), [[[0, 0, 1], [255, 1, 254]]])


def test_8_bits_are_what_opencv_reads(tmp_path):
    cv2.imwrite(str(tmp_path / 'x.png'), NOISE.integers(0, 256, (5, 7, 3), np.uint8))
    expected = cv2.imread(str(tmp_path / 'x.png'))
    np.testing.assert_array_equal(read_image(tmp_path / 'x.png'), expected)
    np.testing.assert_array_equal(to_unit(expected), expected.astype(np.float32) / 255.0)


@pytest.mark.parametrize('mode, channels, has_alpha', [('L', 1, False), ('LA', 4, True), ('RGBA', 4, True)])
def test_a_header_tells_channels_and_alpha(mode, channels, has_alpha):
    buffer = io.BytesIO()
    Image.new(mode, (4, 3)).save(buffer, 'PNG')
    header = header_of(buffer.getvalue(), 'x')
    assert (header.shape, header.has_alpha) == ((3, 4, channels), has_alpha)
    assert decode_image(buffer.getvalue(), 'x').shape == (3, 4, 3)


def test_a_palette_with_a_transparent_colour_has_alpha():
    buffer = io.BytesIO()
    Image.new('P', (4, 3)).save(buffer, 'PNG', transparency=0)
    assert header_of(buffer.getvalue(), 'x').has_alpha


@pytest.mark.parametrize('read', [read_image, read_header])
def test_pixels_that_are_no_whole_numbers_are_refused(tmp_path, read):
    # Pillow does not know colours of this kind, so the header alone would call the file damaged
    cv2.imwrite(str(tmp_path / 'x.tif'), np.zeros((3, 4, 3), np.float32))
    with pytest.raises(UserError, match=r'x\.tif has float32 pixels; frames have 8 or 16 bits'):
        read(tmp_path / 'x.tif')


@pytest.mark.parametrize('kind', ['float32', 'int32'])
def test_so_are_gray_ones(tmp_path, kind):
    # whose header Pillow knows
    Image.fromarray(np.zeros((3, 4), kind)).save(tmp_path / 'x.tif')
    with pytest.raises(UserError, match=rf'x\.tif has {kind} pixels; frames have 8 or 16 bits'):
        read_image(tmp_path / 'x.tif')


@pytest.mark.parametrize('fmt', ['JPEG', 'PNG', 'WEBP', 'TIFF', 'BMP'])
@pytest.mark.parametrize('kept', [0.2, 0.6, 0.97])
def test_a_cut_file_is_never_half_an_image(fmt, kept):
    buffer = io.BytesIO()
    Image.fromarray(NOISE.integers(0, 256, (24, 24, 3), np.uint8)).save(buffer, fmt)
    content = buffer.getvalue()[: int(kept * len(buffer.getvalue()))]
    with pytest.raises(UserError, match='clip/7 is damaged, cut, or no image; copy or make it again'):
        decode_image(content, 'clip/7')


@pytest.mark.parametrize('suffix', ['.png', '.jpg', '.webp', '.tif', '.bmp'])
def test_opencv_says_nothing_of_its_own_about_a_cut_file(suffix, capfd):
    image = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    content = cv2.imencode(suffix, image)[1].tobytes()
    with pytest.raises(UserError, match='is damaged, cut, or no image'):
        decode_image(content[: len(content) * 2 // 3], 'frame')
    assert capfd.readouterr().err == ''


def test_a_file_that_cannot_be_read_is_named_with_its_cure(tmp_path):
    (tmp_path / 'dead.png').symlink_to('/nowhere/0.png')
    (tmp_path / 'empty.png').touch()
    (tmp_path / 'folder.png').mkdir()
    for name, sentence in (
        ('dead.png', 'is a link to /nowhere/0.png, which does not exist; copy the file, or link it again.'),
        ('empty.png', 'is empty (0 bytes); copy or make it again.'),
        ('folder.png', 'is a folder, not an image; rename or remove it.'),
        ('missing.png', 'does not exist; add it.'),
    ):
        for read in (read_file, read_header, read_image):
            with pytest.raises(UserError) as error:
                read(tmp_path / name)
            assert str(error.value) == f'{tmp_path / name} {sentence}'


@pytest.mark.skipif(os.name != 'posix' or os.geteuid() == 0, reason='the superuser may read everything')
def test_a_forbidden_file_is_named(tmp_path):
    (tmp_path / 'x.png').touch(mode=0)
    with pytest.raises(UserError, match=r'x\.png cannot be read \(permission denied\); correct its permissions'):
        read_image(tmp_path / 'x.png')


@pytest.mark.parametrize(
    'error, sentence', [(PermissionError(13, 'no'), 'permission denied'), (OSError(5, 'I/O'), 'I/O')]
)
def test_other_failures_of_the_disk_are_named(tmp_path, monkeypatch, error, sentence):
    def fail(*_):
        raise error

    monkeypatch.setattr('pathlib.Path.read_bytes', fail)
    with pytest.raises(UserError, match=rf'x\.png cannot be read \({sentence}\)'):
        read_file(tmp_path / 'x.png')


def test_frames_of_several_sizes_are_named_where_basicsr_reads_a_test_clip(tmp_path):
    for number, side in enumerate((4, 4, 5)):
        cv2.imwrite(str(tmp_path / f'{number}.png'), np.zeros((4, side, 3), np.uint8))
    with pytest.raises(UserError, match=r'2\.png has 4x5 pixels but .*0\.png has 4x4; make all frames of a clip the'):
        read_img_seq(str(tmp_path))


@pytest.mark.skipif(not hasattr(os, 'mkfifo'), reason='there are no named pipes')
@pytest.mark.parametrize('read', [read_file, read_header, read_image])
def test_a_named_pipe_is_refused_where_reading_would_wait_for_ever(read, tmp_path):
    os.mkfifo(tmp_path / '00000001.png')
    with pytest.raises(UserError, match=r'00000001\.png is a pipe, a socket or a device, and no file; remove it'):
        read(tmp_path / '00000001.png')
