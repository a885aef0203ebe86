import importlib

import pytest

pytest.importorskip('numba')

from gsm_plugin.ops._common import compiling


def test_a_kernel_is_compiled_again_when_any_source_of_kernels_has_changed(tmp_path, monkeypatch):
    (tmp_path / 'some_kernels.py').write_text(
        'from gsm_plugin.ops._common.compiling import compiled\n\n@compiled\ndef double(x):\n    return 2 * x\n'
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    module = importlib.import_module('some_kernels')

    def compiles():
        kernel = importlib.reload(module).double
        assert kernel(3) == 6
        return sum(kernel.stats.cache_misses.values()) > 0

    assert compiles()
    assert not compiles()
    monkeypatch.setattr(compiling, '_digest', lambda ops: 'of other sources')
    assert compiles()


def test_the_sources_are_those_of_all_kernels_and_of_what_they_share(tmp_path):
    for name in ('_common/vectors.py', 'an_op/numba_kernels.py', 'an_op/numba_impl.py'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text('1')

    def digest_after(name):
        (tmp_path / name).write_text('2')
        return compiling._digest.__wrapped__(tmp_path)

    digests = [
        compiling._digest.__wrapped__(tmp_path),
        *map(digest_after, ('_common/vectors.py', 'an_op/numba_kernels.py')),
    ]
    assert len({*digests}) == 3
    assert digest_after('an_op/numba_impl.py') == digests[-1]
