"""Miniature data sets in the layouts of the real ones: right names and numbers, few pixels."""

from pathlib import Path

import cv2
import numpy as np

SCALE = 4
SIDE = (16, 24)


def write_frame(path: Path, seed: int, size: tuple[int, int] = SIDE) -> np.ndarray:
    """Writes a frame of noise and returns it: (h, w, 3), uint8, BGR."""
    image = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)
    return image


def write_pair(root: Path, clips: dict[str, list[str]], size: tuple[int, int] = SIDE) -> None:
    """Writes `root`/GT and `root`/LQ with the named files in each clip; no two frames are alike."""
    seed = 0
    for clip, names in clips.items():
        for name in names:
            write_frame(root / 'GT' / clip / name, seed, size)
            write_frame(root / 'LQ' / clip / name, seed, (size[0] // SCALE, size[1] // SCALE))
            seed += 1


def reds_names(count: int) -> list[str]:
    """00000000.png and so on."""
    return [f'{i:08d}.png' for i in range(count)]


def vimeo_names() -> list[str]:
    """im1.png to im7.png."""
    return [f'im{i}.png' for i in range(1, 8)]


def damage(path: Path, kind: str) -> None:
    """Cuts the second half off a file, or flips one bit in its middle."""
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    if kind == 'cut':
        content = content[:middle]
    else:
        content[middle] ^= 1
    path.write_bytes(content)


def everything_below(root: Path) -> dict[str, bytes | None]:
    """Content of every file and name of every folder below a folder."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes() if path.is_file() else None for path in root.rglob('*')
    }


def write_video(path: Path, shots: list[int], size: tuple[int, int] = (48, 64)) -> None:
    """Writes a video with cuts: each shot has a picture of its own, which moves by a pixel a frame."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 25, size[::-1])
    for number, frames in enumerate(shots):
        generator = np.random.default_rng(number)
        colour = generator.integers(0, 256, 3)
        picture = cv2.GaussianBlur(generator.integers(0, 256, (*size, 3)).astype(np.float32), (0, 0), 3) * 3 - 256
        picture = (0.3 * picture + 0.7 * colour).clip(0, 255).astype(np.uint8)
        for i in range(frames):
            writer.write(np.roll(picture, i, axis=1))
    writer.release()
