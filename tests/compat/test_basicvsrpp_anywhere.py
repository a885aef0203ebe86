import inspect

import gsm_plugin  # noqa: F401  (makes basicsr importable, so it comes first)

# isort: split
import torch
from basicsr.archs.basicvsrpp_arch import BasicVSRPlusPlus


def test_alignment_is_there_and_works_without_a_gpu():
    torch.manual_seed(0)
    network = BasicVSRPlusPlus(mid_channels=16, num_blocks=1, max_residue_magnitude=7).eval()
    assert network.is_with_alignment
    assert {align.max_residue_magnitude for align in network.deform_align.values()} == {7}
    clip = torch.rand(1, 3, 3, 64, 64)
    with torch.no_grad():
        before = network(clip)
        network.deform_align['forward_2'].weight.add_(0.1)
        after = network(clip)
    assert before.shape == (1, 3, 3, 256, 256)
    assert (before - after).abs().max() > 0


def test_basicsr_itself_leaves_it_out():
    source = inspect.getsource(BasicVSRPlusPlus.__init__.__wrapped__)
    assert 'if torch.cuda.is_available():' in source


def test_arguments_stay_visible_to_option_checks():
    assert 'mid_channels' in inspect.signature(BasicVSRPlusPlus).parameters


def test_a_clip_after_a_mirrored_one_is_not_taken_for_mirrored():
    network = BasicVSRPlusPlus(mid_channels=16, num_blocks=1)
    clip = torch.rand(1, 2, 3, 4, 4)
    network.check_if_mirror_extended(torch.cat((clip, clip.flip(1)), 1))
    assert network.is_mirror_extended
    network.check_if_mirror_extended(torch.rand(1, 4, 3, 4, 4))
    assert not network.is_mirror_extended
