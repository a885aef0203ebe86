import numpy as np
import pytest

from gsm_plugin.scoring.report.regions import Region, choose_region


def planted(better=(20, 32), size=(8, 10)):
    """Noise as GT, an error of 8 everywhere, but none in the output in one region of stronger contrast."""
    rng = np.random.default_rng(0)
    gt = rng.integers(100, 140, (40, 60, 3)).astype(np.uint8)
    region = np.s_[better[0] : better[0] + size[0], better[1] : better[1] + size[1]]
    gt[region] = rng.integers(60, 180, (*size, 3))
    baseline = gt + np.uint8(8)
    output = baseline.copy()
    output[region] = gt[region]
    return output, baseline, gt


@pytest.mark.parametrize('corner', [(20, 32), (0, 0), (32, 50)])
def test_the_region_where_the_output_is_better_is_found(corner):
    assert choose_region(*planted(corner), (8, 10)) == Region(*corner, 8, 10)


def test_a_flat_region_is_passed_over_even_if_the_gain_is_larger_there():
    output, baseline, gt = planted((20, 32))
    gt[4:12, 5:15], baseline[4:12, 5:15], output[4:12, 5:15] = 128, 137, 128
    assert choose_region(output, baseline, gt, (8, 10)) == Region(20, 32, 8, 10)


def test_where_the_output_is_worse_everywhere_the_least_loss_is_taken():
    _, baseline, gt = planted((20, 32))
    worse = baseline + np.uint8(20)
    worse[20:28, 32:42] = baseline[20:28, 32:42]
    assert choose_region(worse, baseline, gt, (8, 10)) == Region(20, 32, 8, 10)


def test_the_whole_image_is_the_only_region_of_its_size():
    assert choose_region(*planted(), (40, 60)) == Region(0, 0, 40, 60)


def test_a_region_cuts_its_part_out_of_an_image():
    image = np.arange(24).reshape(4, 6)
    np.testing.assert_array_equal(Region(1, 2, 2, 3).of(image), [[8, 9, 10], [14, 15, 16]])


def test_a_region_larger_than_the_image_is_refused():
    with pytest.raises(ValueError, match='region of 41x10 does not fit an image of 40x60; ask for a smaller'):
        choose_region(*planted(), (41, 10))


def test_images_of_different_shapes_are_refused():
    output, baseline, gt = planted()
    with pytest.raises(ValueError, match=r'\(40, 59, 3\).*must be the same'):
        choose_region(output, baseline[:, 1:], gt, (8, 10))
