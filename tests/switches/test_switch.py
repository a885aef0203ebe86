from types import SimpleNamespace

import pytest

from gsm_plugin.switches.switch import Switch


@pytest.mark.parametrize('on', [True, False])
def test_contexts_in_each_other_and_of_several_threads_leave_nothing_behind(on):
    switch = Switch(SimpleNamespace(flag=False), 'flag')
    before = switch.is_on()
    first, second, third = (switch.turned(value) for value in (on, not on, on))
    with first:
        with second:
            assert switch.is_on() != on
        assert switch.is_on() == on
    # as threads do, the one that came first leaves first
    for late in (second, third):
        first.__enter__()
        late.__enter__()
        first.__exit__()
        assert switch.is_on() == late.on
        late.__exit__()
    assert switch.is_on() == before
