import pytest
import torch


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_memory_that_no_one_has_written_is_poisoned_in_every_test_of_an_op(dtype):
    like = torch.zeros(2, 3, dtype=dtype)
    empty = (
        torch.empty(2, 3, dtype=dtype),
        torch.empty_like(like),
        like.new_empty(2, 3),
        like.new_empty_strided((3,), (2,)),
    )
    assert all(x.isnan().all() for x in empty)
    assert (torch.empty(3, dtype=torch.int64) == torch.iinfo(torch.int64).max).all()
