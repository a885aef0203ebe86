"""OpenCV 5 refuses a JPEG quality that is not a whole number; `random_add_jpg_compression` draws a float."""

from types import ModuleType

from gsm_plugin.compat.replacing import replaces


def patch(degradations: ModuleType) -> None:
    """Rounds the quality down, which is what OpenCV 4 did with it."""
    compress = degradations.add_jpg_compression

    @replaces(degradations)
    def add_jpg_compression(img, quality=90):
        return compress(img, int(quality))
