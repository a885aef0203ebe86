"""BasicSR's command line flags, for the command and for scripts that call BasicSR's pipelines."""

import argparse
import os
import sys
from typing import NoReturn


class OneLineParser(argparse.ArgumentParser):
    """Says what is wrong in one sentence; the usage is a matter of --help."""

    def error(self, message: str) -> NoReturn:
        """Ends the program with status 2."""
        print(f'{self.prog}: {message}; see {self.prog} --help.', file=sys.stderr)
        raise SystemExit(2)


def end_program(sentence: str, status: int) -> NoReturn:
    """Says why and ends the program; of the processes of a distributed run only the first one speaks."""
    if os.environ.get('RANK', os.environ.get('SLURM_PROCID', '0')) == '0':
        print(sentence, file=sys.stderr, flush=True)
    raise SystemExit(status) from None


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
        '--local_rank',
        '--local-rank',
        type=int,
        default=0,
        help='accepted from launchers that pass it; the environment decides',
    )
    parser.add_argument(
        '--force_yml',
        nargs='+',
        action='extend',
        metavar='KEY:KEY=VALUE',
        help='replace options of the file, for example train:optim_g:lr=1e-4',
    )
