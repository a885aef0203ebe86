"""`restore` gives VapourSynth's frames what the network makes of windows, scene by scene.

It runs with the real VapourSynth where this Python has it, and else with a stand-in for its interface.
"""

import sys
from importlib.util import find_spec

import numpy as np
import pytest

from gsm_plugin.errors import UserError

IS_REAL = find_spec('vapoursynth') is not None
FORMATS = {'RGB24': np.uint8, 'RGB30': np.uint16, 'RGB48': np.uint16, 'RGBH': np.float16, 'RGBS': np.float32}


@pytest.fixture(scope='module')
def vs():
    if IS_REAL:
        import vapoursynth

        yield vapoursynth
        return
    from tests.vapoursynth import stand_in

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, 'vapoursynth', stand_in)
        yield stand_in
    for name in [name for name in sys.modules if name.startswith('gsm_plugin.vapoursynth')]:
        del sys.modules[name]


@pytest.fixture(scope='module')
def restore(vs):
    from gsm_plugin.vapoursynth import restore

    return restore


@pytest.fixture
def make_clip(vs):
    """Makes a clip of planes (t, h, w, 3), with properties by number of frame."""

    def make(values, name='RGBS', props=None):
        props, kind = props or {}, getattr(vs, name)
        t, h, w, _ = values.shape
        if not IS_REAL:

            def frame(n):
                planes = [np.array(values[n, ..., i], FORMATS[name]) for i in range(3)]
                return vs.VideoFrame(planes, kind, props.get(n, {}))

            return vs.VideoNode(frame, kind, w, h, t)

        def fill(n, f):
            made = f.copy()
            for i in range(3):
                np.asarray(made[i])[...] = values[n, ..., i]
            for key, value in props.get(n, {}).items():
                made.props[key] = value
            return made

        blank = vs.core.std.BlankClip(format=kind, width=w, height=h, length=t, keep=True)
        return blank.std.ModifyFrame(blank, fill)

    return make


class Neighbours:
    """Adds to each frame a tenth of the mean of all that are seen with it; remembers what it saw."""

    scale = 2

    def __init__(self):
        self.seen = []

    def __call__(self, clip):
        self.seen.append(len(clip))
        mixed = 0.9 * clip + 0.1 * clip.mean(axis=0, keepdims=True)
        return mixed.repeat(2, 1).repeat(2, 2)


def frames_of(clip):
    return np.stack([np.stack([np.array(clip.get_frame(n)[i]) for i in range(3)], -1) for n in range(clip.num_frames)])


def by_windows(values, scenes, window, context):
    """What the windows of `basicsr infer` give."""
    from gsm_plugin.inference.video.windows import plan_windows

    parts = []
    for scene in scenes:
        for one in plan_windows(*scene, window, context):
            parts.append(
                Neighbours()(values[one.start : one.stop])[one.keep_start - one.start :][
                    : one.keep_stop - one.keep_start
                ]
            )
    return np.concatenate(parts)


@pytest.fixture
def values():
    return np.random.default_rng(0).uniform(0, 1, (11, 4, 6, 3)).astype(np.float32)


def test_frames_are_those_of_the_windows_of_infer(restore, make_clip, values):
    clip = restore(make_clip(values), Neighbours(), window=5, context=1)
    assert (clip.width, clip.height, clip.num_frames) == (12, 8, 11)
    np.testing.assert_array_equal(frames_of(clip), by_windows(values, [(0, 11)], 5, 1))


@pytest.mark.parametrize('by', ['properties', 'list'])
def test_windows_do_not_cross_cuts(restore, make_clip, values, by):
    props = {n: {'_SceneChangePrev': int(n in (3, 4))} for n in range(11)} if by == 'properties' else None
    clip = restore(make_clip(values, props=props), Neighbours(), window=5, context=1, cuts=None if props else [4, 3])
    np.testing.assert_array_equal(frames_of(clip), by_windows(values, [(0, 3), (3, 4), (4, 11)], 5, 1))


