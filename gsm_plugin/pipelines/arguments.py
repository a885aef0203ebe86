"""BasicSR's command line flags, for the command and for scripts that call BasicSR's pipelines."""

import argparse
import os
import re
import socket
import sys
import zlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

from gsm_plugin.numerals import is_plain
from gsm_plugin.options.nearest import nearest, similarity

_ALIKE = 0.6
# What is a value and no flag: beside negative numbers also negative times (-5s, -1:20), which are refused as such.
_NEGATIVE = re.compile(r'-\.?\d')
# What a type wants, and an example where there is no default.
_EXPECTED: dict[Any, tuple[str, str]] = {int: ('a whole number', '4'), float: ('a number', '1.5')}
# What argparse says, and how we say it.
_REWORDED = (
    (re.compile(r'the following arguments are required: ([^,]+)$'), r'\1 is missing'),
    (re.compile(r'the following arguments are required: (.*)'), r'\1 are missing'),
    (re.compile(r'unrecognized arguments: (.*)'), r'nothing is known of \1'),
    (re.compile(r'argument (\S+): not allowed with argument (\S+)'), r'\1 and \2 exclude each other; leave one out'),
    (re.compile(r'ambiguous option: (\S+) could match (.*)'), r'\1 may be any of \2; write it out'),
    (re.compile(r'argument (\S+): ignored explicit argument (.*)'), r'\1 takes no value, but has \2; leave it out'),
)


