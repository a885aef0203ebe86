"""Ablations: variants of one option file, trained with several seeds and compared with error bars (`basicsr study`)."""
