"""The `basicsr` command, and `python -m gsm_plugin`, as processes of their own."""

import atexit
import os
import signal
import sys

# Processes that are spawned to read data run this file up to here, so that they have the patches too.
from gsm_plugin import compat  # noqa: F401

# What a shell says of a program that Ctrl+C has ended, and of one whose reader has gone.
_STOPPED, _BROKEN_PIPE = 128 + 2, 128 + 13


def run() -> None:
    """Runs the command; Ctrl+C is answered by a sentence from the first import on, and undoes nothing at the end.

    Raises:
        SystemExit: As `gsm_plugin.cli.main.main`, with 141 where nobody reads the output any more; with 130, after
            Ctrl+C, the process ends here.
    """
    _open_what_is_closed()
    try:
        try:
            from gsm_plugin.cli.main import main

            main()
        finally:
            sys.stdout.flush()
            # All is said and done. Python would give up its own handling of Ctrl+C while PyTorch is still tidying up.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        print('basicsr: stopped.', file=sys.stderr)
        _end_stopped()
    except SystemExit as end:
        if end.code != _STOPPED:
            raise
        _end_stopped()
    except BrokenPipeError:
        # what is still to be flushed goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(_BROKEN_PIPE) from None


def _open_what_is_closed() -> None:
    """Lets what is said go nowhere where the caller closed the outputs; files would get their numbers otherwise."""
    sys.stdout = sys.stdout or os.fdopen(os.open(os.devnull, os.O_WRONLY), 'w')
    sys.stderr = sys.stderr or os.fdopen(os.open(os.devnull, os.O_WRONLY), 'w')


def _end_stopped() -> None:
    """Ends the process with 130.

    Python itself would end it by the signal if Ctrl+C came while it ran code that is made of text, as data classes are
    made, whatever caught that later.
    """
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(_STOPPED)


if __name__ == '__main__':
    # A spawned process imports the main module again, but not one that was started by -m; as a file it does.
    sys.modules['__main__'].__spec__ = None
    run()
