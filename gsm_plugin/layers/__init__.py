"""Parameters and calls to ops; nothing here knows BasicSR. Features are channels-last: (b, t, h, w, c)."""

from gsm_plugin.compat.lazy import lazily

__getattr__, __dir__ = lazily(
    globals(),
    {
        'BiMamba': 'gsm_plugin.layers.bimamba',
        'GatherScatterBlock': 'gsm_plugin.layers.gather_scatter',
        'ImplicitWarp': 'gsm_plugin.layers.implicit_warp',
    },
)
