"""Checks that LQ and GT agree in names, number and size, before a run is spent on them.

BasicSR's data sets pair by position or find out while training; ours check themselves when they are built.
"""

from gsm_plugin.data.checks.every_set import check_datasets

__all__ = ['check_datasets']