class OneLineParser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, with value and cure or the nearest right word; the usage is for --help."""

    _words: Sequence[str] = ()

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._negative_number_matcher = _NEGATIVE

    def parse_known_args(self, args: Iterable[str] | None = None, namespace: Any = None) -> Any:
        """Remembers the words, for the hint."""
        self._words = list(sys.argv[1:] if args is None else args)
        return super().parse_known_args(self._words, namespace)

    def error(self, message: str) -> NoReturn:
        """Ends the program with status 2."""
        for pattern, ours in _REWORDED:
            message = pattern.sub(ours, message)
        prog = self._innermost().prog
        print(f'{prog}: {message}{self._hint()}; see {prog} --help.', file=sys.stderr)
        raise SystemExit(2)

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        if action.type is Path and not arg_string:
            # which would be the working directory
            raise argparse.ArgumentError(None, f'{self._spelled(action)} is empty; give a path, or leave it out')
        expected = _EXPECTED.get(action.type)
        try:
            if expected is not None and not is_plain(arg_string):
                raise argparse.ArgumentError(None, '')
            return super()._get_value(action, arg_string)
        except argparse.ArgumentError as error:
            if expected is None:
                raise
            kind, example = expected
            text = f'{self._spelled(action)} is {arg_string!r}; give {kind}, such as {self._example(action, example)}'
            raise argparse.ArgumentError(None, text) from error

    def _match_argument(self, action: argparse.Action, arg_strings_pattern: str) -> int:
        try:
            return super()._match_argument(action, arg_strings_pattern)
        except argparse.ArgumentError as error:
            example = self._example(action, _EXPECTED.get(action.type, ('', ''))[1])
            if name := self._name_like_a_flag(action):
                example = f'{self._spelled(action)} ./{name}, for {name} begins as flags do'
            raise argparse.ArgumentError(None, f'{self._spelled(action)} has no value; write {example}') from error

    def _check_value(self, action: argparse.Action, value: object) -> None:
        if action.choices is not None and value not in action.choices:
            known = list(map(str, action.choices))
            text = f'{self._spelled(action)} is {value!r}; did you mean {nearest(str(value), known)}? Known: '
            raise argparse.ArgumentError(None, text + ', '.join(known))

    def _spelled(self, action: argparse.Action) -> str:
        """A flag as it was written, or the name of what stands without one."""
        written = [word.partition('=')[0] for word in self._words]
        known = [flag for flag in action.option_strings if flag in written]
        return next(iter(known or action.option_strings), str(action.metavar or action.dest))

    def _example(self, action: argparse.Action, example: str) -> str:
        """How it is written with a right value: its default, an example of its type, or the word of the help."""
        word = ' '.join(action.metavar) if isinstance(action.metavar, tuple) else action.metavar or action.dest.upper()
        default = action.default if isinstance(action.default, int | float) else None
        value = next(iter(action.choices)) if action.choices else default or example or word
        return f'{self._spelled(action)} {value}' if action.option_strings else str(value)

    def _name_like_a_flag(self, action: argparse.Action) -> str | None:
        """The name of a file that follows a flag, but begins with a dash and is no flag."""
        following = (word for flag, word in pairwise(self._words) if flag in action.option_strings)
        word = next(following, '')
        return word if re.fullmatch(r'-[^=]*[./][^=]*', word) else None

    def _innermost(self) -> argparse.ArgumentParser:
        """The parser of the command that was written, which argparse passes over for flags that are not known."""
        parser: argparse.ArgumentParser = self
        for word in self._words:
            if not word.startswith('-'):
                inner = _commands_of(parser).get(word)
                if inner is None:
                    break
                parser = inner
        return parser

    def _hint(self) -> str:
        """Names the flag that is nearest to the first one that is not known."""
        parser: argparse.ArgumentParser = self
        for word in self._words:
            parser = _commands_of(parser).get(word, parser)
            flag = word.partition('=')[0]
            flags = parser._option_string_actions
            if re.fullmatch('--?[a-zA-Z].*', flag) and not any(known.startswith(flag) for known in flags):
                bare = {known.lstrip('-').replace('-', '_'): known for known in flags if known not in ('-h', '--help')}
                wanted = flag.lstrip('-').replace('-', '_')
                if bare and similarity(wanted, closest := nearest(wanted, bare)) > _ALIKE:
                    return f'; did you mean {bare[closest]} for {flag}?'
        return ''


def _commands_of(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    groups = [action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return groups[0] if groups else {}


def end_program(sentence: str, status: int) -> NoReturn:
    """Says why and ends the program.

    The processes of a distributed run check the same file, so before they are joined the first one speaks for all of
    its machine. Later the first one that fails speaks, whichever it is, and the others do not repeat it.
    """
    rank = os.environ.get('RANK', os.environ.get('SLURM_PROCID', '0'))
    local_rank = os.environ.get('LOCAL_RANK', os.environ.get('SLURM_LOCALID', rank))
    if _is_first_to_say(sentence) if _are_joined() else local_rank == '0':
        where = '' if rank == '0' else f'[process {rank} on {socket.gethostname()}] '
        print(f'{where}{sentence}', file=sys.stderr, flush=True)
    raise SystemExit(status) from None


def _are_joined() -> bool:
    distributed = sys.modules.get('torch.distributed')
    return distributed is not None and distributed.is_available() and distributed.is_initialized()


def _is_first_to_say(sentence: str) -> bool:
    from torch.distributed import distributed_c10d

    try:
        return distributed_c10d._get_default_store().add(f'gsm_plugin said {zlib.crc32(sentence.encode())}', 1) == 1
    except RuntimeError:
        # The process that keeps the store is gone: twice is better than not at all.
        return True


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of training and test, with the meaning that they have in BasicSR."""
    parser.add_argument('-opt', required=True, metavar='FILE', help='option file, YAML')
    parser.add_argument(
        '--launcher',
        choices=('none', 'pytorch', 'slurm'),
        default='none',
        help='pytorch: started by torchrun; slurm: started by srun (default: none)',
    )
    parser.add_argument('--auto_resume', action='store_true', help='continue from the newest state of the experiment')
    parser.add_argument(
        '--debug', action='store_true', help='log every iteration, validate and save every 8, under a name of its own'
    )
    parser.add_argument(
        '--verbose',
        action='store_true',
        help='log all layers of the networks, and the backend of each op and why',
    )
    parser.add_argument(
        '--local_rank',
        '--local-rank',
        type=int,
        help='number of the process on its machine, from launchers that pass it; LOCAL_RANK comes first',
    )
    add_import(parser)
    parser.add_argument(
        '--force_yml',
        nargs='+',
        action='extend',
        metavar='KEY:KEY=VALUE',
        help='replace options of the file, for example train:optim_g:lr=1e-4',
    )


def add_import(parser: argparse.ArgumentParser) -> None:
    """Adds `--import`."""
    parser.add_argument(
        '--import',
        nargs='+',
        action='extend',
        default=[],
        dest='modules',
        metavar='MODULE',
        help='import modules, packages or .py files of your own first, for example archs,data,models; they register '
        'networks, data sets, losses, metrics and models as in BasicSR',
    )
