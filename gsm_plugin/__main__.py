"""The `basicsr` command, and `python -m gsm_plugin`, as processes of their own."""

import os
import signal
import sys

# Processes that are spawned to read data run this file up to here, so that they have the patches too.
from gsm_plugin import compat  # noqa: F401

# What a shell says of a program whose reader has gone.
_BROKEN_PIPE = 128 + 13


def run() -> None:
    """Runs the command; Ctrl+C is answered by a sentence from the first import on, and undoes nothing at the end.

    Raises:
        SystemExit: As `gsm_plugin.cli.main.main`; with 130 after Ctrl+C, 141 where nobody reads the output any more.
    """
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
        raise SystemExit(130) from None
    except BrokenPipeError:
        # what is still to be flushed goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(_BROKEN_PIPE) from None


if __name__ == '__main__':
    # A spawned process imports the main module again, but not one that was started by -m; as a file it does.
    sys.modules['__main__'].__spec__ = None
    run()
