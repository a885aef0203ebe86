"""Reads the flags of `basicsr infer`: what is wanted of each input, of which network, on which device."""

import argparse
import math
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from gsm_plugin.cli.infer_unused import check_combinations, check_used
from gsm_plugin.cli.network_options import network_options
from gsm_plugin.errors import UserError
from gsm_plugin.files import HTML_PAGE, JSON_REPORT, check_name, check_replaceable, check_writable
from gsm_plugin.inference.choices import RULES, check_device_name, check_precision_name
from gsm_plugin.inference.video.byte_sizes import read_bytes
from gsm_plugin.inference.video.copying import KINDS
from gsm_plugin.inference.video.cuts import DEFAULT_THRESHOLD, Cuts
from gsm_plugin.inference.video.encoding import Wishes
from gsm_plugin.inference.video.places import Naming, check_output, check_targets
from gsm_plugin.inference.video.request import WINDOW, Request
from gsm_plugin.inference.video.timing import read_range
from gsm_plugin.numerals import whole_number
from gsm_plugin.weights.finding import FOLDER, check_kind, find_file, read_metadata
from gsm_plugin.weights.known_files import ENLARGES_BY, KNOWN_WEIGHTS, find_weights

# Frames of a tile, which takes all that a window has.
_MORE_THAN_A_WINDOW = 1000
_TILE_PAD = 32
# Without powers of ten, whose numbers may be too long to be computed.
_RATE = re.compile(r'\d{1,9}(\.\d{0,9}|/\d{1,9})?|\.\d{1,9}', re.ASCII)
# Where no weights are named: what was trained on films as people have them, compressed.
_OWN_CHOICE = 'gsm-small-x4-video'


def check_flags(arguments: argparse.Namespace) -> None:
    """Refuses values that are wrong whatever the input is.

    Raises:
        UserError: There is one.
    """
    for flag in ('codec', 'devices', 'ext', 'name', 'preset', 'pix_fmt'):
        if getattr(arguments, flag) == '':
            spelled = '-n' if flag == 'name' else f'--{flag.replace("_", "-")}'
            raise UserError(f'{spelled} is empty; give a value, or leave it out.')
    check_precision_name(arguments.precision)
    for device in devices_of(arguments):
        if not device:
            raise UserError(f'--devices is {arguments.devices!r}; name devices such as cuda:0,cuda:1.')
        check_device_name(device)
    if arguments.tile_rule not in (None, *RULES):
        raise UserError(f'--tile-rule is {arguments.tile_rule!r}; give {" or ".join(RULES)}.')
    side, pad = _sizes_of_tiles(arguments)
    for flag, number in (('-t', side), ('--tile_pad', pad)):
        if number < 0:
            raise UserError(f'{flag} is {number}; give a whole number from 0 up.')
    if arguments.outscale is not None and not 0.1 <= arguments.outscale <= 16:
        raise UserError(f'-s is {arguments.outscale:g}; give an enlargement from 0.1 to 16.')
    for flag, least in (('window', 1), ('context', 0)):
        if (given := getattr(arguments, flag)) is not None and given < least:
            raise UserError(f'--{flag} is {given}; give a whole number from {least} up.')
    if arguments.window is not None and arguments.window <= 2 * arguments.context:
        raise UserError(
            f'--window is {arguments.window}, but --context is {arguments.context} on each side; make --window more '
            f'than {2 * arguments.context}, or --context smaller.'
        )
    if arguments.cut_threshold is not None and not 0 < arguments.cut_threshold < math.inf:
        raise UserError(f'--cut-threshold is {arguments.cut_threshold:g}; give a number above 0, such as 3.')
    if arguments.suffix is not None and re.search(r'[/\\]', arguments.suffix):
        raise UserError(f'--suffix is {arguments.suffix!r}, which names a folder; give letters, such as large.')
    check_combinations(arguments)
    for word in arguments.leave_out:
        if word not in KINDS and whole_number(word) is None:
            raise UserError(f'--leave-out is {word!r}; give {", ".join(KINDS)}, or the number of a stream.')
    if arguments.output is not None:
        check_output(arguments.output)
        check_name(arguments.output, '-o')
    for flag, path, mark in (('--report', arguments.report, JSON_REPORT), ('--page', arguments.page, HTML_PAGE)):
        if path is not None:
            check_name(path, flag)
            check_writable(path, flag)
            check_replaceable(path, flag, mark)
    if arguments.page is not None and arguments.page.suffix.lower() not in ('.html', '.htm'):
        raise UserError(f'--page is {arguments.page}; give a name that ends in .html.')


