"""Programs of torch.export written as ONNX or .pt2, and run again from what was written."""

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor
from torch.export import ExportedProgram

from gsm_plugin.errors import UserError

INPUT, OUTPUT = 'clip', 'restored'
DEFAULT_OPSET = 20
EXTRA_FILE = 'gsm_plugin.json'
"""Where a .pt2 file has what it says about itself."""
Run = Callable[..., Tensor]


def check_packages() -> None:
    """Refuses to begin without what writes and runs ONNX.

    Raises:
        UserError: A package is missing.
    """
    for name in ('onnx', 'onnxscript', 'onnxruntime'):
        if find_spec(name) is None:
            raise UserError(f"{name} is not installed; pip install 'gsm_plugin[export]'.")


def check_opset(opset: int, least: int) -> None:
    """Refuses opsets that lack an op, or that onnx does not know.

    Args:
        opset: Version of ONNX's operators.
        least: The first that has all that a network needs.

    Raises:
        UserError: The opset is one of these.
    """
    import onnx

    most = onnx.defs.onnx_opset_version()
    if not least <= opset <= most:
        raise UserError(
            f'--opset is {opset}; give one from {least}, since older ones lack operators of the network, to {most}, '
            f'the newest that onnx {onnx.__version__} knows.'
        )


class OnnxFile:
    """A program as ONNX.

    Args:
        program: The program.
        opset: Version of ONNX's operators.
        inputs: Names of what it takes.

    Raises:
        UserError: The opset does not know an operator of the program.
    """

    def __init__(self, program: ExportedProgram, opset: int, inputs: Sequence[str] = (INPUT,)) -> None:
        self._inputs = tuple(inputs)
        try:
            with _quiet():
                exported = torch.onnx.export(
                    program,
                    input_names=list(inputs),
                    output_names=[OUTPUT],
                    opset_version=opset,
                    dynamo=True,
                    verbose=False,
                    optimize=False,
                )
                # None is what the older exporter gives
                assert exported is not None
                _tidy(exported)
                self._program = exported
        except torch.onnx.errors.OnnxExporterError as error:
            raise UserError(
                f'--opset {opset} cannot express an operator of the network ({_short(error)}); take a newer one.'
            ) from error
        self.nodes = len(self._program.model.graph)

    def write(self, path: Path, metadata: Mapping[str, str]) -> None:
        """Writes the file, with its metadata."""
        self._program.model.metadata_props.update(metadata)
        with _quiet():
            self._program.save(str(path))

    def load(self, path: Path) -> Run:
        """The written file in onnxruntime, on the CPU."""
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])

        def run(*inputs: Tensor) -> Tensor:
            fed = {name: value.numpy() for name, value in zip(self._inputs, inputs, strict=True)}
            return torch.from_numpy(session.run([OUTPUT], fed)[0])

        return run


class Pt2File:
    """A program as torch.export saves it.

    Args:
        program: The program.
    """

    def __init__(self, program: ExportedProgram) -> None:
        self._program, self.nodes = program, len(program.graph.nodes)

    def write(self, path: Path, metadata: Mapping[str, str]) -> None:
        """Writes the file, with its metadata."""
        content = io.BytesIO()
        with _quiet():
            torch.export.save(self._program, content, extra_files={EXTRA_FILE: json.dumps(dict(metadata))})
        path.write_bytes(content.getvalue())

    def load(self, path: Path) -> Run:
        """The written file, in PyTorch."""
        with _quiet():
            module = torch.export.load(io.BytesIO(path.read_bytes())).module()
        return lambda clip: module(clip)


def _tidy(program: torch.onnx.ONNXProgram) -> None:
    """Folds constants and leaves out what is there twice or unused.

    The converter's own optimisation, which also looks for patterns, made a fifth fewer nodes of a small GSM, in a
    hundred times as long.
    """
    from onnx_ir.passes import Sequential, common
    from onnxscript import optimizer

    common.InlinePass()(program.model)
    optimizer.fold_constants(program.model)
    Sequential(
        common.RemoveUnusedNodesPass(),
        common.RemoveUnusedFunctionsPass(),
        common.RemoveUnusedOpsetsPass(),
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        common.LiftSubgraphInitializersToMainGraphPass(),
        common.DeduplicateInitializersPass(),
        common.CommonSubexpressionEliminationPass(),
        common.RemoveUnusedNodesPass(),
        common.NameFixPass(),
    )(program.model)


_TALKING = 'torch.onnx', 'torch._export.serde.serialize', 'onnxscript', 'onnx_ir'


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the converter's notes about its own insides from users."""
    loggers = [logging.getLogger(name) for name in _TALKING]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _short(error: Exception) -> str:
    return (str(error.__cause__ or error).strip().splitlines() or [type(error).__name__])[0][:160].rstrip('.')
