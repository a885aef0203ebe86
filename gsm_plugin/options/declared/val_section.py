"""The section `val`: what our loop, GSMModel and BasicSR's models read there."""

from typing import Annotated, Literal

from msgspec import Meta

from gsm_plugin.options.declared.kinds import AboveZero, AsWritten, FromZero, Odd, Positive, Registered, about, called
from gsm_plugin.options.declared.sections import Section, field
from gsm_plugin.options.declared.train_section import Precision

_Tile = Annotated[tuple[Positive, Positive, Positive], called('three whole numbers from 1 up')]
_Overlap = Annotated[tuple[FromZero, FromZero, FromZero], called('three whole numbers from 0 up')]


class Saving(Section, frozen=True):
    """What every run reads."""

    save_img: Annotated[bool, about('write the output frames below visualization/')]


class LoopVal(Saving, frozen=True):
    """What training reads."""

    val_freq: Annotated[AboveZero, about('iterations between validations')]


class Val(Section, frozen=True):
    """What GSMModel reads."""

    use_ema: Annotated[bool, about('validate with the averaged weights')] = True
    precision: Annotated[Precision, about('fp32, tf32, bf16 or fp16, whatever the training is in')] = 'fp32'
    plain_autocast: Annotated[
        bool, about("in bf16 or fp16, layers follow PyTorch's autocast alone: slower, more memory, no CUDA graphs")
    ] = False
    tile: Annotated[
        _Tile | None, about('frames, height and width of a tile in LQ pixels; left out, clips are taken whole')
    ] = None
    tile_overlap: Annotated[_Overlap, about('by how much tiles overlap')] = (2, 50, 50)
    smallest_side: Annotated[
        Positive, about('shorter sides of LQ frames are continued to so many pixels; BasicVSR needs 64')
    ] = 1
    multiple_of: Annotated[
        Positive, about('sides of LQ frames are continued to the next multiple of this; EDVR needs 4')
    ] = 1
    window: Annotated[
        Odd | None,
        about(
            'frames of a window for networks that give the centre frame alone, such as EDVR',
            none='for networks of clips',
        ),
    ] = None
    flip_seq: Annotated[bool, about('show each clip followed by its reverse, and average the two outputs')] = False
    center_frame_only: Annotated[bool, about('score and save the centre frame of each clip alone')] = False
    flow_worth: Annotated[
        bool, about('score also without flows and with wrong ones, which takes three times as long')
    ] = False
    metrics: Annotated[dict, about('the metrics, each with a name, its type and its arguments')] = field('metrics', {})
    suffix: Annotated[
        AsWritten | None, about('ending of the names of images that a test saves; left out, the name of the run')
    ] = None


class Metric(Section, frozen=True):
    """A metric: what is declared of its arguments; the others are those of its function."""

    type: Annotated[Registered, about('calculate_psnr, calculate_ssim or another metric')]
    better: Annotated[Literal['higher', 'lower'], about('what the best result is, which the log keeps')] = 'higher'
    crop_border: Annotated[Annotated[int, Meta(ge=0)] | None, about('pixels that are cut away at each side first')] = (
        None
    )
    test_y_channel: Annotated[bool, about('score luma alone, as Vid4 and Vimeo-90K are scored')] = False
