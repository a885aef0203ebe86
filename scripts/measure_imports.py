"""What it costs to depend on gsm_plugin: processor time and modules of its imports, and of a GSM out of safetensors."""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file

from gsm_plugin import GSMamba
from gsm_plugin.scoring.report.tables import markdown_table

_LOAD = 'from gsm_plugin import Restorer; Restorer.load({!r}, device="cpu")'
# Printed by the process itself: processor time since its start, and what it has imported.
_TELL = 'import sys, time; print(time.process_time(), *sys.modules)'


def measure(statement: str, repeats: int) -> list[str]:
    """A row of the table: the least time of some processes."""
    told = []
    for _ in range(repeats):
        done = subprocess.run(
            [sys.executable, '-c', f'{statement}\n{_TELL}'],
            env={**os.environ, 'PYTHONPATH': str(Path(__file__).parents[1])},
            capture_output=True,
            text=True,
            encoding='utf-8',
            check=True,
        )
        told.append(done.stdout.split())
    modules = told[0][1:]
    there = [name for name in ('torch', 'basicsr', 'cv2', 'triton') if name in modules]
    seconds = min(float(words[0]) for words in told)
    return [f'{seconds:.2f}', str(len(modules)), ', '.join(there)]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--repeats', type=int, default=3, help='processes for each row (default: 3)')
    repeats = parser.parse_args().repeats
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, 'gsm.safetensors'))
        save_file(GSMamba(prop_depth=2, attn_depth=1, embed_dims=16).state_dict(), path)
        rows = [
            ['nothing', *measure('', repeats)],
            ['`import torch`', *measure('import torch', repeats)],
            ['`import gsm_plugin`', *measure('import gsm_plugin', repeats)],
            ['`import gsm_plugin.ops`', *measure('import gsm_plugin.ops', repeats)],
            ['`Restorer.load("gsm.safetensors")`', *measure(_LOAD.format(path), repeats)],
            ['`import gsm_plugin, basicsr.archs`', *measure('import gsm_plugin, basicsr.archs', repeats)],
        ]
    print(markdown_table(['what', 'processor s', 'modules', 'of these'], rows), end='')


if __name__ == '__main__':
    main()