def test_frames_may_be_asked_for_in_any_order_and_windows_run_once(restore, make_clip, values):
    network = Neighbours()
    clip = restore(make_clip(values), network, window=5, context=1)
    expected = by_windows(values, [(0, 11)], 5, 1)
    for n in (10, 9, 3, 2, 4):
        np.testing.assert_array_equal(np.array(clip.get_frame(n)[1]), expected[n, ..., 1])
    assert network.seen == [5, 5, 5]


@pytest.mark.parametrize('name', FORMATS)
def test_every_format_is_read_and_written(restore, make_clip, values, name):
    most = {'RGB24': 255, 'RGB30': 1023, 'RGB48': 65535}.get(name, 1)
    own = np.rint(values * most) if most > 1 else values
    clip = restore(make_clip(own.astype(FORMATS[name]), name), Neighbours(), window=20)
    actual = frames_of(clip)
    assert actual.dtype == FORMATS[name]
    expected = Neighbours()(own.astype(FORMATS[name]).astype(np.float32) / most)
    np.testing.assert_allclose(actual / np.float32(most), expected, atol=0.51 / most if most > 1 else 1e-3)


def test_properties_of_frames_stay(restore, make_clip, values):
    clip = restore(make_clip(values, props={2: {'_Matrix': 0, '_DurationNum': 7}}), Neighbours())
    assert clip.get_frame(2).props['_DurationNum'] == 7
    assert clip.get_frame(2).props['_Matrix'] == 0


def test_what_is_no_rgb_is_refused(restore, vs):
    if IS_REAL:
        clip = vs.core.std.BlankClip(format=vs.YUV444P8, width=4, height=4, length=1)
    else:
        clip = vs.VideoNode(None, vs.YUV444P8, 4, 4, 1)
    with pytest.raises(UserError, match='The clip is YUV444P8; make it RGB of 8 to 16 bits'):
        restore(clip, Neighbours())


def test_windows_that_keep_nothing_are_refused_at_once(restore, make_clip, values):
    with pytest.raises(UserError, match='windows of 4 frames leave none beside a context of 2'):
        restore(make_clip(values), Neighbours(), window=4, context=2)


def test_a_network_gives_bit_for_bit_what_infer_writes(restore, make_clip, tmp_path):
    torch = pytest.importorskip('torch')
    from PIL import Image

    from gsm_plugin.archs.building import build
    from gsm_plugin.cli import main as command

    torch.manual_seed(0)
    sizes = {'upscale': 2, 'prop_depth': 2, 'attn_depth': 1, 'embed_dims': 8, 'num_heads': 2, 'pa_frame': 1}
    torch.save(build({'type': 'GSMamba', **sizes}).state_dict(), tmp_path / 'gsm.pth')
    frames = np.random.default_rng(1).integers(0, 256, (8, 12, 16, 3), np.uint8)
    (tmp_path / 'in').mkdir()
    for n, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / 'in' / f'{n}.png')
    (tmp_path / 'cuts').write_text('5\n', encoding='utf-8')
    words = ['infer', '-i', tmp_path / 'in', '-o', tmp_path / 'out', '-w', tmp_path / 'gsm.pth', '--window', 4]
    words += ['--context', 1, '--cuts', tmp_path / 'cuts', '--network', 'pa_frame=1', '--device', 'cpu']
    with pytest.raises(SystemExit) as ended:
        command.main([str(word) for word in words])
    assert not ended.value.code
    written = sorted((tmp_path / 'out').rglob('*.png'))
    expected = np.stack([np.array(Image.open(path)) for path in written])
    clip = restore(
        make_clip(frames, 'RGB24'), tmp_path / 'gsm.pth', 'cpu', window=4, context=1, cuts=[5], network={'pa_frame': 1}
    )
    np.testing.assert_array_equal(frames_of(clip), expected)
