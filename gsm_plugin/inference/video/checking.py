"""What headers tell of a request, before a network is loaded: whether it can be served, and what is written."""

import math
from fractions import Fraction
from pathlib import Path

from gsm_plugin.errors import UserError
from gsm_plugin.files import check_name, check_writable
from gsm_plugin.inference.video.cuts import check_cuts, list_cuts
from gsm_plugin.inference.video.facts import Facts
from gsm_plugin.inference.video.images import SUFFIXES, learn_folder
from gsm_plugin.inference.video.manifest import check_workplace
from gsm_plugin.inference.video.opening import learn
from gsm_plugin.inference.video.outputs import plan_film, plan_folder
from gsm_plugin.inference.video.request import Request
from gsm_plugin.inference.video.timing import show_time
from gsm_plugin.inference.video.treatment import Treatment

# Sides of frames on which an encoder is tried where nobody knows yet how much the network enlarges.
_TRIAL_SIDE = 256
# What no encoder takes any more, and FFmpeg still counts.
_LONGEST_SIDE = 2**20


def check_request(request: Request, scale: int | None) -> tuple[Facts, Treatment]:
    """Checks places, the input's header, the wanted part, the encoder and the container; nothing is written.

    Args:
        request: What is wanted.
        scale: Enlargement of the network; None where it is not known yet, so that sides are not checked.

    Returns:
        The input, and what happens between network and output.

    Raises:
        UserError: Something is wrong with the input, the output, or what is wanted.
    """
    _check_places(request)
    source = request.source
    facts = learn_folder(source, request.rate) if source.is_dir() else learn(source, request.deinterlace)
    if request.start and facts.duration is not None and request.start >= facts.duration:
        raise UserError(
            f'{source} ends at {show_time(facts.duration)}, but the wanted part begins at {show_time(request.start)}; '
            f'let it begin earlier (--start, or what follows the @ of --preview).'
        )
    if request.cuts.listed is not None:
        check_cuts(list_cuts(request.cuts.listed), facts.number_of_frames, facts.duration or math.inf)
    treatment = _treatment(request, facts, scale)
    plan = plan_film if request.makes_film else plan_folder
    plan(request, facts, treatment, None)
    return facts, treatment


def _treatment(request: Request, facts: Facts, scale: int | None) -> Treatment:
    if request.outscale is None and scale is None:
        return Treatment(_TRIAL_SIDE, _TRIAL_SIDE, 0, request.beside)
    factor = Fraction(request.outscale or scale or 1).limit_denominator(1000)
    height, width = (max(1, round(side * factor)) for side in (facts.height, facts.width))
    if max(height, width) > _LONGEST_SIDE:
        raise UserError(f'the output would have {width}x{height} pixels; give an -s that makes less.')
    return Treatment(height, width, 0, request.beside)


def _check_places(request: Request) -> None:
    source, target = request.source, request.target
    check_name(target, '-o')
    if not source.exists():
        raise UserError(f'{source} is missing; correct its path.')
    if target.exists() and target.resolve() == source.resolve():
        raise UserError(f'{target} is the input; give another -o.')
    if target.exists() and not (target.is_file() or target.is_dir()):
        raise UserError(f'{target} is neither a file nor a folder; give another -o.')
    if target.exists() and not request.overwrite:
        raise UserError(f'{target} exists; give another -o, or --overwrite.')
    if target.exists() and target.is_dir() == request.makes_film:
        raise UserError(f'{target} is {"a folder" if target.is_dir() else "a file"}; give another -o.')
    if target.is_dir():
        _check_replaceable(target)
    check_writable(target, '-o')
    check_workplace(target)
    if request.page is not None and request.page.resolve() == target.resolve():
        raise UserError(f'{target} is both -o and --page; give another --page.')


def _check_replaceable(folder: Path) -> None:
    """Refuses to replace a folder that has more in it than a run of this command leaves there."""
    other = next((child for child in sorted(folder.iterdir()) if child.suffix.lower() not in SUFFIXES), None)
    if other is not None:
        raise UserError(
            f'{folder} would be replaced, but has {other.name} in it, which is no image; give another -o, or remove it.'
        )
