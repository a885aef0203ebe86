from tests.models.conftest import log  # noqa: F401 (a fixture)
