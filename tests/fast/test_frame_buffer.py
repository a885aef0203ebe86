import pytest
import torch

from gsm_plugin.fast.frame_buffer import FrameBuffer


def filled(clip, reach):
    buffer = FrameBuffer(clip, clip.dtype, reach)
    buffer.frames.copy_(clip)
    return buffer


@pytest.mark.parametrize('length', [1, 2, 3, 6])
@pytest.mark.parametrize('reach', [0, 1, 2])
def test_windows_are_overwritten_one_after_the_other(length, reach):
    clip = torch.randint(100, (2, length, 2, 3, 4))
    buffer, frames = filled(clip, reach), list(clip.clone().unbind(1))
    for i in range(length):
        positions = range(i - reach, i + reach + 1)
        window, inside = buffer.window(i)
        expected = [frames[min(max(position, 0), length - 1)] for position in positions]
        assert torch.equal(window, torch.stack(expected, 1))
        assert [positions[k] for k in range(inside.start, inside.stop)] == [p for p in positions if 0 <= p < length]
        window += torch.arange(2 * reach + 1)[:, None, None, None] + 10 * i
        for k, position in enumerate(positions):
            if 0 <= position < length:
                frames[position] = frames[position] + k + 10 * i
    assert torch.equal(buffer.frames, torch.stack(frames, 1))


@pytest.mark.parametrize('length', [1, 4, 5])
def test_the_sum_is_reversed(length):
    clip, x = torch.randn(2, 1, length, 2, 3, 4)
    assert torch.equal(filled(clip, 2).add_and_reverse(x), (clip + x).flip(1))
