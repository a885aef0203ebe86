import pytest
import torch

from gsm_plugin.errors import UserError
from gsm_plugin.inference.fitting import pad_frames, slide_window


def seen_by(wrap, clip, scale=2):
    """What a network is shown, and what comes back from it where it repeats pixels."""
    shown = []

    def network(x):
        shown.append(x)
        return x.repeat_interleave(scale, -1).repeat_interleave(scale, -2)

    return wrap(network)(clip), shown[0]


@pytest.mark.parametrize('height, width', [(5, 9), (7, 8), (1, 3), (8, 12)])
def test_frames_are_continued_by_reflection_and_cut_back(height, width):
    clip = torch.rand(1, 2, 3, height, width)
    output, shown = seen_by(lambda net: pad_frames(net, 2, smallest_side=8, multiple_of=4), clip)
    assert shown.shape[-2:] == (8, max(8, -(-width // 4) * 4))
    torch.testing.assert_close(output, clip.repeat_interleave(2, -1).repeat_interleave(2, -2), atol=0, rtol=0)
    torch.testing.assert_close(shown[..., :height, :width], clip, atol=0, rtol=0)
    for y in range(height, 8):
        mirrored = y % max(1, 2 * height - 2)
        mirrored = min(mirrored, 2 * height - 2 - mirrored) if height > 1 else 0
        torch.testing.assert_close(shown[..., y, :width], clip[..., mirrored, :], atol=0, rtol=0)


def test_reflection_is_that_of_pytorch_where_one_is_enough():
    clip = torch.rand(1, 2, 3, 36, 44)
    _, shown = seen_by(lambda net: pad_frames(net, 2, smallest_side=64), clip)
    expected = torch.nn.functional.pad(clip[0], (0, 20, 0, 28), mode='reflect')[None]
    torch.testing.assert_close(shown, expected, atol=0, rtol=0)


@pytest.mark.parametrize('frames, window', [(5, 5), (7, 5), (9, 7), (4, 3), (2, 1)])
def test_windows_are_those_of_basicsr(frames, window):
    from basicsr.data.data_util import generate_frame_indices

    clip = torch.arange(frames, dtype=torch.float32).view(1, frames, 1, 1, 1)
    windows = []

    def network(x):
        windows.append(x.flatten().int().tolist())
        return x[:, window // 2]

    output = slide_window(network, window)(clip)
    torch.testing.assert_close(output, clip, atol=0, rtol=0)
    expected = [generate_frame_indices(i, frames, window, padding='reflection_circle') for i in range(frames)]
    assert windows == expected


def test_a_clip_shorter_than_a_window_is_refused():
    with pytest.raises(UserError, match='A clip has 3 frames, but the network sees 5 at once'):
        slide_window(lambda x: x[:, 2], 5)(torch.rand(1, 3, 3, 4, 4))
