"""Keeps numbers that are none out of scores and averages, and says which frames they are of."""

import logging
from collections.abc import Mapping, Sequence

import torch
from basicsr.utils import get_root_logger
from basicsr.utils.dist_util import get_dist_info
from torch import Tensor

from gsm_plugin.compat.finite_psnr import LARGEST_PSNR
from gsm_plugin.errors import UserError
from gsm_plugin.inference.output_check import frames_not_finite

_SHOWN = 3


def check_output(output: Tensor, where: str, is_train: bool = False) -> Tensor:
    """Refuses an output with values that are no numbers; in training they become black and white, with a warning.

    So a validation does not end a training, and what it scores is as low as it looks.

    Args:
        output: (t, c, h, w).
        where: The network or the set, and the clip.
        is_train: Whether to go on.

    Returns:
        The output, of finite values.

    Raises:
        UserError: A value is NaN or infinite, and it is no training.
    """
    bad = frames_not_finite(output)
    if not bad:
        return output
    sentence = (
        f'{where}: the output of the network holds values that are no numbers (NaN or infinite) in {len(bad)} of '
        f'{len(output)} frames (the first is number {bad[0]})'
    )
    if not is_train:
        raise UserError(f'{sentence}; take weights of an earlier iteration, or a higher precision.')
    _warn(f'{sentence}; they are scored as black, or white for infinite ones.')
    return output.nan_to_num(nan=0.0, posinf=1.0, neginf=0.0)


def tell_of_scores(
    where: str, names: Sequence[str], rows: Sequence[Sequence[float]], metrics: Mapping[str, dict]
) -> None:
    """Logs frames that are reproduced exactly, whose PSNR is bounded, and those that averages leave out.

    Args:
        where: The set and the clip.
        names: Of the frames.
        rows: Per frame the values of the metrics.
        metrics: The option file's metrics by name.
    """
    for number, (metric, options) in enumerate(metrics.items()):
        values = dict(zip(names, (row[number] for row in rows), strict=True))
        exact = [name for name, value in values.items() if value >= LARGEST_PSNR]
        if exact and options.get('type') == 'calculate_psnr':
            verb = 'are' if len(exact) > 1 else 'is'
            bound = f'{LARGEST_PSNR:.0f} dB'
            _warn(f'{where}: {_list(exact)} {verb} like the ground truth, so {metric} counts as {bound} there.')
        lost = [name for name, value in values.items() if not torch.isfinite(torch.tensor(value))]
        if lost:
            _warn(f'{where}: no number for {metric} of {_list(lost)}, which its average leaves out.')


def fill_gaps(tables: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Puts the mean of the others in the place of values that are no numbers, so that averages leave these out.

    Args:
        tables: By folder a table (frames, metrics).

    Returns:
        The same; a metric without any value in a folder takes its mean over the other folders, and stays as it is
        where there is none.
    """
    if not tables:
        return {}
    finite = {folder: torch.where(torch.isfinite(table), table, torch.nan) for folder, table in tables.items()}
    means = {folder: table.nanmean(0) for folder, table in finite.items()}
    overall = torch.stack(list(means.values())).nanmean(0)
    filled = {}
    for folder, table in finite.items():
        mean = torch.where(means[folder].isnan(), overall, means[folder])
        filled[folder] = torch.where(table.isnan(), mean, table)
    return filled


def _list(names: Sequence[str]) -> str:
    more = f' and {len(names) - _SHOWN} more' if len(names) > _SHOWN else ''
    return f'frame{"s" if len(names) > 1 else ""} {", ".join(names[:_SHOWN])}{more}'


def _warn(sentence: str) -> None:
    # The other processes of a distributed run log nothing less than errors.
    get_root_logger().log(logging.WARNING if get_dist_info()[0] == 0 else logging.ERROR, sentence)
