import logging

import pytest


@pytest.fixture
def log(caplog):
    """The text that BasicSR's logger got, as a callable."""
    from basicsr.utils import get_root_logger

    logger = get_root_logger()
    before = logger.propagate, logger.level
    logger.propagate, logger.level = True, logging.INFO
    caplog.set_level(logging.INFO, logger='basicsr')
    yield lambda: '\n'.join(record.getMessage() for record in caplog.records)
    logger.propagate, logger.level = before
