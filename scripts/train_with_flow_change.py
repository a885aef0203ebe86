"""Trains with one change to flows or warps: `python scripts/train_with_flow_change.py CHANGE -opt FILE`.

For the comparisons in docs/training.md. CHANGE is none, no-fraction, bilinear, photometric or tight-clipping, which
change what the flow network learns from (`gsm_plugin/studies/flow/cures.py`), or bilinear-warp, strong-positions or
fast-warp, which change how frames are gathered (`gsm_plugin/studies/flow/warps.py`). The other arguments are those of
`basicsr train`.
"""

import sys

import gsm_plugin

gsm_plugin.register()

from gsm_plugin.cli.main import main  # noqa: E402
from gsm_plugin.studies.flow.cures import CURES  # noqa: E402
from gsm_plugin.studies.flow.warps import WARPS  # noqa: E402

CHANGES = CURES | WARPS

if __name__ == '__main__':
    change = sys.argv[1] if len(sys.argv) > 1 else None
    if change in ('-h', '--help'):
        sys.exit(print(__doc__))
    if change not in CHANGES:
        what = 'The change is missing' if change is None else f'{change} is no change'
        print(f'{what}; give one of {", ".join(CHANGES)}, then the arguments of basicsr train.', file=sys.stderr)
        sys.exit(2)
    CHANGES[change]()
    sys.exit(main(['train', *sys.argv[2:]]))
