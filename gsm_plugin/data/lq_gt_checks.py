"""Comparisons of LQ with GT: names of frames, sizes of images."""

import os
from collections.abc import Collection, Sequence

from gsm_plugin.compat.image_files import no_file, read_header
from gsm_plugin.data.clip_names import is_hidden, is_image_name
from gsm_plugin.errors import UserError

Size = tuple[int, int]


def visible_names(folder: str) -> list[str]:
    """The names in a folder, sorted, without hidden ones.

    Raises:
        UserError: The folder does not exist.
    """
    if not os.path.isdir(folder):
        raise UserError(f'the folder {folder} does not exist; add it, or take it out of the list of clips.')
    return sorted(name for name in os.listdir(folder) if not is_hidden(name))


def frame_names(folder: str) -> list[str]:
    """The names that BasicSR takes for the frames of a folder: of all visible files, sorted. It passes folders over.

    Raises:
        UserError: The folder does not exist, or a file in it is no image or a link that leads nowhere.
    """
    names = []
    for name in visible_names(folder):
        path = os.path.join(folder, name)
        if os.path.isdir(path):
            continue
        if not os.path.exists(path):
            raise no_file(path, FileNotFoundError())
        if not is_image_name(name):
            _refuse_no_image(path)
        names.append(name)
    return names


def common_size(paths: Sequence[str]) -> Size:
    """Height and width that all image files of a clip have; their headers are read.

    Raises:
        UserError: A file cannot be read, or has another size than the first.
    """
    first = image_size(paths[0])
    for path, size in zip(paths[1:], map(image_size, paths[1:]), strict=True):
        if size != first:
            raise other_size(path, size, paths[0], first)
    return first


def other_size(where: str, size: Sequence[int], first: str, first_size: Sequence[int]) -> UserError:
    """What is said of a frame of another size than the first of its clip."""
    return UserError(
        f'{where} has {size[0]}x{size[1]} pixels but {first} has {first_size[0]}x{first_size[1]}; '
        f'make all frames of a clip the same size.'
    )


def check_same_names(what: str, lq: Collection[str], gt: Collection[str], lq_root: str, gt_root: str) -> None:
    """Refuses names that only one of the two has.

    Raises:
        UserError: Names the first such name, and the place that lacks it.
    """
    if set(lq) != set(gt):
        name = min(set(lq) ^ set(gt))
        lacking = lq_root if name in gt else gt_root
        raise UserError(
            f'{what} {name} is missing in {lacking} (LQ has {len(lq)}, GT has {len(gt)}); add, remove or rename it.'
        )


def check_frames(lq_folder: str, gt_folder: str) -> list[tuple[str, str]]:
    """Compares the frames of a clip by name without extension.

    Returns:
        (LQ path, GT path) of every frame, in the order of the names.

    Raises:
        UserError: A frame is missing in one of the folders, both are empty, or something in them is no frame.
    """
    lq, gt = frame_names(lq_folder), frame_names(gt_folder)
    check_same_names('frame', _stems(lq), _stems(gt), lq_folder, gt_folder)
    if not lq:
        raise UserError(f'the folder {lq_folder} is empty; add its frames, or remove it.')
    return [(os.path.join(lq_folder, a), os.path.join(gt_folder, b)) for a, b in zip(lq, gt, strict=True)]


def check_size(lq: str, gt: str, scale: int | None) -> None:
    """Compares the sizes of two image files, of which only the headers are read.

    Args:
        lq: An LQ image.
        gt: Its GT image.
        scale: GT side over LQ side, or None where the options do not tell.

    Raises:
        UserError: A file is missing or no image, or GT is not `scale` times LQ.
    """
    compare_sizes(lq, image_size(lq), gt, image_size(gt), scale)


def compare_sizes(lq: str, lq_size: Size, gt: str, gt_size: Size, scale: int | None) -> None:
    """Compares two sizes, height before width; the names are for the text of the error."""
    if scale is not None and gt_size != (lq_size[0] * scale, lq_size[1] * scale):
        raise UserError(
            f'{gt} has {gt_size[0]}x{gt_size[1]} pixels, which is not {scale} times the {lq_size[0]}x{lq_size[1]} '
            f'of {lq}; correct scale, or make the LQ images again.'
        )


def image_size(path: str) -> Size:
    """Height and width of an image file.

    Raises:
        UserError: The file is missing or no image.
    """
    return read_header(path).size


def _refuse_no_image(path: str) -> None:
    """Refuses a file whose name is no image's, unless it is one of a rarer kind."""
    try:
        read_header(path)
    except UserError as error:
        raise UserError(
            f'{path} is no image; remove it, since BasicSR takes every file of a clip for a frame.'
        ) from error


def _stems(names: Sequence[str]) -> list[str]:
    return [os.path.splitext(name)[0] for name in names]
