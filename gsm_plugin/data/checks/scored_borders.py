"""Borders that metrics cut away have to leave something of the frames of a validation or test set."""

from pathlib import Path

from gsm_plugin.compat.image_files import read_header
from gsm_plugin.data.clip_names import is_image_name
from gsm_plugin.errors import UserError


def check_borders(options: dict) -> None:
    """Compares `crop_border` of each metric with the first ground-truth frame of each set that lies in folders.

    Raises:
        UserError: Nothing would be left of the frame.
    """
    metrics = (options.get('val') or {}).get('metrics') or {}
    borders = {name: metric.get('crop_border') for name, metric in metrics.items() if isinstance(metric, dict)}
    wanted = {name: border for name, border in borders.items() if type(border) is int and border > 0}
    for key, section in options['datasets'].items():
        path = None if section['phase'] == 'train' or not wanted else _first_frame(section.get('dataroot_gt'))
        if path is None:
            continue
        header = read_header(path)
        for name, border in wanted.items():
            if 2 * border >= min(header.height, header.width):
                raise UserError(
                    f'val:metrics:{name}:crop_border is {border}, which leaves nothing of frames of '
                    f'{header.height} x {header.width} pixels in datasets:{key} ({path}); make it smaller.'
                )


def _first_frame(root: str | None) -> Path | None:
    if root is None or not Path(root).is_dir():
        return None
    return next((path for path in sorted(Path(root).rglob('*')) if is_image_name(path.name) and path.is_file()), None)
