"""BasicSR reads lists of clips in the system's encoding and cuts lines at single spaces, as few editors write them.

So its data sets open their lists by `open_list`, which reads as our data sets, tools and checks do.
"""

import codecs
import functools
import io
import re
from pathlib import Path
from types import ModuleType

from gsm_plugin.errors import UserError

_UTF_16_OR_32 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)
_SAVE = 'save it as UTF-8'


def read_list(path: str | Path) -> list[tuple[int, str]]:
    """Reads a text file of one entry a line.

    A byte order mark, the end of lines of other systems, blanks at their ends and empty lines are passed over.

    Args:
        path: The file.

    Returns:
        The lines that are not empty, each behind its number, counted from 1.

    Raises:
        UserError: The file is missing, or is no text in UTF-8; the text has the file, the line and the cure.
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError as error:
        raise UserError(f'the list {path} does not exist; correct its path.') from error
    except OSError as error:
        raise UserError(f'the list {path} cannot be read ({error.strerror}); correct its path.') from error
    if content.startswith(_UTF_16_OR_32) or b'\0' in content:
        raise UserError(f'{path} is text in UTF-16 or no text, which cannot be read as a list; {_SAVE}.')
    lines = []
    for number, line in enumerate(content.removeprefix(codecs.BOM_UTF8).splitlines(), 1):
        try:
            lines.append((number, line.decode('utf-8').strip()))
        except UnicodeDecodeError as error:
            shown = line.decode('ascii', errors='replace').strip()
            raise UserError(f'{path}, line {number} ({shown}) is no UTF-8; {_SAVE}.') from error
    return [(number, line) for number, line in lines if line]


def plain_words(line: str) -> str:
    """A line as BasicSR wants it: words with single spaces between them, of which a size such as (64,64,3) is one.

    The slash that shells put behind the names of folders is left out, since BasicSR compares names.
    """
    joined = re.sub(r'\(\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*\)', r'(\1,\2,\3)', line)
    return re.sub(r'^(\S*[^\s/])/+(?= |$)', r'\1', ' '.join(joined.split()))


def patch(module: ModuleType) -> None:
    """Lets a module of data sets open its lists by `open_list`; it opens nothing else."""
    vars(module).update(open=open_list)


@functools.wraps(open)
def open_list(file, mode='r', *_, **__):
    """Opens a list for reading, in the place of `open`."""
    return io.StringIO(''.join(f'{plain_words(line)}\n' for _, line in read_list(file)))
