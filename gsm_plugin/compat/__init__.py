"""Makes BasicSR 1.4.2 run on today's Python, torchvision and OpenCV, and on machines without GPU.

Nothing in site-packages is edited and nothing heavy is imported here: an import hook supplies modules that are gone and
patches BasicSR's modules at the moment they are imported. One file per patch, each with its reason.
"""

from importlib import import_module
from types import ModuleType

from gsm_plugin.compat.import_hook import Fill, PatchingFinder

__all__ = ['install']


_STAND_INS = {
    'torchvision.transforms.functional_tensor': 'torchvision_functional_tensor.fill',
    'distutils': 'distutils_version.fill_package',
    'distutils.version': 'distutils_version.fill',
}

_PATCHES = {
    'basicsr.archs.arch_util': ('flow_warp_grid.patch', 'repeatable_flow_warp.patch'),
    'basicsr.data': ('bad_samples.patch_builder',),
    'basicsr.archs.basicvsrpp_arch': ('basicvsrpp_anywhere.patch',),
    'basicsr.data.data_util': ('one_decoder.patch_sequences', 'text_lists.patch'),
    'basicsr.data.degradations': ('jpeg_quality.patch',),
    'basicsr.metrics': ('finite_psnr.patch',),
    'basicsr.models.base_model': (
        'best_results.patch',
        'ddp_on_cpu.patch',
        'optimizers_by_name.patch',
        'short_network_log.patch',
    ),
    'basicsr.models.video_base_model': (
        'validation_tables.patch_base',
        'shared_batch.patch',
        'bad_samples.patch_model',
    ),
    'basicsr.models.video_recurrent_model': ('validation_tables.patch_recurrent',),
    'basicsr.train': ('resume_anywhere.patch',),
    'basicsr.utils.dist_util': ('joining_processes.patch',),
    'basicsr.utils.file_client': ('whole_lmdb.patch', 'bad_samples.patch_file_client'),
    'basicsr.utils.img_util': ('one_decoder.patch_decoder', 'finite_images.patch'),
}

_SETS_WITH_LISTS = ('ffhq', 'realesrgan', 'realesrgan_paired', 'reds', 'single_image', 'video_test', 'vimeo90k')
_PATCHES |= {f'basicsr.data.{name}_dataset': ('text_lists.patch',) for name in _SETS_WITH_LISTS}


def _late(name: str) -> Fill:
    """A function of a file here, which is imported at its call: nobody waits for patches of what is not imported."""

    def fill(module: ModuleType) -> None:
        file, _, function = name.partition('.')
        getattr(import_module(f'gsm_plugin.compat.{file}'), function)(module)

    return fill


_finder = PatchingFinder(
    {module: _late(name) for module, name in _STAND_INS.items()},
    {module: [_late(name) for name in names] for module, names in _PATCHES.items()},
)


def install() -> None:
    """Puts the patches in place, for modules imported from now on and for those that are there already."""
    _finder.install()
