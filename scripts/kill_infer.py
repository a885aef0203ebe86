"""Kills `basicsr infer` at random moments, runs it again, and compares the output with that of a run without kills.

    python scripts/kill_infer.py film.mkv --kills 20 --network type=Bicubic upscale=4

Every kill is SIGKILL of the command's process; other flags go to the command. The film should have several scenes, or
more than 240 frames, so that there are pieces to go on from.
"""

import argparse
import contextlib
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path


class Command:
    """The command for one output.

    Args:
        film: The input.
        out: The output.
        flags: Other flags.
    """

    def __init__(self, film: Path, out: Path, flags: list[str]):
        self.out, self.segments = out, out.with_name(f'{out.name}.segments')
        self._words = [sys.executable, '-m', 'gsm_plugin', 'infer', '-i', str(film), '-o', str(out), *flags]

    def start(self) -> subprocess.Popen:
        """Starts it."""
        return subprocess.Popen(self._words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def finish(self) -> float:
        """Runs it to its end; returns the seconds from the first piece of work on."""
        process, began = self.start(), None
        while process.poll() is None:
            if began is None and self.segments.exists():
                began = time.monotonic()
            time.sleep(0.01)
        if process.returncode:
            sys.exit(process.stderr.read().decode(errors='replace')[-2000:])
        return time.monotonic() - (began or time.monotonic())

    def kill_after(self, seconds: float) -> float | None:
        """Starts it and kills it so long after its work began, or after its start where an earlier one had begun.

        Returns:
            None, or the seconds after which it had ended by itself.
        """
        process = self.start()
        while not self.segments.exists() and process.poll() is None:
            time.sleep(0.01)
        began = time.monotonic()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
            return time.monotonic() - began
        process.kill()
        process.wait()
        return None


def main() -> int:
    """Kills, goes on and compares; 1 where an output differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('film', type=Path)
    parser.add_argument('--kills', type=int, default=20, help='how often to kill (default: 20)')
    parser.add_argument('--seed', type=int, default=0, help='of the moments (default: 0)')
    args, flags = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        whole = Command(args.film, Path(folder, f'whole{args.film.suffix}'), flags)
        took = whole.finish()
        print(f'The work of a run that nobody kills takes {took:.1f} s.', flush=True)
        return _kill(args, Command(args.film, Path(folder, f'killed{args.film.suffix}'), flags), whole.out, took)


def _kill(args: argparse.Namespace, command: Command, expected: Path, took: float) -> int:
    chance = random.Random(args.seed)
    kills = endings = identical = pieces = 0
    while True:
        while kills < args.kills and not command.out.exists():
            ended = command.kill_after(chance.uniform(0, took))
            # Other work on the machine makes runs slower or faster; the moments are to fall into them.
            took = took * 1.1 if ended is None else ended
            kills += ended is None
            left = list(command.segments.glob('segment_*'))
            pieces += any(path.suffix != '.part' for path in left)
            print(f'{kills} kills, {len(left)} pieces', flush=True)
        if not command.out.exists():
            command.finish()
        endings += 1
        identical += command.out.read_bytes() == expected.read_bytes()
        print(f'{kills} kills, {identical} of {endings} outputs identical', flush=True)
        if kills >= args.kills:
            break
        command.out.unlink()
        shutil.rmtree(command.segments, ignore_errors=True)
    print(f'After {pieces} of the kills, finished pieces were there to go on from.')
    return 0 if identical == endings else 1


if __name__ == '__main__':
    sys.exit(main())
