"""Flags of `basicsr infer` that would do nothing, beside others or for such inputs: refused, with the cure."""

import argparse
from collections.abc import Sequence

from gsm_plugin.errors import UserError
from gsm_plugin.inference.video.request import Request

_OF_ENCODERS = ('codec', 'crf', 'preset', 'pix_fmt', 'encoder_option')


def check_combinations(arguments: argparse.Namespace) -> None:
    """Refuses flags that other flags leave nothing to do, whatever the input is.

    Raises:
        UserError: There is one.
    """
    # with -t 0, as command lines for Real-ESRGAN have it, it is plain that there are none
    for flag in ('tile_pad', 'tile_rule') if arguments.tile is None else ():
        if (given := getattr(arguments, flag)) is not None:
            raise UserError(
                f'{_spelled(flag)} {given} is of tiles, but none are asked for; give -t 256 too, or leave it out.'
            )
    if arguments.no_cuts and arguments.cuts is not None:
        raise UserError(f'--cuts {arguments.cuts} and --no-cuts contradict each other; leave out one of them.')
    if arguments.cut_threshold is not None and (arguments.no_cuts or arguments.cuts is not None):
        other = '--no-cuts' if arguments.no_cuts else f'--cuts {arguments.cuts}'
        raise UserError(
            f'--cut-threshold {arguments.cut_threshold:g} is of the search for cuts, which {other} takes the place of; '
            f'leave out one of them.'
        )
    if arguments.devices and arguments.device != 'auto':
        raise UserError(f'--device {arguments.device} and --devices {arguments.devices} are both given; leave out one.')


def check_used(arguments: argparse.Namespace, requests: Sequence[Request]) -> None:
    """Refuses flags that none of the inputs and outputs has a use for.

    Args:
        arguments: The flags.
        requests: What is wanted of each input.

    Raises:
        UserError: There is one.
    """
    film = next((request.target for request in requests if request.makes_film), None)
    if film is not None and arguments.ext is not None:
        raise UserError(f'--ext {arguments.ext} is of images, but {film} is a film; name a folder.')
    for flag in (*_OF_ENCODERS, 'leave_out') if film is None else ():
        if getattr(arguments, flag) not in (None, []):
            raise UserError(f'{_spelled(flag)} is of films, but images are written; leave it out.')
    if all(request.source.is_dir() for request in requests):
        for flag in ('deinterlace', 'salvage', 'leave_out'):
            if getattr(arguments, flag):
                raise UserError(f'{_spelled(flag)} is of films, but images are read; leave it out.')
    _check_rate(arguments, requests, film is not None)
    if arguments.suffix is not None and arguments.output in [request.target for request in requests]:
        raise UserError(
            f'--suffix {arguments.suffix} is of names that are made, but -o {arguments.output} is the whole name; '
            f'leave out one of them.'
        )


def _check_rate(arguments: argparse.Namespace, requests: Sequence[Request], makes_film: bool) -> None:
    """Refuses a rate that is neither written nor tells which images a time means."""
    part = arguments.start or arguments.end or arguments.preview
    timed = part and any(request.source.is_dir() for request in requests)
    if arguments.fps is not None and not makes_film and not timed:
        raise UserError(f'--fps {arguments.fps} is of films, but images are written; leave it out.')


def _spelled(flag: str) -> str:
    return '--tile_pad' if flag == 'tile_pad' else f'--{flag.replace("_", "-")}'
