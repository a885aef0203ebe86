"""The data sets of an option file, those among them of which a mixed set is made up."""

from collections.abc import Iterator

from gsm_plugin.errors import UserError

MIXED = 'MixedDataset'


def data_sections(options: dict) -> Iterator[tuple[str, dict]]:
    """All data sets, each before its parts.

    Args:
        options: The option file.

    Yields:
        The path of the section, such as `datasets:train` or `datasets:train:parts:film`, and the section.

    Raises:
        UserError: A mixed set has no parts.
    """
    for key, section in options['datasets'].items():
        yield f'datasets:{key}', section
        if isinstance(section, dict) and section.get('type') == MIXED:
            parts = section.get('parts')
            if not isinstance(parts, dict) or not parts:
                raise UserError(
                    f'datasets:{key}:parts is {parts!r}; it must be a section with a section for each part.'
                )
            for name, part in parts.items():
                yield f'datasets:{key}:parts:{name}', part
