"""BasicSR's command line flags, for the command and for scripts that call BasicSR's pipelines."""

import argparse
import os
import re
import socket
import sys
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

from gsm_plugin.options.nearest import nearest, similarity

_ALIKE = 0.6


class OneLineParser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, with the nearest right word; the usage is a matter of --help."""

    _words: Sequence[str] = ()

    def parse_known_args(self, args: Iterable[str] | None = None, namespace: Any = None) -> Any:
        """Remembers the words, for the hint."""
        self._words = list(sys.argv[1:] if args is None else args)
        return super().parse_known_args(self._words, namespace)

    def error(self, message: str) -> NoReturn:
        """Ends the program with status 2."""
        print(f'{self.prog}: {message}{self._hint()}; see {self.prog} --help.', file=sys.stderr)
        raise SystemExit(2)

    def _check_value(self, action: argparse.Action, value: object) -> None:
        if action.choices is not None and value not in action.choices:
            known = list(map(str, action.choices))
            message = f'invalid choice: {value!r}; did you mean {nearest(str(value), known)}? Known: {", ".join(known)}'
            raise argparse.ArgumentError(action, message)

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
