"""Gather-Scatter Mamba and what a video super-resolution user needs around it, as a guest of BasicSR."""

import os

from gsm_plugin import compat
from gsm_plugin.compat.lazy import lazily
from gsm_plugin.version import __version__ as __version__

compat.install()

__getattr__, __dir__ = lazily(
    globals(),
    {
        'BiMamba': 'gsm_plugin.layers.bimamba',
        'GSMamba': 'gsm_plugin.archs.gsm_arch',
        'GatherScatterBlock': 'gsm_plugin.layers.gather_scatter',
        'Restorer': 'gsm_plugin.inference.restorer',
        'VRT': 'gsm_plugin.archs.vrt_arch',
        'bidirectional_scan': 'gsm_plugin.ops',
        'flow_warp': 'gsm_plugin.ops',
        'selective_scan': 'gsm_plugin.ops',
    },
)


def register() -> None:
    """Adds the plugin to BasicSR, for scripts that call BasicSR's pipelines; calling it again changes nothing.

    The networks, models and data sets go into BasicSR's registries, and `train_pipeline` and `test_pipeline` read and
    check their option files as the `basicsr` command does.
    """
    from gsm_plugin.pipelines.running import take_over_parsing
    from gsm_plugin.registration import register_all

    register_all()
    take_over_parsing()


def train_pipeline(root: str | None = None) -> None:
    """Trains by the command line of the script that is running, as `basicsr train` does, for a `train.py` of one's own.

    In the place of BasicSR's function of that name: with our loop, so that the run can be stopped and resumed exactly.
    It registers the plugin; the script registers what is its own, by imports before the call or `--import`.

    Args:
        root: Where `experiments` and `tb_logger` go; default the working directory.

    Raises:
        SystemExit: With 2 after a mistake of the user, 130 after Ctrl+C.
    """
    _run_script(root, is_train=True)


def test_pipeline(root: str | None = None) -> None:  # noqa: PT028 (no test of pytest's)
    """Tests likewise, as `basicsr test` does.

    Args:
        root: Where `results` goes; default the working directory.

    Raises:
        SystemExit: With 2 after a mistake of the user, 130 after Ctrl+C.
    """
    _run_script(root, is_train=False)


def _run_script(root: str | None, is_train: bool) -> None:
    register()
    from gsm_plugin.pipelines.running import run_script

    run_script(os.getcwd() if root is None else root, is_train)
