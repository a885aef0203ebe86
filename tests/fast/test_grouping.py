import torch

from gsm_plugin.fast.grouping import join, run_in_groups


def test_groups_have_as_many_frames_as_their_pixels_allow():
    seen, x = [], torch.randn(5, 3)

    def double(x, y):
        seen.append(len(x))
        return x + y

    assert torch.equal(run_in_groups(double, x, x, pixels=10, at_once=25), 2 * x)
    assert seen == [2, 2, 1]


def test_parts_are_joined_where_they_belong_whether_they_are_there_already_or_not():
    x, places = torch.randn(2, 5), [slice(2, 5), slice(0, 2)]
    assert torch.equal(join([x[:, place] for place in places], places, 1), x)
    whole = torch.zeros(2, 5)

    def written():
        yield torch.mul(x[:, 2:], 3, out=whole[:, 2:])
        yield 3 * x[:, :2]

    assert join(written(), places, 1, whole) is whole
    assert torch.equal(whole, 3 * x)
