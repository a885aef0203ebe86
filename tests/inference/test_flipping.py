import torch

from gsm_plugin.inference.flipping import average_with_reversed


def test_each_frame_is_the_mean_of_its_outputs_on_the_way_there_and_back():
    clip = torch.tensor([1.0, 2.0, 4.0]).view(1, 3, 1, 1, 1)
    output = average_with_reversed(lambda both: both.cumsum(1))(clip)
    # There: 1, 3, 7. Back, from the last frame: 11, 13, 14.
    assert output.flatten().tolist() == [(1 + 14) / 2, (3 + 13) / 2, (7 + 11) / 2]
