"""Finds the option keys that a class reads, in its source; `make_host_keys.py` asks it about BasicSR's.

Follows `opt['a']`, `opt.get('a')` and `'a' in opt` through names, attributes of self and loops, in the methods that an
instance of the class really has, and gives the paths that are read.
"""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from functools import cache

ANY = '*'
"""A path segment that stands for every name; within a segment it stands for any text ('pretrain_*')."""

BELOW = '**'
"""The last segment of a path under which nothing can be told, because a section goes elsewhere as a whole."""

Path = tuple[str, ...]


# What BasicSR hands sections to; their keys are known from signatures, or they read none.
_TRACKED_CALLS = frozenset(
    {
        'build_network', 'build_loss', 'build_dataset', 'calculate_metric', 'get_optimizer', 'MultiStepRestartLR',
        'CosineAnnealingRestartLR', 'FileClient', 'deepcopy', '__init__', 'len', 'int', 'float', 'str', 'list', 'bool',
        'tuple', 'sorted', 'isinstance', 'print', 'info', 'warning', 'type', 'range', 'max', 'min', 'sum', 'enumerate',
        'items', 'keys', 'values', 'get', 'pop', 'join', 'expanduser', 'open', 'Path', 'zip', 'set', 'zeros', 'append',
    }
)  # fmt: skip


@cache
def scan_class(cls: type) -> frozenset[Path]:
    """Scans a class whose constructor takes an option dictionary as its first argument.

    Args:
        cls: A model or data set class.

    Returns:
        Paths of keys, such as ('train', 'ema_decay') or ('val', 'metrics', '*', 'better').
    """
    try:
        methods = list(_effective_methods(cls))
    except (OSError, TypeError):
        # Made at run time or shipped without source: nothing can be told.
        return frozenset({(BELOW,)})
    attributes: dict[str, Path] = {'opt': ()}
    # Twice, because a method may use an attribute that a later one sets.
    for _ in range(2):
        paths: set[Path] = set()
        for method in methods:
            _MethodScan(method, attributes, paths).run()
    return frozenset(paths)


def _effective_methods(cls: type) -> Iterator[ast.FunctionDef]:
    """The methods of a class, and those of its bases that it inherits or calls by super()."""
    hidden: set[str] = set()
    for base in cls.__mro__:
        if base.__module__.split('.')[0] in ('builtins', 'torch', 'abc', 'typing'):
            continue
        for method in _methods_in_source(base):
            if method.name not in hidden:
                yield method
                if not _calls_super(method):
                    hidden.add(method.name)


def _methods_in_source(cls: type) -> list[ast.FunctionDef]:
    tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    return [node for node in tree.body[0].body if isinstance(node, ast.FunctionDef)]


def _calls_super(method: ast.FunctionDef) -> bool:
    return any(
        isinstance(node, ast.Attribute)
        and node.attr == method.name
        and isinstance(node.value, ast.Call)
        and getattr(node.value.func, 'id', None) == 'super'
        for node in ast.walk(method)
    )


class _MethodScan(ast.NodeVisitor):
    def __init__(self, method: ast.FunctionDef, attributes: dict[str, Path], paths: set[Path]):
        self._method = method
        self._attributes = attributes
        self._paths = paths
        self._names: dict[str, Path] = {}

    def run(self) -> None:
        arguments = self._method.args.args
        if self._method.name == '__init__' and len(arguments) > 1:
            self._names[arguments[1].arg] = ()
        for statement in self._method.body:
            self.visit(statement)

    def visit_Assign(self, node: ast.Assign) -> None:
        self.generic_visit(node)
        path = self._path(node.value)
        for target in node.targets:
            self._bind(target, path)
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                for part, value in zip(target.elts, node.value.elts, strict=False):
                    self._bind(part, self._path(value))

    def visit_For(self, node: ast.For) -> None:
        self._bind_loop(node.target, node.iter)
        self.generic_visit(node)

    def visit_ListComp(self, node: ast.ListComp) -> None:
        # Their loops stand behind what uses the names.
        for loop in node.generators:
            self._bind_loop(loop.target, loop.iter)
        self.generic_visit(node)

    visit_SetComp = visit_DictComp = visit_GeneratorExp = visit_ListComp

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if isinstance(node.ctx, ast.Load):
            self._record(self._path(node))
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        base = self._path(node.comparators[0])
        if base is not None and isinstance(node.ops[0], ast.In | ast.NotIn):
            self._record((*base, _segment(node.left)))
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        self._record(self._path(node))
        if _name(node.func) not in _TRACKED_CALLS:
            for value in [*node.args, *(keyword.value for keyword in node.keywords)]:
                path = self._path(value)
                if path is not None:
                    self._record((*path, BELOW))
        self.generic_visit(node)

    def _record(self, path: Path | None) -> None:
        if path:
            self._paths.add(path)

    def _bind(self, target: ast.expr, path: Path | None) -> None:
        if isinstance(target, ast.Name):
            self._names.pop(target.id, None)
            if path is not None:
                self._names[target.id] = path
        elif path and isinstance(target, ast.Attribute) and getattr(target.value, 'id', None) == 'self':
            self._attributes[target.attr] = path

    def _bind_loop(self, target: ast.expr, iterated: ast.expr) -> None:
        if not isinstance(iterated, ast.Call) or not isinstance(iterated.func, ast.Attribute):
            return
        base = self._path(iterated.func.value)
        if base is None:
            return
        if iterated.func.attr == 'values':
            self._bind(target, (*base, ANY))
        elif iterated.func.attr == 'items' and isinstance(target, ast.Tuple):
            self._bind(target.elts[1], (*base, ANY))

    def _path(self, node: ast.expr) -> Path | None:
        """The path of an expression, where it is a part of the options."""
        if isinstance(node, ast.Name):
            return self._names.get(node.id)
        if isinstance(node, ast.Attribute):
            return self._attributes.get(node.attr) if getattr(node.value, 'id', None) == 'self' else None
        if isinstance(node, ast.Subscript):
            base = self._path(node.value)
            return None if base is None else (*base, _segment(node.slice))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            base = self._path(node.func.value) if node.func.attr in ('get', 'pop', 'setdefault') else None
            return None if base is None else (*base, _segment(node.args[0]))
        if isinstance(node, ast.Call) and _name(node.func) == 'deepcopy' and node.args:
            return self._path(node.args[0])
        return None


def _segment(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return ''.join(part.value if isinstance(part, ast.Constant) else ANY for part in node.values)
    return ANY


def _name(function: ast.expr) -> str | None:
    return getattr(function, 'attr', None) or getattr(function, 'id', None)
