"""The part of `basicsr infer` that needs PyTorch: networks, and what runs them."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import gsm_plugin
from gsm_plugin.cli.infer_flags import devices_of, read_tile
from gsm_plugin.cli.network_options import network_options
from gsm_plugin.errors import UserError
from gsm_plugin.inference.choices import RULES
from gsm_plugin.inference.loading import trained_on
from gsm_plugin.inference.restorer import Restorer
from gsm_plugin.inference.video.batch import run_requests
from gsm_plugin.inference.video.manifest import has_finished_segments
from gsm_plugin.inference.video.outcomes import Outcome
from gsm_plugin.inference.video.progress import Bar, JsonLines, Lines
from gsm_plugin.inference.video.request import Request
from gsm_plugin.pipelines.arguments import end_program
from gsm_plugin.weights.doors import COMMAND
from gsm_plugin.weights.download import sha256_of
from gsm_plugin.weights.finding import read_metadata


def load_networks(arguments: argparse.Namespace, weights: Path | None) -> list[Restorer]:
    """The network on each device.

    Args:
        arguments: The flags.
        weights: Its file; None for a network without weights.

    Raises:
        UserError: A device is not there, or the file does not fit.
    """
    gsm_plugin.register()
    tile, overlap = read_tile(arguments)
    how: dict[str, Any] = {
        'precision': arguments.precision,
        'tile': tile,
        'self_ensemble': arguments.self_ensemble,
        'network': network_options(arguments.network),
        # windows are large, and what a capture holds is not in the plan
        'cuda_graphs': False,
        'door': COMMAND,
    }
    if tile is not None:
        how |= {'tile_overlap': overlap, 'tile_rule': _rule(arguments)}
    return [Restorer.load(weights, device=device, **how) for device in devices_of(arguments)]


def serve(
    arguments: argparse.Namespace, weights: Path | None, requests: Sequence[Request], networks: Sequence[Restorer]
) -> list[Outcome]:
    """Serves requests in order.

    Args:
        arguments: The flags.
        weights: The file that the networks are of.
        requests: What is wanted of each input.
        networks: One a device.

    Raises:
        UserError: Windows leave no frame beside their context.
        SystemExit: With 130 after Ctrl+C.
    """
    used = read_tile(arguments), _rule(arguments), arguments.self_ensemble, arguments.network
    identity = ' '.join(map(str, (weights and sha256_of(weights), *used)))
    training = '' if weights is None else trained_on(weights, read_metadata(weights))
    window = arguments.window or networks[0].frames_with_room
    if window <= 2 * arguments.context:
        raise UserError(
            f'--context is {arguments.context} on each side, but windows have {window} frames by default; give '
            f'--window, or a smaller --context.'
        )
    code = _code_of(arguments.modules)
    known = [replace(request, window=window, network=identity, code=code, trained_on=training) for request in requests]
    progress = JsonLines if arguments.json else Bar if sys.stderr.isatty() else Lines
    try:
        return run_requests(known, networks, progress, arguments.dry_run)
    except KeyboardInterrupt:
        end_program(f'basicsr: stopped{_what_is_kept(known, arguments.dry_run)}.', status=130)


def _code_of(modules: Sequence[str]) -> str:
    if not modules:
        return ''
    # all of BasicSR's registries
    from gsm_plugin.pipelines.user_modules import code_of_user_modules

    return code_of_user_modules(modules)


def _rule(arguments: argparse.Namespace) -> str:
    return arguments.tile_rule or RULES[0]


def _what_is_kept(requests: Sequence[Request], dry: bool) -> str:
    """What there is of the output that was being made, as the end of a sentence."""
    if dry:
        return ''
    kept = [request for request in requests if has_finished_segments(request.target)]
    if kept:
        again = 'the same command without --restart' if kept[0].restart else 'the same command'
        return f'; finished pieces are kept, and {again} goes on from them'
    return '; no piece of the output was finished, so the next run makes it from its beginning'
