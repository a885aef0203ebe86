import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gsm_plugin.errors import UserError
from gsm_plugin.inference.choices import RULES
from gsm_plugin.inference.tiling import Span, list_axes, list_spans, run_tiled

SCALE = 2


def enlarge(clip):
    """Nearest neighbour: what comes out at a pixel depends on that pixel alone."""
    return clip.repeat_interleave(SCALE, -1).repeat_interleave(SCALE, -2)


class CountingNetwork:
    """Says in each tile how many tiles were before it."""

    def __init__(self):
        self.sizes = []

    def __call__(self, clip):
        self.sizes.append(tuple(clip.shape[i] for i in (1, 3, 4)))
        return enlarge(torch.full_like(clip, len(self.sizes) - 1.0))


@st.composite
def axes(draw):
    length = draw(st.integers(1, 23))
    tile = draw(st.integers(1, 12))
    return length, tile, draw(st.integers(0, tile - 1))


def test_tiles_start_every_tile_less_overlap_and_the_last_ends_at_the_border():
    assert list_spans(180, 144, 50, 4, 25) == [Span(0, 144, 0, 551), Span(36, 180, 169, 720)]
    assert [span[:2] for span in list_spans(320, 144, 50, 4, 25)] == [(0, 144), (94, 238), (176, 320)]


def test_a_length_no_longer_than_the_tile_is_taken_whole():
    assert list_spans(7, 9, 4, 1, 2) == list_spans(7, 7, 4, 1, 2) == [Span(0, 7, 0, 7)]


