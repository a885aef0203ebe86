"""Networks for BasicSR's registry; the stages are in `gsm_plugin.layers`."""

from gsm_plugin.compat.lazy import lazily

__getattr__, __dir__ = lazily(
    globals(),
    {
        'Bicubic': 'gsm_plugin.archs.bicubic_arch',
        'GSMamba': 'gsm_plugin.archs.gsm_arch',
        'VRT': 'gsm_plugin.archs.vrt_arch',
    },
)
