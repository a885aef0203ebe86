"""Published figures of x4 networks, each with its source; what is not known is not here.

Figures are those of the papers' own tables, as repositories show them. REDS4 is scored on RGB by networks trained on
REDS, the others on Y by networks trained on Vimeo-90K, where a title names no other training. Times and operation
counts are by different conventions and on different cards; only columns of one source compare.
"""

from dataclasses import dataclass

SOURCES = {
    'VRT': 'table image of github.com/JingyunLiang/VRT (assets/vsr.jpeg)',
    'RVRT': 'table image of github.com/JingyunLiang/RVRT (assets/vsr.jpg)',
    'IART': 'table image of the repository of IART (results.png)',
    'PSRT': 'table image of github.com/XPixelGroup/RethinkVSRAlignment (assets/Results.png)',
    'MIA': 'table image of the repository of MIA-VSR (assets/Results.png)',
    'VMG': 'table image of github.com/EasyVision-Ton/Visualization (Table 1.png)',
    'CFD': 'table image of the repository of CFDVSR, arXiv 2404.04745 (assets/quantitative_results.png)',
    'VSRM': 'public notes on VSRM, ICCV 2025',
    'mmagic': 'README files of github.com/open-mmlab/mmagic (configs/*/README.md), official weights run there',
    'notes': 'notes of third parties',
}


@dataclass(frozen=True)
class Figure:
    """PSNR (dB) and SSIM of a network; None where one is not known."""

    psnr: float
    ssim: float | None
    source: str


@dataclass(frozen=True)
class Published:
    """What is published about a network.

    Attributes:
        title: Its name.
        source: Key of `SOURCES`, of all figures that have none of their own.
        figures: PSNR and SSIM by leaderboard and degradation.
        parameters: Millions; None where not known.
        tera_multiply_adds: For an output frame of 720x1280, by the convention of MIA-VSR's table; None where not known.
        milliseconds: For an output frame of 720x1280 by the tables of VRT and CFDVSR, whose card is not stated; None
            where not known.
    """

    title: str
    source: str
    figures: dict[tuple[str, str], Figure]
    parameters: float | None = None
    tera_multiply_adds: float | None = None
    milliseconds: float | None = None


_COLUMNS = (
    ('reds4', 'bi'),
    ('vimeo90k-t', 'bi'),
    ('vid4', 'bi'),
    ('udm10', 'bd'),
    ('vimeo90k-t', 'bd'),
    ('vid4', 'bd'),
)


def _row(
    title: str,
    source: str,
    cells: str,
    parameters: float | None = None,
    flops: float | None = None,
    time: float | None = None,
) -> Published:
    """A row as the tables have it: six cells `psnr/ssim` in the order of `_COLUMNS`, `-` for what is not known."""
    figures = {}
    for column, cell in zip(_COLUMNS, cells.split(), strict=True):
        if cell != '-':
            psnr, _, ssim = cell.partition('/')
            figures[column] = Figure(float(psnr), float(ssim) if ssim else None, source)
    return Published(title, source, figures, parameters, flops, time)


# fmt: off
PUBLISHED = (
    _row('Bicubic', 'RVRT', '26.14/0.7292 31.32/0.8684 23.78/0.6347 28.47/0.8253 31.30/0.8687 21.80/0.5246'),
    _row('EDVR', 'RVRT', '31.09/0.8800 37.61/0.9489 27.35/0.8264 39.89/0.9686 37.81/0.9523 27.85/0.8503',
         20.6, 2.95, 378),
    _row('BasicVSR', 'RVRT', '31.42/0.8909 37.18/0.9450 27.24/0.8251 39.96/0.9694 37.53/0.9498 27.96/0.8553',
         6.3, 0.33, 63),
    _row('IconVSR', 'RVRT', '31.67/0.8948 37.47/0.9476 27.39/0.8279 40.03/0.9694 37.84/0.9524 28.04/0.8570',
         8.7, 0.51, 70),
    _row('TTVSR', 'VMG', '32.12/0.9021 - - 40.41/0.9712 37.92/0.9526 28.40/0.8643', 6.8, 0.61),
    _row('BasicVSR++', 'RVRT', '32.39/0.9069 37.79/0.9500 27.79/0.8400 40.72/0.9722 38.21/0.9550 29.04/0.8753',
         7.3, 0.39, 77),
    _row('VRT (6 frames)', 'VRT', '31.60/0.8888 - - - - -', 30.7, None, 236),
    _row('VRT', 'VRT', '32.19/0.9006 38.20/0.9530 27.93/0.8425 41.05/0.9737 38.72/0.9584 29.42/0.8795',
         35.6, 1.37, 243),
    _row('RVRT', 'RVRT', '32.75/0.9113 38.15/0.9527 27.99/0.8462 40.90/0.9729 38.59/0.9576 29.54/0.8810',
         10.8, 2.21, 183),
    _row('PSRT-recurrent (6 frames)', 'MIA', '31.88/0.8964 - - - - -'),
    _row('PSRT-recurrent', 'PSRT', '32.72/0.9106 38.27/0.9536 28.07/0.8485 - - -', 13.4, 2.39),
    _row('MIA-VSR (6 frames)', 'MIA', '32.01/0.8997 - - - - -'),
    # Its table has SSIM 0.9220 on REDS4, which is out of line with its PSNR and with a run by others (0.912).
    _row('MIA-VSR', 'MIA', '32.78 38.22/0.9532 28.20/0.8507 - - -', None, 1.61),
    _row('IART (6 frames)', 'notes', '32.15/0.9010 - - - - -'),
    _row('IART', 'IART', '32.90/0.9138 38.14/0.9528 28.26/0.8517 41.15/0.9750 38.62/0.9579 29.68/0.8884', 13.4),
    _row('VSRM (6 frames)', 'VSRM', '32.43 - - - - -'),
    _row('VSRM', 'VSRM', '33.11/0.9162 38.33 28.44/0.8552 - - -', 17.1),
    _row('CFD-BasicVSR++', 'CFD', '32.51/0.9083 37.90/0.9504 27.84/0.8406 40.77/0.9726 38.36/0.9557 29.14/0.8760', 7.5),
    _row('CFD-PSRT', 'CFD', '32.83/0.9140 38.33/0.9548 28.18/0.8503 - - -', 13.6),
    _row('VMG', 'VMG', '32.35/0.9060 - 27.98/0.8443 40.96/0.9739 38.66/0.9596 29.45/0.8803', 26.1),
    _row('BasicVSR, trained on REDS BI', 'mmagic', '- - 27.27/0.8318 - - -'),
    _row('IconVSR, trained on REDS BI', 'mmagic', '- - 27.48/0.8354 - - -'),
    _row('BasicVSR++, trained on REDS BI', 'mmagic', '- 36.44 27.77/0.8444 34.69 - -'),
)
# fmt: on


def published_for(title: str) -> Published | None:
    """What is published about a network; None for one that is not known."""
    return next((entry for entry in PUBLISHED if entry.title == title), None)
