"""One op, one folder, the same files."""

import ast
import importlib
import inspect
from pathlib import Path

import pytest

from gsm_plugin import ops
from gsm_plugin.ops import dispatch

OPS = Path(ops.__file__).parent
PLUMBING = {'_common', '_triton'}
# of a folder that was renamed, the compiled files may still be there
FOLDERS = sorted({path.parent.name for path in OPS.glob('*/*.*')} - {*PLUMBING, '__pycache__'})
ALWAYS = {'__init__.py', 'interface.py', 'naive.py', 'README.md'}
# implementations that need other packages than PyTorch, and so must not be imported by an interface
IMPLEMENTATIONS = {'torch', 'numba', 'triton', 'mamba_ssm'}

each_op = pytest.mark.parametrize('op', FOLDERS)


def backends(op):
    return {backend.name: backend for backend in dispatch._OPS[op]}


def names(op, module):
    return ast.parse((OPS / op / module).read_text(encoding='utf-8'))


def test_there_are_ops_plumbing_and_the_chooser_and_nothing_else():
    assert {path.name for path in OPS.glob('*.py')} == {'__init__.py', 'dispatch.py'}
    assert set(FOLDERS) == set(dispatch._OPS)


@each_op
def test_an_op_has_its_files_and_its_backends_have_theirs(op):
    files = {path.name for path in (OPS / op).iterdir() if path.is_file()}
    wanted = {f'{name}_impl.py' for name in backends(op) if name != 'naive'}
    assert wanted <= files
    others = files - ALWAYS - wanted
    assert files >= ALWAYS
    # kernels that are too many for the file that launches them
    assert all(name.split('_')[0] in backends(op) and f'{name.split("_")[0]}_impl.py' in files for name in others)


@each_op
def test_the_reference_is_the_last_resort_and_covers_everything(op):
    *_, last = dispatch._OPS[op]
    assert last.name == 'naive'
    assert set(backends(op)) <= {*IMPLEMENTATIONS, 'naive'}
    assert (last.types, last.runs_on, last.covers) == (None, dispatch.nothing_needed, dispatch.everything_covered)


@each_op
@pytest.mark.parametrize('name', ['naive', 'torch', 'numba', 'triton', 'mamba_ssm'])
def test_a_backend_is_a_function_of_that_name_with_the_arguments_of_the_reference(op, name):
    if name not in backends(op):
        return
    if name in ('numba', 'triton'):
        pytest.importorskip(name)
    function, reference = dispatch.implementation(op, name), dispatch.implementation(op, 'naive')
    assert function.__name__ == f'{op}_{name}'
    parameters = inspect.signature(function).parameters.values()
    takes_all = any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in parameters)
    assert takes_all or list(inspect.signature(function).parameters) == list(inspect.signature(reference).parameters)


@each_op
def test_its_functions_are_those_of_the_interface_and_end_with_the_choice_of_a_backend(op):
    package = importlib.import_module(f'gsm_plugin.ops.{op}')
    interface = importlib.import_module(f'gsm_plugin.ops.{op}.interface')
    functions = [name for name in package.__all__ if inspect.isfunction(getattr(interface, name))]
    assert functions
    assert op == interface.OP
    for name in package.__all__:
        assert getattr(ops, name) is getattr(package, name) is getattr(interface, name)
        assert name in ops.__all__
    for name in functions:
        parameter = inspect.signature(getattr(interface, name)).parameters['backend']
        assert parameter.default == 'auto'


@each_op
def test_the_backends_that_the_docstring_tells_are_those_that_there_are(op):
    package = importlib.import_module(f'gsm_plugin.ops.{op}')
    documented = [
        line.strip().removeprefix('backend: ')
        for name in package.__all__
        for line in (getattr(package, name).__doc__ or '').splitlines()
        if line.strip().startswith('backend: auto')
    ]
    *first, last = ['auto', *backends(op)]
    assert documented
    assert all(text.startswith(f'{", ".join(first)} or {last}') for text in documented), documented


@each_op
def test_an_interface_imports_no_implementation(op):
    imported = {node.module for node in ast.walk(names(op, 'interface.py')) if isinstance(node, ast.ImportFrom)}
    assert not [name for name in imported if name.endswith(('_impl', '.naive'))]


@each_op
def test_the_page_of_an_op_tells_all_its_backends(op):
    text = (OPS / op / 'README.md').read_text(encoding='utf-8')
    assert all(f'`{name}`' in text or f'| {name} |' in text for name in backends(op))


@pytest.mark.parametrize('op', [op for op in FOLDERS if 'triton' in backends(op)])
def test_kernels_have_the_name_of_the_op_and_of_their_pass(op):
    trees = [names(op, path.name) for path in (OPS / op).glob('triton_*.py')]
    functions = [node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    kernels = {name for name in functions if name.endswith('_kernel')}
    if op == 'bidirectional_scan':
        # of its eleven kernels, the one that chains the chunks is of both passes
        assert all(name.endswith(('_fwd_kernel', '_bwd_kernel')) for name in kernels - {'chain_kernel'})
    else:
        assert {f'{op}_fwd_kernel'} <= kernels <= {f'{op}_fwd_kernel', f'{op}_bwd_kernel'}
