"""GSM and other networks for clips in VapourSynth."""

from gsm_plugin.compat.lazy import lazily

__getattr__, __dir__ = lazily(globals(), {'restore': 'gsm_plugin.vapoursynth.function'})