@given(axes(), st.integers(1, 4))
def test_every_position_is_kept_by_a_span_that_sees_it(axis, scale):
    length, tile, overlap = axis
    for drop in (0, overlap // 2):
        spans = list_spans(length, tile, overlap, scale, drop)
        kept = [position for span in spans for position in range(span.keep_start, span.keep_stop)]
        assert set(kept) == set(range(length * scale))
        for span in spans:
            assert span.start * scale <= span.keep_start < span.keep_stop <= span.stop * scale <= length * scale
            assert span.stop - span.start == min(tile, length)


def test_half_of_the_overlap_is_dropped_in_output_pixels_and_nothing_along_time():
    time, rows, columns = list_axes((5, 8, 8), (3, 5, 6), (2, 3, 2), 4)
    assert time[0] == Span(0, 3, 0, 3)
    assert rows[0] == Span(0, 5, 0, 19)
    assert columns[0] == Span(0, 6, 0, 23)


@settings(max_examples=100, deadline=None)
@given(st.tuples(axes(), axes(), axes()), st.sampled_from(RULES))
def test_a_local_operation_in_tiles_equals_the_whole(three, rule):
    size, tile, overlap = zip(*three, strict=True)
    size = (min(size[0], 7), *size[1:])
    # a pixel may be the mean of hundreds, whose sum float32 has exactly where they are steps of 1/256
    clip = torch.randint(256, (1, size[0], 2, *size[1:])) / 256
    actual = run_tiled(enlarge, clip, tile, overlap, SCALE, rule=rule)
    torch.testing.assert_close(actual, enlarge(clip), atol=1e-6, rtol=0)


def test_by_the_blended_rule_one_tile_fades_into_the_next_in_the_middle_of_what_they_share():
    clip = torch.zeros(1, 1, 1, 1, 12)
    output = run_tiled(CountingNetwork(), clip, (1, 1, 8), (0, 0, 4), SCALE, rule='blended')
    # They share columns 8 to 15 of the output; from 10 to 13 the second one comes in.
    expected = [*[0] * 10, 0.125, 0.375, 0.625, 0.875, *[1] * 10]
    torch.testing.assert_close(output[0, 0, 0, 0], torch.tensor(expected))


def test_what_a_tile_gives_near_its_inner_edges_is_not_taken_by_the_blended_rule():
    """A network that is wrong where it does not see on, within a quarter of the overlap."""

    def wrong_at_edges(part):
        output = enlarge(part)
        output[..., :2] += 100
        output[..., -2:] += 100
        return output

    clip = torch.rand(1, 1, 1, 1, 24)
    output = run_tiled(wrong_at_edges, clip, (1, 1, 10), (0, 0, 4), SCALE, rule='blended')
    torch.testing.assert_close(output[..., 2:-2], enlarge(clip)[..., 2:-2])


def test_shared_frames_are_averaged():
    clip = torch.zeros(1, 6, 1, 1, 1)
    output = run_tiled(CountingNetwork(), clip, (4, 1, 1), (2, 0, 0), SCALE)
    assert output[0, :, 0, 0, 0].tolist() == [0, 0, 0.5, 0.5, 1, 1]


def test_on_inner_edges_output_pixels_are_dropped_and_the_rest_is_averaged():
    clip = torch.zeros(1, 1, 1, 6, 1)
    output = run_tiled(CountingNetwork(), clip, (1, 4, 4), (0, 2, 2), SCALE)
    # The tiles share rows 4 to 7 of the output; the first one drops row 7, the second one row 4.
    assert output[0, 0, 0, :, 0].tolist() == [0, 0, 0, 0, 0, 0.5, 0.5, 1, 1, 1, 1, 1]


def test_a_last_tile_that_was_shifted_back_shares_more():
    clip = torch.zeros(1, 1, 1, 1, 5)
    output = run_tiled(CountingNetwork(), clip, (1, 4, 4), (0, 2, 2), SCALE)
    # The second tile starts at 1, not at 2.
    assert output[0, 0, 0, 0].tolist() == [0, 0, 0, 0.5, 0.5, 0.5, 0.5, 1, 1, 1]


def test_the_network_sees_tiles_of_one_size_and_the_bar_hears_of_each():
    network, heard = CountingNetwork(), []
    clip = torch.zeros(2, 4, 1, 7, 9)
    run_tiled(network, clip, (3, 5, 20), (1, 2, 2), SCALE, lambda done, of: heard.append((done, of)))
    assert network.sizes == [(3, 5, 9)] * 4
    assert heard == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_the_output_is_float32_on_the_cpu_whatever_the_network_gives():
    clip = torch.rand(1, 2, 3, 4, 4)
    output = run_tiled(lambda part: enlarge(part).bfloat16(), clip, (2, 3, 3), (0, 1, 1), SCALE)
    assert output.dtype == torch.float32
    assert output.device.type == 'cpu'
    torch.testing.assert_close(output, enlarge(clip).bfloat16().float())


def test_the_network_may_change_the_number_of_channels():
    output = run_tiled(lambda part: enlarge(part[:, :, :1]), torch.rand(1, 2, 3, 4, 4), (2, 3, 3), (0, 1, 1), SCALE)
    assert output.shape == (1, 2, 1, 8, 8)


@pytest.mark.parametrize(
    'tile, overlap, sentence',
    [
        ((2, 8), (0, 2, 2), r'tile is \(2, 8\); it needs three whole numbers from 1 up'),
        ((2, 0, 8), (0, 2, 2), r'tile is \(2, 0, 8\); it needs'),
        ((2, 8.5, 8), (0, 2, 2), r'tile is \(2, 8.5, 8\); it needs'),
        (144, (0, 2, 2), 'tile is 144; it needs'),
        ((2, 8, 8), (0, -1, 2), r'tile_overlap is \(0, -1, 2\); it needs three whole numbers from 0 up'),
        ((2, 8, 8), (0, 2, 8), 'tile has 8 columns, but tile_overlap is 8; make it less than the tile'),
    ],
)
def test_tiles_that_cannot_cover_a_clip_are_refused(tile, overlap, sentence):
    with pytest.raises(UserError, match=sentence):
        run_tiled(enlarge, torch.rand(1, 2, 3, 4, 4), tile, overlap, SCALE)


def test_a_rule_that_there_is_not_is_refused():
    with pytest.raises(UserError, match=r"rule of tiles is 'best'; it must be blended or published"):
        run_tiled(enlarge, torch.rand(1, 2, 3, 4, 4), (1, 2, 2), (0, 1, 1), SCALE, rule='best')


def test_a_network_that_enlarges_otherwise_is_refused():
    with pytest.raises(UserError, match=r'came back as \[1, 6, 6\] instead of \[1, 9, 9\].*make scale \(3\)'):
        run_tiled(enlarge, torch.rand(1, 1, 3, 4, 4), (1, 3, 3), (0, 1, 1), 3)
