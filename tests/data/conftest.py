"""Makes basicsr importable before a test module asks for it."""

import gsm_plugin  # noqa: F401
