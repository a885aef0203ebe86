import numpy as np
import pytest
import torch

from gsm_plugin.errors import UserError
from gsm_plugin.inference.video.colour import from_rgb, to_rgb
from gsm_plugin.inference.video.layout import LOCATIONS, Layout, matrix_of, output_layout

FORMATS = ('yuv420p', 'yuv422p', 'yuv444p', 'yuv440p', 'yuv411p', 'yuv410p', 'yuv420p10le', 'yuv422p12le', 'gray10le')


def random_planes(layout, height, width):
    return [torch.randint(0, 2**layout.depth, (1, *shape)) for shape in layout.plane_shapes(height, width)]


@pytest.mark.parametrize('size', [(1, 1), (7, 9), (40, 64), (241, 321), (300, 402)])
@pytest.mark.parametrize('pixel_format', [*FORMATS, 'yuv420p16le', 'gbrp', 'gbrp16le', 'gray'])
def test_there_and_back_changes_no_code(pixel_format, size):
    torch.manual_seed(0)
    # All positions with small planes, two with large ones.
    for location in LOCATIONS[: 6 if size[0] < 100 else 2]:
        layout = Layout(pixel_format, location == 'center', 0 if 'gbr' in pixel_format else 9, location)
        planes = random_planes(layout, *size)
        back = from_rgb(to_rgb(planes, layout), layout)
        assert all(torch.equal(a, b.long()) for a, b in zip(planes, back, strict=True)), location


@pytest.mark.parametrize('matrix, red', [(1, (63, 102, 240)), (6, (81, 90, 240)), (9, (74, 97, 240))])
def test_red_has_the_codes_of_its_matrix(matrix, red):
    """ITU-R BT.709, BT.601 and BT.2020: codes of pure red in limited range."""
    clip = torch.zeros(1, 3, 4, 4)
    clip[:, 0] = 1
    assert tuple(int(plane[0, 0, 0]) for plane in from_rgb(clip, Layout('yuv444p', False, matrix))) == red


@pytest.mark.parametrize('full, black, white', [(False, 16, 235), (True, 0, 255)])
def test_black_and_white_have_the_codes_of_their_range(full, black, white):
    layout = Layout('yuv420p', full, 1)
    for value, code in ((0, black), (1, white)):
        luma, blue, red = from_rgb(torch.full((1, 3, 4, 4), float(value)), layout)
        assert luma.unique().tolist() == [code]
        assert blue.unique().tolist() == red.unique().tolist() == [128]


def test_chroma_lies_where_its_position_says():
    """A ramp of chroma, sampled at its position and interpolated, is the same ramp again."""
    places = {'left': 0, 'center': 0.5}
    for location, offset in places.items():
        layout = Layout('yuv422p', True, 1, location)
        samples = 100 + 8 * (offset + 2 * torch.arange(16.0))
        planes = [torch.full((1, 2, 32), 128.0), samples.expand(1, 2, 16), torch.full((1, 2, 16), 128.0)]
        blue = to_rgb(planes, layout)[0, 2, 0]
        expected = (100 + 8 * torch.arange(32.0) - 128) / 255 * 2 * (1 - 0.0722) + 128 / 255
        assert torch.allclose(blue[1:-2], expected[1:-2], atol=1e-5)


def test_an_unspecified_matrix_is_guessed_as_players_do_and_an_unknown_one_refused():
    assert matrix_of(2, 576, 'yuv', 'film') == 6
    assert matrix_of(2, 720, 'yuv', 'film') == 1
    with pytest.raises(UserError, match='matrix 14'):
        matrix_of(14, 720, 'yuv', 'film')


@pytest.mark.parametrize(
    'given, size, enlarged, expected',
    [
        ('yuv444p', (964, 1284), True, 'yuv420p'),
        ('yuv444p', (241, 321), False, 'yuv444p'),
        ('yuv420p10le', (720, 1280), True, 'yuv420p10le'),
        ('yuv420p', (723, 1281), True, 'yuv444p'),
        ('yuv422p', (180, 321), False, 'yuv444p'),
        ('gbrp', (720, 1280), True, 'yuv420p'),
        ('gray', (720, 1280), True, 'yuv420p'),
    ],
)
def test_the_output_keeps_depth_and_chroma_as_far_as_its_size_allows(given, size, enlarged, expected):
    depth = Layout(given, False, 1).depth
    assert output_layout(Layout(given, False, 1), *size, enlarged, None, depth).pixel_format == expected


def test_a_pixel_format_that_does_not_fit_the_size_is_refused():
    with pytest.raises(UserError, match='321x241'):
        output_layout(Layout('yuv420p', False, 1), 241, 321, False, 'yuv420p')
    with pytest.raises(UserError, match='nv12'):
        output_layout(Layout('yuv420p', False, 1), 240, 320, False, 'nv12')


def test_codes_outside_of_rgb_are_not_clipped():
    layout = Layout('yuv444p', False, 1)
    planes = [torch.full((1, 2, 2), value) for value in (235, 240, 240)]
    assert to_rgb(planes, layout).max() > 1.2
    assert np.array_equal([int(plane[0, 0, 0]) for plane in from_rgb(to_rgb(planes, layout), layout)], [235, 240, 240])


def test_nothing_comes_from_the_host_once_frames_of_a_size_were_converted(monkeypatch):
    layout, clip = Layout('yuv420p', False, 1), torch.rand(2, 3, 40, 500)
    before = from_rgb(clip, layout)

    def copied(*arguments):
        raise AssertionError('a GPU would wait for this')

    monkeypatch.setattr(torch, 'from_numpy', copied)
    monkeypatch.setattr(torch, 'tensor', copied)
    assert all(map(torch.equal, from_rgb(clip, layout), before))
