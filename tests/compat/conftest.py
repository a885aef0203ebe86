import os

import pytest


@pytest.fixture
def no_launcher():
    """Takes away what a launcher sets, and what a test sets of it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(('SLURM_', 'MASTER_'))}
    kept = {name: value for name, value in kept.items() if name not in ('RANK', 'LOCAL_RANK', 'WORLD_SIZE')}
    before = dict(os.environ)
    for name in before.keys() - kept.keys():
        del os.environ[name]
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)