def devices_of(arguments: argparse.Namespace) -> list[str]:
    """The devices that are named."""
    return arguments.devices.split(',') if arguments.devices else [arguments.device]


def _sizes_of_tiles(arguments: argparse.Namespace) -> tuple[int, int]:
    """Side of tiles, 0 for none, and how many pixels are seen around each."""
    return arguments.tile or 0, _TILE_PAD if arguments.tile_pad is None else arguments.tile_pad


def read_tile(arguments: argparse.Namespace) -> tuple[tuple[int, int, int] | None, tuple[int, int, int]]:
    """Frames, rows and columns of all that is seen of a tile, and by how many tiles overlap; Real-ESRGAN's size of a
    tile is without what is seen around it."""
    inner, pad = _sizes_of_tiles(arguments)
    if inner == 0:
        return None, (0, 0, 0)
    side, overlap = inner + 2 * pad, 2 * pad
    return (arguments.window or _MORE_THAN_A_WINDOW, side, side), (0, overlap, overlap)


def requests_of(arguments: argparse.Namespace, sources: Sequence[Path], scale: int | None) -> list[Request]:
    """What is wanted of each input.

    Args:
        arguments: The flags.
        sources: Films and folders of images.
        scale: Enlargement of the network; None where it is not known yet, so that some outputs have no name yet.

    Raises:
        UserError: A value is wrong, or outputs have no places of their own.
    """
    naming = Naming(arguments.output, arguments.suffix, arguments.ext is not None, len(sources) > 1)
    places = [naming.target(source, arguments.outscale or scale) for source in sources]
    check_targets([target for target, _ in places], arguments.output, sources)
    plain = _request(arguments)
    requests = [
        replace(plain, source=source, target=_followed(target), images=images)
        for source, (target, images) in zip(sources, places, strict=True)
    ]
    check_used(arguments, requests)
    return requests


def _followed(target: Path) -> Path:
    """What a link stands for, so that this is written and the link stays."""
    try:
        return target.resolve() if target.is_symlink() else target
    except (OSError, RuntimeError):
        # it leads round in a circle, which is told with other places where nothing can be written
        return target


def _request(arguments: argparse.Namespace) -> Request:
    """What is wanted of every input, whose places are still to be filled in."""
    start, end = read_range(arguments.start, arguments.end, arguments.preview)
    wishes = Wishes(
        arguments.codec, arguments.crf, arguments.preset, arguments.pix_fmt, tuple(arguments.encoder_option)
    )
    return Request(
        Path(),
        Path(),
        arguments.outscale,
        wishes,
        Cuts(arguments.cut_threshold or DEFAULT_THRESHOLD, arguments.cuts, arguments.no_cuts),
        start,
        end,
        arguments.window or WINDOW,
        arguments.context,
        deinterlace=arguments.deinterlace,
        salvage=arguments.salvage,
        rate=_rate(arguments.fps),
        leave_out=tuple(arguments.leave_out),
        image_kind=arguments.ext,
        beside=arguments.compare,
        restart=arguments.restart,
        overwrite=arguments.overwrite,
        page=arguments.page,
        fit=True,
        memory=None if arguments.memory is None else read_bytes(arguments.memory),
        retry_smaller=arguments.retry_smaller,
    )


def _rate(text: str | None) -> Fraction | None:
    if text is None:
        return None
    rate = Fraction(0)
    if _RATE.fullmatch(text):
        with suppress(ZeroDivisionError):
            rate = Fraction(text).limit_denominator(100000)
    if not Fraction(1, 1000) <= rate <= 1000:
        raise UserError(f'--fps is {text!r}; write a number from 0.001 to 1000, such as 25 or 30000/1001.')
    return rate


def choose_weights(arguments: argparse.Namespace) -> Path | None:
    """The file that is meant: named, or one that comes with this package; None for a named network.

    Raises:
        UserError: There is no such file, or it holds no weights.
    """
    if arguments.weights or arguments.name:
        path = find_file(arguments.weights or arguments.name, FOLDER)[1]
        check_kind(path)
        return path
    if 'type' in network_options(arguments.network):
        return None
    return find_weights(_OWN_CHOICE).place(FOLDER)


def expected_scale(arguments: argparse.Namespace, weights: Path | None) -> int | None:
    """The enlargement of the network, as far as words tell it."""
    said = network_options(arguments.network)
    for key in ('upscale', 'scale'):
        if type(scale := said.get(key)) is int:
            return scale
    if weights is None:
        return None
    if weights in {known.place(FOLDER) for known in KNOWN_WEIGHTS.values()}:
        return ENLARGES_BY
    scale = read_metadata(weights).get('scale', '')
    return whole_number(scale)
