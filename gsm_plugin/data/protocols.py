"""How the four leaderboards score: which clips, which frames, on which channel. Protocols are data, not code paths.

Read from the code of BasicSR, mmagic, VRT and IART. Common to all: the output is clamped and rounded to 8 bit, no
border is cut, a clip's value is the mean over its scored frames, and the table's value the mean over clips.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from gsm_plugin.errors import UserError

DEGRADATION_TITLES = {'bi': 'BI (MATLAB bicubic)', 'bd': 'BD (Gaussian of sigma 1.6, subsampled)'}


@dataclass(frozen=True)
class Protocol:
    """A leaderboard.

    Attributes:
        name: What the command calls it.
        title: Its name in tables.
        gt: Folder of the ground truth, below the folder of data sets.
        lq: Degradation and folder of the LQ frames.
        clips: Name and number of frames of each clip; empty where `clip_list` names them.
        clip_list: Text file that begins each line with a clip's name, below the folder of data sets; else empty.
        clip_frames: Frames of each clip of the list; 0 where `clips` has them.
        listed_clips: Number of clips in the list; 0 where `clips` has them.
        gt_size: Height and width of the ground truth; None where clips differ.
        channel: `rgb`, or `y` of YCbCr (BT.601).
        crop_border: Pixels that are cut away at each side before scoring.
        center_frame_only: Whether the centre frame of a clip alone is scored.
        flip_seq: Whether recurrent networks see each clip followed by its reverse.
        trained_on: What the networks of the published figures were trained on.
    """

    name: str
    title: str
    gt: str
    lq: tuple[tuple[str, str], ...]
    clips: tuple[tuple[str, int], ...]
    clip_list: str
    clip_frames: int
    listed_clips: int
    gt_size: tuple[int, int] | None
    channel: str
    crop_border: int
    center_frame_only: bool
    flip_seq: bool
    trained_on: str

    @property
    def metrics(self) -> dict[str, dict]:
        """The metrics as option files have them."""
        common = {'crop_border': self.crop_border, 'test_y_channel': self.channel == 'y'}
        return {name: {'type': f'calculate_{name}', **common} for name in ('psnr', 'ssim')}

    def lq_of(self, degradation: str) -> str:
        """Folder of the LQ frames.

        Raises:
            UserError: The leaderboard has no such degradation.
        """
        folders = dict(self.lq)
        if degradation not in folders:
            raise UserError(f'{self.title} has no degradation {degradation!r}; take {" or ".join(folders)}.')
        return folders[degradation]

    def training(self, degradation: str) -> str:
        """Training set and degradation of the networks of the published figures."""
        return f'{self.trained_on} {degradation.upper()}'

    def is_complete(self, scored: Mapping[str, int]) -> bool:
        """Whether clips, by name and number of scored frames, are those of the leaderboard: all of them, whole."""
        if self.listed_clips:
            return len(scored) == self.listed_clips and set(scored.values()) == {1}
        return dict(scored) == dict(self.clips)

    def describe(self) -> str:
        """One sentence for tables and pages."""
        frames = 'the centre frame of each clip' if self.center_frame_only else 'every frame'
        channel = {'rgb': 'RGB', 'y': 'the Y channel'}[self.channel]
        border = f'{self.crop_border} border pixels cut' if self.crop_border else 'no border cut'
        flip = '; recurrent networks see each clip followed by its reverse' if self.flip_seq else ''
        return (
            f'PSNR and SSIM on {channel} of 8-bit frames, {border}, {frames}; mean over frames, then over clips'
            f'{flip}. Published figures are of networks trained on {self.trained_on}.'
        )


_ALL = (
    Protocol(
        name='reds4',
        title='REDS4',
        gt='REDS4/GT',
        lq=(('bi', 'REDS4/sharp_bicubic'),),
        clips=(('000', 100), ('011', 100), ('015', 100), ('020', 100)),
        clip_list='',
        clip_frames=0,
        listed_clips=0,
        gt_size=(720, 1280),
        channel='rgb',
        crop_border=0,
        center_frame_only=False,
        flip_seq=False,
        trained_on='REDS',
    ),
    Protocol(
        name='vid4',
        title='Vid4',
        gt='Vid4/GT',
        lq=(('bi', 'Vid4/BIx4'), ('bd', 'Vid4/BDx4')),
        clips=(('calendar', 41), ('city', 34), ('foliage', 49), ('walk', 47)),
        clip_list='',
        clip_frames=0,
        listed_clips=0,
        gt_size=None,
        channel='y',
        crop_border=0,
        center_frame_only=False,
        flip_seq=False,
        trained_on='Vimeo-90K',
    ),
    Protocol(
        name='vimeo90k-t',
        title='Vimeo-90K-T',
        gt='vimeo90k/sequences',
        lq=(('bi', 'vimeo90k/BIx4'), ('bd', 'vimeo90k/BDx4')),
        clips=(),
        clip_list='vimeo90k/meta_info_Vimeo90K_test_GT.txt',
        clip_frames=7,
        listed_clips=7824,
        gt_size=(256, 448),
        channel='y',
        crop_border=0,
        center_frame_only=True,
        flip_seq=True,
        trained_on='Vimeo-90K',
    ),
    Protocol(
        name='udm10',
        title='UDM10',
        gt='UDM10/GT',
        lq=(('bd', 'UDM10/BDx4'),),
        clips=tuple(
            (clip, 32)
            for clip in (
                *('archpeople', 'archwall', 'auditorium', 'band', 'caffe'),
                *('camera', 'clap', 'lake', 'photography', 'polyflow'),
            )
        ),
        clip_list='',
        clip_frames=0,
        listed_clips=0,
        gt_size=(720, 1272),
        channel='y',
        crop_border=0,
        center_frame_only=False,
        flip_seq=False,
        trained_on='Vimeo-90K',
    ),
)

PROTOCOLS = {protocol.name: protocol for protocol in _ALL}
