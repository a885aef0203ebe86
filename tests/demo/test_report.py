import cv2
import numpy as np
import pytest

from gsm_plugin.data.bicubic import resize_bicubic
from gsm_plugin.demo.report import DemoResults, draw_demo, score_demo

LENGTHS = {'bikes': 3, 'bunny': 2}


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def write_results(root, noise=2):
    """GT with an edge and texture, its LQ, and an output that is GT with a little noise."""
    rng = np.random.default_rng(0)
    for clip, length in LENGTHS.items():
        for i in range(length):
            gt = rng.integers(60, 120, (32, 48, 3), np.uint8)
            gt[:, 20 + i :] += 100
            output = (gt + rng.integers(-noise, noise + 1, gt.shape)).clip(0, 255).astype(np.uint8)
            write(root / 'data' / 'GT' / clip / f'{i:08d}.png', gt)
            write(root / 'data' / 'LQ' / clip / f'{i:08d}.png', resize_bicubic(gt, 1 / 4))
            write(root / 'images' / clip / f'{i:08d}_run.png', output)
    return root / 'data', root / 'images', 'run'


def images_of(root, clip, i):
    gt = cv2.imread(str(root / 'data' / 'GT' / clip / f'{i:08d}.png'))
    lq = cv2.imread(str(root / 'data' / 'LQ' / clip / f'{i:08d}.png'))
    output = cv2.imread(str(root / 'images' / clip / f'{i:08d}_run.png'))
    return resize_bicubic(lq, 4), output, gt


def psnr(image, gt):
    return 20 * np.log10(255 / np.sqrt(((image.astype(float) - gt) ** 2).mean()))


def ssim(image, gt):
    """Wang et al. 2004: 11 x 11 Gaussian of sigma 1.5, whole windows only, mean over the channels."""
    ramp = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    window = np.outer(ramp, ramp) / ramp.sum() ** 2

    def blur(values):
        views = np.lib.stride_tricks.sliding_window_view(values, (11, 11), axis=(0, 1))
        return np.einsum('ijcxy,xy->ijc', views, window)

    x, y = image.astype(float), gt.astype(float)
    mean_x, mean_y = blur(x), blur(y)
    variances = blur(x**2) - mean_x**2 + blur(y**2) - mean_y**2
    covariance = blur(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    scores = (2 * mean_x * mean_y + c1) * (2 * covariance + c2) / ((mean_x**2 + mean_y**2 + c1) * (variances + c2))
    return scores.mean()


def test_scores_are_the_means_over_frames_of_psnr_and_ssim_in_rgb_without_a_cut_border(tmp_path):
    scores = score_demo(DemoResults(*write_results(tmp_path)))
    assert [score.clip for score in scores] == ['bikes', 'bunny']
    for score in scores:
        frames = [images_of(tmp_path, score.clip, i) for i in range(LENGTHS[score.clip])]
        for side, column in (('baseline', 0), ('output', 1)):
            actual = getattr(score, side)
            for metric, calculate in (('PSNR', psnr), ('SSIM', ssim)):
                expected = np.mean([calculate(images[column], images[2]) for images in frames])
                assert actual[metric] == pytest.approx(expected, abs=1e-9)


def test_the_picture_shows_the_middle_frame_of_each_clip(tmp_path):
    results = DemoResults(*write_results(tmp_path))
    read = []
    real_read = results.read
    results.read = lambda clip, frame: read.append((clip, frame)) or real_read(clip, frame)
    draw_demo(results, tmp_path / 'comparison.png')
    assert read == [('bikes', 1), ('bunny', 1)]
    picture = cv2.imread(str(tmp_path / 'comparison.png'))
    assert picture.shape[1] == 1600


def test_the_picture_has_lq_bicubic_output_and_gt_from_left_to_right(tmp_path):
    arguments = write_results(tmp_path)
    for i in range(3):
        path = tmp_path / 'images' / 'bikes' / f'{i:08d}_run.png'
        write(path, cv2.imread(str(path)) // 2)
    draw_demo(DemoResults(*arguments), tmp_path / 'comparison.png')
    # Well inside the magnified regions of the first clip's four columns.
    picture = cv2.imread(str(tmp_path / 'comparison.png')).astype(float)
    bottom = picture[450:600]
    lq, bicubic, output, gt = (bottom[:, x + 20 : x + 350] for x in (32, 420, 808, 1196))
    assert output.mean() < 0.6 * gt.mean()
    assert abs(bicubic.mean() - gt.mean()) < 5
    assert abs(lq.mean() - gt.mean()) < 5
    roughness = [(np.diff(part, axis=1) ** 2).mean() for part in (bicubic, lq, gt)]
    assert roughness == sorted(roughness)


def test_a_missing_output_is_named_before_anything_is_scored(tmp_path):
    arguments = write_results(tmp_path)
    (tmp_path / 'images' / 'bunny' / '00000001_run.png').unlink()
    with pytest.raises(FileNotFoundError, match=r'00000001_run\.png is missing; run the test with val: save_img: true'):
        DemoResults(*arguments)


def test_an_output_of_another_size_is_named(tmp_path):
    arguments = write_results(tmp_path)
    write(tmp_path / 'images' / 'bikes' / '00000000_run.png', np.zeros((16, 24, 3), np.uint8))
    with pytest.raises(ValueError, match=r'00000000_run\.png has the shape \(16, 24, 3\), .* test with the scale'):
        DemoResults(*arguments).read('bikes', 0)
