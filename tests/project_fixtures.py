"""A tiny project in a folder of its own, which is the working directory of the test."""

import logging
import os
from copy import deepcopy
from pathlib import Path

import pytest

import gsm_plugin  # noqa: F401
from tests import tiny_project


@pytest.fixture(scope='session')
def data_folder(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp('tiny')
    tiny_project.write_data(root)
    tiny_project.register_network()
    return root / 'data'


@pytest.fixture
def project(data_folder, tmp_path, monkeypatch) -> Path:
    os.symlink(data_folder, tmp_path / 'data')
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def options() -> dict:
    return deepcopy(tiny_project.OPTIONS)


@pytest.fixture
def fresh_logger():
    from basicsr.utils import logger as basicsr_logger

    before = dict(basicsr_logger.initialized_logger), list(logging.getLogger('basicsr').handlers)
    basicsr_logger.initialized_logger.clear()
    logging.getLogger('basicsr').handlers = []
    yield
    basicsr_logger.initialized_logger.clear()
    basicsr_logger.initialized_logger.update(before[0])
    logging.getLogger('basicsr').handlers = before[1]
