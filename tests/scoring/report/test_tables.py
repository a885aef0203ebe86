import pytest

from gsm_plugin.scoring.report.tables import ClipScore, comparison_table, markdown_table, mean_score


def score(clip, baseline, output):
    return ClipScore(clip, {'PSNR': baseline, 'SSIM': baseline / 100}, {'PSNR': output, 'SSIM': output / 100})


def test_the_table_has_a_row_per_clip_and_the_mean_over_clips():
    actual = comparison_table([score('bikes', 28, 28.5), score('b', 30, 29)], {'PSNR': 2, 'SSIM': 4})
    expected = (
        '| clip  | PSNR bicubic | PSNR GSM | PSNR gain | SSIM bicubic | SSIM GSM | SSIM gain |\n'
        '| ----- | -----------: | -------: | --------: | -----------: | -------: | --------: |\n'
        '| bikes |        28.00 |    28.50 |     +0.50 |       0.2800 |   0.2850 |   +0.0050 |\n'
        '| b     |        30.00 |    29.00 |     -1.00 |       0.3000 |   0.2900 |   -0.0100 |\n'
        '| mean  |        29.00 |    28.75 |     -0.25 |       0.2900 |   0.2875 |   -0.0025 |\n'
    )
    assert actual == expected


def test_the_headings_can_be_named():
    table = comparison_table([score('a', 1, 2)], {'PSNR': 1}, baseline='bilinear', output='ours')
    assert '| clip | PSNR bilinear | PSNR ours | PSNR gain |' in table


def test_the_gain_is_that_of_the_output_over_the_baseline():
    assert score('a', 28, 28.5).gain('PSNR') == 0.5


def test_the_mean_of_no_clips_is_refused():
    with pytest.raises(ValueError, match='no clips to average; give at least one'):
        mean_score([])


def test_a_row_of_another_length_is_refused():
    with pytest.raises(ValueError, match=r"row \['x'\] has 1 cells, the header 2"):
        markdown_table(['a', 'b'], [['x']])
