"""Scores and a picture of the demo's result on the held-out frames, against bicubic enlargement."""

from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np
from basicsr.metrics import calculate_metric
from tqdm import tqdm

from gsm_plugin.compat.image_files import read_image, to_8_bit
from gsm_plugin.data.bicubic import resize_bicubic
from gsm_plugin.data.frame_sources import FolderSource
from gsm_plugin.scoring.report.pictures import Panel, comparison_strip, region_size, write_comparison
from gsm_plugin.scoring.report.regions import choose_region
from gsm_plugin.scoring.report.tables import ClipScore

if TYPE_CHECKING:
    from PIL import Image

METRIC_DIGITS = {'PSNR': 2, 'SSIM': 4}
_METRICS = {'PSNR': 'calculate_psnr', 'SSIM': 'calculate_ssim'}
_FOOTNOTE = (
    'PSNR of the whole frame (RGB, no border cut away). Magnified: the textured part where GSM gains most over bicubic.'
)


class DemoResults:
    """The images of the demo's test: LQ, bicubic, output and GT of each frame, all (h, w, 3), uint8, BGR.

    Args:
        data: Folder with `LQ/<clip>/<frame>.png` and `GT/...`.
        images: Folder with the output, `<clip>/<frame>_<suffix>.png`.
        suffix: What validation puts behind the frame's name.

    Raises:
        FileNotFoundError: An image is missing.
    """

    def __init__(self, data: str | Path, images: str | Path, suffix: str):
        self._lq, self._gt = (FolderSource(Path(data) / kind) for kind in ('LQ', 'GT'))
        self._images, self._suffix = Path(images), suffix
        self.frames = self._gt.frames
        for clip, names in self.frames.items():
            for name in names:
                path = self._output_path(clip, name)
                if not path.is_file():
                    raise FileNotFoundError(
                        f'{path} is missing; run the test with val: save_img: true first, or correct the suffix.'
                    )

    def read(self, clip: str, frame: int) -> dict[str, np.ndarray]:
        """Reads one frame: the images under `lq`, `bicubic`, `output` and `gt`.

        Raises:
            ValueError: The output has not the size of the ground truth, or an image is damaged.
        """
        lq, gt = (_to_8_bit(source.read(clip, frame)) for source in (self._lq, self._gt))
        path = self._output_path(clip, self.frames[clip][frame])
        output = to_8_bit(read_image(path))
        if output.shape != gt.shape:
            raise ValueError(
                f'{path} has the shape {output.shape}, the ground truth {gt.shape}; test with the scale of the data.'
            )
        return {'lq': lq, 'bicubic': resize_bicubic(lq, gt.shape[0] / lq.shape[0]), 'output': output, 'gt': gt}

    def _output_path(self, clip: str, name: str) -> Path:
        return self._images / clip / f'{name}_{self._suffix}.png'


def score_demo(results: DemoResults) -> list[ClipScore]:
    """Scores bicubic and the output of each clip: RGB, no border cut away, mean over frames."""
    total = sum(map(len, results.frames.values()))
    with tqdm(total=total, unit='frame', desc='scores') as bar:
        return [_score_clip(results, clip, bar) for clip in results.frames]


def draw_demo(results: DemoResults, path: str | Path) -> None:
    """Writes a picture of the middle frame of each clip: LQ, bicubic, GSM and GT, with a magnified region."""
    write_comparison([_strip(results, clip) for clip in results.frames], _FOOTNOTE, path)


def _score_clip(results: DemoResults, clip: str, bar: tqdm) -> ClipScore:
    values: dict[str, dict[str, list[float]]] = {
        kind: {metric: [] for metric in _METRICS} for kind in ('bicubic', 'output')
    }
    for frame in range(len(results.frames[clip])):
        images = results.read(clip, frame)
        for kind, lists in values.items():
            for metric in _METRICS:
                lists[metric].append(_score(metric, images[kind], images['gt']))
        bar.update()
    means = {kind: {metric: fmean(lists[metric]) for metric in lists} for kind, lists in values.items()}
    return ClipScore(clip, baseline=means['bicubic'], output=means['output'])


def _strip(results: DemoResults, clip: str) -> 'Image.Image':
    middle = len(results.frames[clip]) // 2
    images = {kind: np.ascontiguousarray(image[..., ::-1]) for kind, image in results.read(clip, middle).items()}
    lq, bicubic, output, gt = images.values()
    scale = gt.shape[0] // lq.shape[0]
    panels = [
        Panel('LQ', _size(lq), lq.repeat(scale, 0).repeat(scale, 1)),
        Panel('bicubic', _psnr(bicubic, gt), bicubic),
        Panel('GSM', _psnr(output, gt), output),
        Panel('GT', _size(gt), gt),
    ]
    region = choose_region(output, bicubic, gt, region_size(gt.shape[:2], len(panels)))
    return comparison_strip(clip, f'held-out frame {results.frames[clip][middle]}', panels, region)


def _psnr(image: np.ndarray, gt: np.ndarray) -> str:
    return f'{_score("PSNR", image, gt):.2f} dB'


def _score(metric: str, image: np.ndarray, gt: np.ndarray) -> float:
    return float(calculate_metric({'img': image, 'img2': gt}, {'type': _METRICS[metric], 'crop_border': 0}))


def _size(image: np.ndarray) -> str:
    return f'{image.shape[1]}x{image.shape[0]}'


def _to_8_bit(image: np.ndarray) -> np.ndarray:
    return (image * 255.0).round().astype(np.uint8)
