"""All checks that an option file alone allows, in their order."""

from gsm_plugin.options.checking import check_keys, check_sections
from gsm_plugin.options.names import check_names
from gsm_plugin.options.signatures import check_arguments
from gsm_plugin.options.together import check_together
from gsm_plugin.options.types import check_argument_types, check_declared, check_needed


def check_option_file(options: dict, is_train: bool) -> list[str]:
    """Checks what can be told from an option file alone, without looking at paths, data and devices.

    Args:
        options: The option file; the classes that it names are registered. Numbers that are written like 5e3 and have
            to be whole become so, in place.
        is_train: Whether it is for training or for a test.

    Returns:
        One sentence for each key that is ignored.

    Raises:
        UserError: Something is missing, unknown or impossible.
    """
    check_sections(options, is_train)
    check_needed(options, is_train)
    check_names(options)
    check_declared(options)
    notes = check_keys(options)
    check_arguments(options)
    check_argument_types(options)
    check_together(options)
    return notes
