"""Turns the flags of `basicsr infer` into requests, and serves them."""

import argparse
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from gsm_plugin.cli.network_options import network_options
from gsm_plugin.errors import UserError
from gsm_plugin.inference.tiling import RULES
from gsm_plugin.inference.video.batch import Outcome, run_requests, table
from gsm_plugin.inference.video.encoding import Wishes
from gsm_plugin.inference.video.memory import read_bytes
from gsm_plugin.inference.video.pipeline import Network
from gsm_plugin.inference.video.places import Naming, check_targets, list_inputs
from gsm_plugin.inference.video.progress import Bar, JsonLines
from gsm_plugin.inference.video.report import write_report
from gsm_plugin.inference.video.request import Request
from gsm_plugin.inference.video.survey import Cuts
from gsm_plugin.inference.video.timing import read_range
from gsm_plugin.pipelines.arguments import end_program
from gsm_plugin.weights.download import sha256_of

# In this order, where no weights are named.
_OWN_CHOICE = ('gsm-reds', 'basicvsr-reds')


def infer(arguments: argparse.Namespace) -> int:
    """Serves all inputs.

    Returns:
        Status of the program: 1 where one of several inputs failed.

    Raises:
        UserError: A flag is wrong, or the only input failed.
        SystemExit: With 130 after Ctrl+C.
    """
    sources = list_inputs(arguments.input)
    # Flags are checked before weights are loaded, and weights before films are read.
    _request(arguments, sources[0], arguments.output)
    weights = _weights(arguments)
    networks = _networks(arguments, weights)
    used = _tile(arguments), arguments.tile_rule, arguments.self_ensemble, arguments.network
    identity = ' '.join(map(str, (weights and sha256_of(weights), *used)))
    trained_on = _training(weights)
    if arguments.page is not None and len(sources) > 1:
        raise UserError(f'--page {arguments.page} shows one film, but there are {len(sources)} inputs; leave it out.')
    requests = [
        replace(request, network=identity, trained_on=trained_on)
        for request in _requests(arguments, sources, networks[0].scale)
    ]
    progress = JsonLines if arguments.json else Bar
    try:
        outcomes = run_requests(requests, networks, progress, arguments.dry_run)
    except KeyboardInterrupt:
        end_program('basicsr: stopped; finished pieces are kept, and the same command goes on from them.', status=130)
    if arguments.report is not None:
        write_report(arguments.report, [outcome.report for outcome in outcomes])
    return _conclude(outcomes, arguments.json)


def _conclude(outcomes: list[Outcome], as_json: bool) -> int:
    failed = [outcome for outcome in outcomes if outcome.state == 'failed']
    if len(outcomes) == 1:
        if failed:
            raise UserError(failed[0].text)
        return 0
    if as_json:
        lines = JsonLines()
        for outcome in outcomes:
            lines.say(f'{outcome.request.source}: {outcome.state}, {outcome.text}')
    else:
        print(table(outcomes))
    return 1 if failed else 0


def _requests(arguments: argparse.Namespace, sources: list[Path], scale: int) -> list[Request]:
    naming = Naming(arguments.output, arguments.suffix, arguments.ext is not None, arguments.outscale or scale)
    targets = [naming.target(source, len(sources) > 1) for source in sources]
    check_targets(targets, arguments.output, len(sources))
    return [_request(arguments, source, target) for source, target in zip(sources, targets, strict=True)]


def _request(arguments: argparse.Namespace, source: Path, target: Path) -> Request:
    start, end = read_range(arguments.start, arguments.end, arguments.preview)
    if arguments.outscale is not None and not 0.1 <= arguments.outscale <= 16:
        raise UserError(f'-s is {arguments.outscale:g}; give an enlargement from 0.1 to 16.')
    for flag, least in (('window', 1), ('context', 0)):
        if getattr(arguments, flag) < least:
            raise UserError(f'--{flag} is {getattr(arguments, flag)}; give a whole number from {least} up.')
    if arguments.cut_threshold <= 0:
        raise UserError(f'--cut-threshold is {arguments.cut_threshold:g}; give a number above 0.')
    wishes = Wishes(
        arguments.codec, arguments.crf, arguments.preset, arguments.pix_fmt, tuple(arguments.encoder_option)
    )
    return Request(
        source,
        target,
        arguments.outscale,
        wishes,
        Cuts(arguments.cut_threshold, arguments.cuts, arguments.no_cuts),
        start,
        end,
        arguments.window,
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
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= 1000:
        raise UserError(f'--fps is {text!r}; write a number such as 25 or 30000/1001.')
    return rate.limit_denominator(100000)


def _networks(arguments: argparse.Namespace, weights: Path | None) -> list[Network]:
    import gsm_plugin

    gsm_plugin.register()
    from gsm_plugin.inference.restorer import Restorer

    devices = arguments.devices.split(',') if arguments.devices else [arguments.device]
    tile, overlap = _tile(arguments)
    how: dict[str, Any] = {
        'precision': arguments.precision,
        'tile': tile,
        'self_ensemble': arguments.self_ensemble,
        'network': network_options(arguments.network),
    }
    if tile is not None:
        how |= {'tile_overlap': overlap, 'tile_rule': arguments.tile_rule}
    return [Restorer.load(weights, device=device, **how) for device in devices]


def _tile(arguments: argparse.Namespace) -> tuple[tuple[int, int, int] | None, tuple[int, int, int]]:
    """Real-ESRGAN's size of a tile without what is seen around it, as frames, rows and columns of all that is seen."""
    if arguments.tile_rule not in RULES:
        raise UserError(f'--tile-rule is {arguments.tile_rule!r}; give {" or ".join(RULES)}.')
    if arguments.tile < 0 or arguments.tile_pad < 0:
        raise UserError(f'-t {arguments.tile} --tile_pad {arguments.tile_pad}: give whole numbers from 0 up.')
    if arguments.tile == 0:
        return None, (0, 0, 0)
    side, overlap = arguments.tile + 2 * arguments.tile_pad, 2 * arguments.tile_pad
    return (arguments.window, side, side), (0, overlap, overlap)


def _training(weights: Path | None) -> str:
    if weights is None:
        return ''
    from gsm_plugin.inference.loading import trained_on
    from gsm_plugin.weights.reader import read_metadata

    return trained_on(weights, read_metadata(weights))


def _weights(arguments: argparse.Namespace) -> Path | None:
    """The file that is meant: named, or the first of our own choice that is on the disk; None for a named network."""
    from gsm_plugin.inference.loading import FOLDER, find_file

    if arguments.weights or arguments.name:
        return find_file(arguments.weights or arguments.name, FOLDER)[1]
    if 'type' in network_options(arguments.network):
        return None
    from gsm_plugin.weights.known_files import find_weights

    for name in _OWN_CHOICE:
        path = FOLDER / find_weights(name).file
        if path.is_file():
            return path
    raise UserError(
        f'no weights are named, and none are in {FOLDER}; run basicsr weights get basicvsr-reds, or give -w FILE.'
    )
