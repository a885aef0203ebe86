"""`basicsr export`: writes a network for other runtimes, then runs the file and compares it with the network."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from gsm_plugin.errors import UserError
from gsm_plugin.export.convert import metadata_of
from gsm_plugin.export.example_clip import example_clip
from gsm_plugin.export.files import DEFAULT_OPSET, OnnxFile, Pt2File, check_opset, check_packages
from gsm_plugin.export.tracing import LEAST_OPSET, Form, check_form, largest_difference, multiple_of, trace
from gsm_plugin.files import check_place, whole_file
from gsm_plugin.inference.loading import Loaded, load_network
from gsm_plugin.weights.content_hash import HASH, hash_of
from gsm_plugin.weights.doors import COMMAND

SUFFIXES = ('.onnx', '.pt2')
LARGEST_DIFFERENCE = 1e-3
"""Of values in [0, 1]; a file that differs more is not written."""
# How many times the multiple that sides are of is added to the example's, so that open sides are tried with others.
_OTHER = 2, 5


@dataclass(frozen=True)
class Wanted:
    """What is to be exported.

    Attributes:
        weights: A file, or a name of `basicsr weights list`.
        out: The file to write, .onnx or .pt2.
        form: What the program takes; `is_open` asks for open sides, and gets fixed ones where they fail.
        network: See `load_network`.
        opset: Version of ONNX's operators; None for the usual one.
        clip: A film or folder to compare on; None for a photograph that moves.
    """

    weights: str | Path
    out: Path
    form: Form
    network: Mapping[str, object]
    opset: int | None = None
    clip: Path | None = None


def export(wanted: Wanted, say: Callable[[str], None] = print) -> None:
    """Writes a program that was run and compared; nothing is left where that fails.

    Args:
        wanted: What is to be exported.
        say: Takes what happens, line by line.

    Raises:
        UserError: Something wanted cannot be, a package is missing, or the program differs from the network.
    """
    _check(wanted)
    loaded = load_network(wanted.weights, wanted.network, torch.device('cpu'), door=COMMAND)
    check_form(loaded, wanted.form)
    if wanted.opset is not None:
        check_opset(wanted.opset, LEAST_OPSET[loaded.options['type']])
    clip, what = example_clip(wanted.clip, wanted.form.frames, *_sides_of_clip(loaded, wanted.form))
    for fact in loaded.facts:
        say(fact)
    if wanted.form.is_open:
        try:
            _check_open(loaded, wanted.form)
            _write(wanted, loaded, clip, what, say)
            return
        except _NotOpen as error:
            say(f'height and width are fixed, since {error}')
            wanted = replace(wanted, form=replace(wanted.form, is_open=False))
    _write(wanted, loaded, clip, what, say)


class _NotOpen(Exception):
    """Open sides failed; the text says why."""


def _check(wanted: Wanted) -> None:
    out, form = wanted.out, wanted.form
    if out.suffix not in SUFFIXES:
        raise UserError(f'{out} ends with {out.suffix!r}; name a file that ends with .onnx or .pt2.')
    check_place(out)
    if min(form.frames, form.height, form.width) < 1:
        raise UserError(f'--frames {form.frames} --size {form.height}x{form.width}: give whole numbers from 1 up.')
    if out.suffix == '.onnx':
        check_packages()
    elif wanted.opset is not None:
        raise UserError(f'--opset is for .onnx files, but {out} is none; leave it out.')


def _sides_of_clip(loaded: Loaded, form: Form) -> tuple[int, int]:
    """Sides of the clip: those of the example and, with open sides, larger ones to try."""
    more = [times * multiple_of(loaded) if form.is_open else 0 for times in _OTHER]
    return form.height + more[0], form.width + more[1]


def _check_open(loaded: Loaded, form: Form) -> None:
    if loaded.options['type'] != 'GSMamba':
        raise _NotOpen("BasicSR's flow network turns them into constants")
    multiple = multiple_of(loaded)
    if form.height % multiple or form.width % multiple:
        raise _NotOpen(f'{form.height} and {form.width} are not both multiples of {multiple}')


def _write(wanted: Wanted, loaded: Loaded, clip: Tensor, what: str, say: Callable[[str], None]) -> None:
    form = wanted.form
    program = _trace(loaded, form)
    file = Pt2File(program) if wanted.out.suffix == '.pt2' else OnnxFile(program, wanted.opset or DEFAULT_OPSET)
    metadata = _metadata(loaded, form)
    with whole_file(wanted.out) as part:
        file.write(part, metadata)
        run = file.load(part)
        differences = [_compare(run, loaded, form, clip[..., : form.height, : form.width])]
        if form.is_open:
            differences.append(_compare(run, loaded, form, clip))
        found = max(differences)
        if not found <= LARGEST_DIFFERENCE:
            sentence = f'what was exported differs from the network by {found:.2g}, more than {LARGEST_DIFFERENCE:g}'
            if form.is_open:
                raise _NotOpen(sentence)
            raise UserError(f'{sentence}, on {what}; nothing is written.')
        runtime = 'onnxruntime' if wanted.out.suffix == '.onnx' else 'PyTorch'
        file.write(part, {**metadata, 'largest_difference': f'{found:.2e}', 'compared_on': f'{what}, {runtime}, CPU'})
    sides = (
        f'height and width multiples of {multiple_of(loaded)}' if form.is_open else f'{form.height}x{form.width} alone'
    )
    say(f'{wanted.out}: {list(form.shape())}, {sides}, {file.nodes} nodes')
    say(f'largest difference from the network: {found:.2e} of values in [0, 1], on {what}, by {runtime} on the CPU')


def _trace(loaded: Loaded, form: Form) -> torch.export.ExportedProgram:
    try:
        return trace(loaded, form)
    except Exception as error:
        # PyTorch has no one error for what depends on sides
        if form.is_open:
            first = (str(error).strip().splitlines() or [''])[0]
            raise _NotOpen(f'PyTorch cannot leave them open ({type(error).__name__}: {first[:160]})') from error
        raise


def _compare(run: Callable[[Tensor], Tensor], loaded: Loaded, form: Form, clip: Tensor) -> float:
    clip = clip.contiguous()
    with torch.no_grad():
        expected = loaded.network(clip)
        actual = run(clip.flatten(1, 2) if form.is_stacked else clip)
    return largest_difference(actual.view(expected.shape) if form.is_stacked else actual, expected)


def _metadata(loaded: Loaded, form: Form) -> dict[str, str]:
    shape = [*form.shape()[:-2], 'height', 'width'] if form.is_open else list(form.shape())
    return {
        **metadata_of(loaded, loaded.trained_on),
        HASH: hash_of(loaded.network.state_dict()),
        'input': json.dumps(shape),
        'frames': str(form.frames),
    }
