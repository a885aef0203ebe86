"""An import hook that stands in for modules that are gone and patches others as soon as they are executed."""

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

# Nothing that is heavier: a Ctrl+C while this is imported finds nobody who would answer it.

Fill = Callable[[ModuleType], None]


class PatchingFinder:
    """Asks every other finder first, so that a module which exists is never hidden.

    Args:
        stand_ins: Module name -> what fills an empty module of that name where no other finder knows it.
        patches: Module name -> what is done to the module after it was executed.
    """

    def __init__(self, stand_ins: Mapping[str, Fill], patches: Mapping[str, Sequence[Fill]]):
        self._stand_ins = stand_ins
        self._patches = patches

    def install(self) -> None:
        """Takes the first place among finders and patches what was imported before; a second call changes nothing."""
        if self in sys.meta_path:
            return
        sys.meta_path.insert(0, self)
        for name, patches in self._patches.items():
            if name in sys.modules:
                _apply(patches, sys.modules[name])

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Implements the finder protocol."""
        if name in self._stand_ins and self._find_elsewhere(name, path, target) is None:
            loader = _StandInLoader(self._stand_ins[name])
            return ModuleSpec(name, loader, is_package=self._has_children(name))  # type: ignore[arg-type]
        if name in self._patches:
            spec = self._find_elsewhere(name, path, target)
            if spec is not None:
                _patch_after_execution(spec, self._patches[name])
            return spec
        return None

    def _has_children(self, name: str) -> bool:
        return any(other.startswith(f'{name}.') for other in self._stand_ins)

    def _find_elsewhere(self, name: str, path: Sequence[str] | None, target: ModuleType | None) -> ModuleSpec | None:
        for finder in sys.meta_path:
            if finder is not self and (spec := finder.find_spec(name, path, target)) is not None:
                return spec
        return None


class _StandInLoader:
    def __init__(self, fill: Fill):
        self._fill = fill

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        self._fill(module)


def _patch_after_execution(spec: ModuleSpec, patches: Sequence[Fill]) -> None:
    from gsm_plugin.compat.replacing import replaces

    loader = spec.loader
    if loader is None:
        return
    execute = loader.exec_module

    # On the instance, so that the loader keeps everything else it can do (source, resources).
    @replaces(loader)
    def exec_module(module: ModuleType) -> None:
        execute(module)
        _apply(patches, module)


def _apply(patches: Sequence[Fill], module: ModuleType) -> None:
    for patch in patches:
        patch(module)
