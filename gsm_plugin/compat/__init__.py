"""Makes BasicSR 1.4.2 run on today's Python, torchvision and OpenCV, and on machines without GPU.

Nothing in site-packages is edited and nothing heavy is imported here: an import hook supplies modules that are gone and
mends BasicSR's modules at the moment they are imported. One file per mend, each with its reason.
"""

from gsm_plugin.compat import (
    bad_samples,
    basicvsrpp_anywhere,
    best_results,
    ddp_on_cpu,
    distutils_version,
    finite_images,
    finite_psnr,
    flow_warp_grid,
    joining_processes,
    jpeg_quality,
    one_decoder,
    optimizers_by_name,
    repeatable_flow_warp,
    resume_anywhere,
    shared_batch,
    short_network_log,
    text_lists,
    torchvision_functional_tensor,
    validation_tables,
    whole_lmdb,
)
from gsm_plugin.compat.import_hook import MendingFinder

__all__ = ['install']

_STAND_INS = {
    'torchvision.transforms.functional_tensor': torchvision_functional_tensor.fill,
    'distutils': distutils_version.fill_package,
    'distutils.version': distutils_version.fill,
}

_MENDS = {
    'basicsr.archs.arch_util': (flow_warp_grid.mend, repeatable_flow_warp.mend),
    'basicsr.data': (bad_samples.mend_builder,),
    'basicsr.archs.basicvsrpp_arch': (basicvsrpp_anywhere.mend,),
    'basicsr.data.data_util': (one_decoder.mend_sequences, text_lists.mend),
    'basicsr.data.degradations': (jpeg_quality.mend,),
    'basicsr.metrics': (finite_psnr.mend,),
    'basicsr.models.base_model': (best_results.mend, ddp_on_cpu.mend, optimizers_by_name.mend, short_network_log.mend),
    'basicsr.models.video_base_model': (validation_tables.mend_base, shared_batch.mend, bad_samples.mend_model),
    'basicsr.models.video_recurrent_model': (validation_tables.mend_recurrent,),
    'basicsr.train': (resume_anywhere.mend,),
    'basicsr.utils.dist_util': (joining_processes.mend,),
    'basicsr.utils.file_client': (whole_lmdb.mend, bad_samples.mend_file_client),
    'basicsr.utils.img_util': (one_decoder.mend_decoder, finite_images.mend),
}

_SETS_WITH_LISTS = ('ffhq', 'realesrgan', 'realesrgan_paired', 'reds', 'single_image', 'video_test', 'vimeo90k')
_MENDS |= {f'basicsr.data.{name}_dataset': (text_lists.mend,) for name in _SETS_WITH_LISTS}

_finder = MendingFinder(_STAND_INS, _MENDS)


def install() -> None:
    """Puts the mends in place, for modules imported from now on and for those that are there already."""
    _finder.install()
