"""BasicVSR++ leaves its alignment out where there is no GPU, and takes every clip for mirrored after a mirrored one.

Its deformable convolution is torchvision's, which runs on the CPU; without the alignment official weights do not fit.
The flag for mirrored clips is only ever set: the next clip would be given the wrong flows.
"""

import warnings
from types import ModuleType

from gsm_plugin.compat.replacing import replaces


def patch(module: ModuleType) -> None:
    """Patches `BasicVSRPlusPlus`."""
    network = module.BasicVSRPlusPlus
    make, check = network.__init__, network.check_if_mirror_extended

    @replaces(network)
    def __init__(self, *args, **kwargs):
        with warnings.catch_warnings():
            warnings.filterwarnings('ignore', message='Deformable alignment module is not added')
            make(self, *args, **kwargs)
        if not self.is_with_alignment:
            _add_alignment(self, module.SecondOrderDeformableAlignment, *args, **kwargs)

    @replaces(network)
    def check_if_mirror_extended(self, lqs):
        self.is_mirror_extended = False
        check(self, lqs)


def _add_alignment(network, alignment, mid_channels=64, num_blocks=7, max_residue_magnitude=10, *_, **__) -> None:
    for name in network.backbone:
        network.deform_align[name] = alignment(
            2 * mid_channels,
            mid_channels,
            3,
            padding=1,
            deformable_groups=16,
            max_residue_magnitude=max_residue_magnitude,
        )
    network.is_with_alignment = True
    # Longer clips would be kept on the CPU and brought to the GPU piece by piece.
    network.cpu_cache_length = float('inf')
