"""Whether ops multiply float32 by split products: three of float16 for tensor cores, as exact as one of float32."""

from types import SimpleNamespace

from gsm_plugin.switches.switch import Switch

products = Switch(SimpleNamespace(split=False), 'split')
