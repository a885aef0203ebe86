"""Trains with one change to what the flow network learns from: `python scripts/train_with_flow_cure.py CURE -opt FILE`.

For the comparison in docs/training.md. CURE is none, no-fraction, bilinear or photometric, as
`gsm_plugin/studies/flow/cures.py` describes them. The other arguments are those of `basicsr train`.
"""

import sys

import gsm_plugin

gsm_plugin.register()

from gsm_plugin.cli.main import main  # noqa: E402
from gsm_plugin.studies.flow.cures import CURES  # noqa: E402

if __name__ == '__main__':
    cure = sys.argv[1] if len(sys.argv) > 1 else None
    if cure in ('-h', '--help'):
        sys.exit(print(__doc__))
    if cure not in CURES:
        sys.exit(f'{cure} is no cure; give one of {", ".join(CURES)}, then the arguments of basicsr train.')
    CURES[cure]()
    sys.exit(main(['train', *sys.argv[2:]]))
