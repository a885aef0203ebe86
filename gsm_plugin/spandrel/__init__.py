"""GSM for programs that load networks through spandrel, such as ComfyUI and chaiNNer."""

from importlib.util import find_spec

from gsm_plugin.errors import UserError


def install() -> None:
    """Adds GSM to spandrel's registry, for all loaders that were made or will be; a second call changes nothing.

    Raises:
        UserError: spandrel is not installed.
    """
    if find_spec('spandrel') is None:
        raise UserError("spandrel is not installed; pip install 'gsm_plugin[spandrel]'.")
    from spandrel import MAIN_REGISTRY, ArchSupport

    from gsm_plugin.spandrel.architecture import GSMArch

    MAIN_REGISTRY.add(ArchSupport.from_architecture(GSMArch()), ignore_duplicates=True)
