"""BasicSR's data sets reduce 16-bit frames to 8 bits, and its test sets go on with `None` where a file is no image.

So its functions that decode are those of `image_files`, by which our data sets, tools and checks read too.
"""

import os
from types import ModuleType

from gsm_plugin.compat.bad_samples import last_read
from gsm_plugin.compat.replacing import replaces
from gsm_plugin.errors import UserError


def patch_decoder(img_util: ModuleType) -> None:
    """Decodes colour images by `decode_image`, and refuses others that cannot be decoded."""
    original = img_util.imfrombytes

    @replaces(img_util)
    def imfrombytes(content, flag='color', float32=False):
        from gsm_plugin.compat import image_files

        where = last_read() or 'the image'
        if flag == 'color':
            image = image_files.decode_image(content, where)
            return image_files.to_unit(image) if float32 else image_files.to_8_bit(image)
        image = original(content, flag, False)
        if image is None:
            raise image_files.unreadable(where)
        return image.astype('float32') / 255.0 if float32 else image


def patch_sequences(data_util: ModuleType) -> None:
    """Reads the frames of a test clip by `read_image`."""

    @replaces(data_util)
    def read_img_seq(path, require_mod_crop=False, scale=1, return_imgname=False):
        import torch

        from gsm_plugin.compat.image_files import read_image, to_unit

        paths = path if isinstance(path, list) else sorted(data_util.scandir(path, full_path=True))
        images = [to_unit(read_image(one)) for one in paths]
        _refuse_several_sizes(paths, images)
        if require_mod_crop:
            images = [data_util.mod_crop(image, scale) for image in images]
        clip = torch.stack(data_util.img2tensor(images, bgr2rgb=True, float32=True))
        names = [os.path.splitext(os.path.basename(one))[0] for one in paths]
        return (clip, names) if return_imgname else clip


def _refuse_several_sizes(paths: list[str], images: list) -> None:
    for path, image in zip(paths, images, strict=True):
        if image.shape != images[0].shape:
            raise UserError(
                f'{path} has {image.shape[0]}x{image.shape[1]} pixels but {paths[0]} has '
                f'{images[0].shape[0]}x{images[0].shape[1]}; make all frames of a clip the same size.'
            )
