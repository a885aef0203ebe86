"""From what the user writes behind --metrics to what scores by it."""

from collections.abc import Sequence

from gsm_plugin.errors import UserError
from gsm_plugin.metrics.measures import MEASURES
from gsm_plugin.metrics.perceptual import Perceptual
from gsm_plugin.scoring.clips import ClipSet


def open_measures(texts: Sequence[str], clips: ClipSet, names: Sequence[str]) -> Perceptual:
    """Loads what is asked for by `--metrics`.

    Args:
        texts: Keys of `MEASURES`; several may be joined by commas.
        clips: The clips.
        names: Those of them that are scored.

    Raises:
        UserError: There is no such measure, a clip is too short for it, or its package or weights are missing.
    """
    words = dict.fromkeys(word.strip() for text in texts for word in text.split(',') if word.strip())
    unknown = [word for word in words if word not in MEASURES]
    if unknown or (texts and not words):
        found = repr(unknown[0]) if unknown else 'none'
        raise UserError(
            f'--metrics names {found}; take some of {", ".join(MEASURES)}, PSNR and SSIM are scored anyway.'
        )
    temporal = [word for word in words if MEASURES[word].temporal]
    short = [name for name in names if clips.lengths[name] < 2]
    if temporal and short:
        raise UserError(
            f'--metrics {temporal[0]} is of consecutive frames, but of clip {short[0]} one is scored; leave it out.'
        )
    return Perceptual(list(words))
