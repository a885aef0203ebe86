"""The tests of this folder are made in a tiny project."""

from tests.models.conftest import log  # noqa: F401 (a fixture)
from tests.project_fixtures import data_folder, fresh_logger, options, project  # noqa: F401
