import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from gsm_plugin.scoring.report.pictures import Panel, comparison_strip, region_size, write_comparison
from gsm_plugin.scoring.report.regions import Region

RED, BLUE = (200, 30, 30), (20, 40, 220)
ORANGE = (255, 176, 0)


def panels(count=4, size=(272, 640)):
    """Flat images of different brightness; each has a red region of 40 x 60 at (100, 200)."""
    images = []
    for i in range(count):
        image = np.full((*size, 3), 60 + 40 * i, np.uint8)
        image[100:140, 200:260] = RED
        images.append(Panel(f'panel {i}', f'{20 + i}.00 dB', image))
    return images


def strip(**changes):
    arguments = {'title': 'clip', 'note': 'frame', 'panels': panels(), 'region': Region(100, 200, 40, 60), **changes}
    return np.asarray(comparison_strip(**arguments))


def share(picture, colour):
    return (np.abs(picture.astype(int) - colour).max(-1) <= 8).mean()


@pytest.mark.parametrize('size', [(272, 640), (360, 640), (300, 300), (640, 200)])
@pytest.mark.parametrize('count', [1, 2, 4])
def test_every_panel_is_shown_whole_and_nothing_reaches_the_margins(size, count):
    picture = strip(panels=panels(count, size), region=Region(100, 100, 40, 60))
    assert picture.shape[1] == 1600
    for border in (picture[:, :32], picture[:, -32:], picture[:30]):
        assert (border == 255).all()
    # Columns that are not white in the last row, which runs through the magnified regions.
    dark = (picture[-10] != 255).any(-1)
    assert np.diff(np.flatnonzero(np.diff(np.pad(dark.astype(int), 1)))[::2]).size == count - 1


def test_the_magnified_region_is_what_was_asked_for():
    magnified = strip()[-200:]
    assert share(magnified, RED) > 0.9
    assert share(strip(region=Region(0, 0, 40, 60))[-200:], RED) == 0


def test_the_region_is_marked_in_each_whole_image():
    picture = strip()
    above = picture[: picture.shape[0] - 260]
    assert share(above, ORANGE) > 0.002
    starts = np.flatnonzero(np.diff((np.abs(above.astype(int) - ORANGE).max(-1) <= 8).any(0).astype(int)) == 1)
    assert len(starts) == 4


def test_a_region_of_the_advised_size_is_magnified_four_times():
    height, width = region_size((272, 640), 4)
    image = np.zeros((272, 640, 3), np.uint8)
    image[::2, ::2] = image[1::2, 1::2] = 255
    board = [Panel('a', '', image)] * 4
    picture = np.asarray(comparison_strip('t', '', board, Region(0, 0, height, width)))
    detail = picture[-4 * height :, 32 : 32 + 4 * width][4:-4, 4:-4]
    expected = np.kron(image[1 : height - 1, 1 : width - 1], np.ones((4, 4, 1), np.uint8))
    np.testing.assert_array_equal(detail, expected)


def test_the_region_is_never_larger_than_the_image():
    assert region_size((10, 2000), 4)[0] == 10
    assert region_size((40, 20), 4) == (15, 20)
    assert region_size((1, 1), 4) == (1, 1)


def test_labels_and_notes_change_what_is_drawn():
    plain = strip(note='')
    assert (strip() != plain).any()
    assert (strip(title='other') != strip()).any()
    renamed = [Panel('x', panel.note, panel.image) for panel in panels()]
    assert (strip(panels=renamed) != strip()).any()


def test_panels_of_different_sizes_are_refused():
    with pytest.raises(ValueError, match=r'sizes \[\(8, 8, 3\), \(8, 9, 3\)\]; give at least one, all of one size'):
        strip(panels=[Panel('a', '', np.zeros((8, w, 3), np.uint8)) for w in (8, 9)])
    with pytest.raises(ValueError, match='at least one'):
        strip(panels=[])


def test_a_region_outside_the_images_is_refused():
    with pytest.raises(ValueError, match=r'width=60\) is not inside the images of 272x640 pixels'):
        strip(region=Region(100, 600, 40, 60))


def test_strips_are_written_below_each_other_with_a_footnote(tmp_path):
    strips = [comparison_strip(str(i), '', panels(), Region(100, 200, 40, 60)) for i in range(2)]
    path = tmp_path / 'new' / 'comparison.png'
    write_comparison(strips, 'a footnote', path)
    picture = np.asarray(Image.open(path))
    height = strips[0].height
    np.testing.assert_array_equal(picture[:height], np.asarray(strips[0]))
    np.testing.assert_array_equal(picture[height : 2 * height], np.asarray(strips[1]))
    assert (picture[2 * height :] != 255).any()
    assert [child.name for child in path.parent.iterdir()] == ['comparison.png']


def test_pillow_is_imported_only_to_draw():
    code = 'import sys, gsm_plugin.scoring.report.pictures as p; sys.exit("PIL" in sys.modules)'
    assert subprocess.run([sys.executable, '-c', code]).returncode == 0


def test_long_labels_leave_room_for_their_notes():
    image = np.full((90, 120, 3), 255, np.uint8)
    row = [Panel('a network of a long name', '26.43 dB', image), *[Panel('GT', '', image)] * 4]
    picture = np.asarray(comparison_strip('clip', '', row, Region(0, 0, 15, 20)))
    column = 32 + region_size((1000, 1000), 5)[1] * 4
    labels = picture[86:124]
    assert (labels[:, 32:column] < 128).any()
    assert (labels[:, column : column + 16] > 250).all()
