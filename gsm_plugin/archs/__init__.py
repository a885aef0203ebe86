"""Networks for BasicSR's registry; the stages are in `gsm_plugin.layers`."""
