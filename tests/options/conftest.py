"""The tiny project of the engine's tests."""

from tests.engine.conftest import data_folder, fresh_logger, options, project  # noqa: F401
