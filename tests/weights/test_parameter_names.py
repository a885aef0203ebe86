import pytest

from gsm_plugin.weights.parameter_names import match_names

KNOWN = ('body.0.weight', 'body.0.bias', 'spynet.weight', 'spynet.bias')


def of(prefix, names=KNOWN):
    return [prefix + name for name in names]


@pytest.mark.parametrize(
    'prefix',
    ['', 'module.', 'net_g.', '_forward_module.model.', 'my_lightning_thing.net.', 'model.module.module.', 'a.b.c.d.'],
)
def test_a_prefix_of_all_names_is_left_out(prefix):
    match = match_names(of(prefix), KNOWN)
    assert dict(match.names) == dict(zip(of(prefix), KNOWN, strict=True))
    assert (match.prefix, match.left) == (prefix, ())


@pytest.mark.parametrize(
    'name', ['_orig_mod.{}', 'module._orig_mod.{}', '_orig_mod.module.{}', '_fsdp_wrapped_module.{}']
)
def test_wrappers_of_pytorch_are_left_out_in_any_order(name):
    names = [name.format(known) for known in KNOWN]
    assert dict(match_names(names, KNOWN).names) == dict(zip(names, KNOWN, strict=True))


def test_a_part_that_was_compiled_alone_has_its_own_names():
    names = [
        'body._orig_mod.0.weight',
        'body.0._checkpoint_wrapped_module.bias',
        'spynet._orig_mod.weight',
        'spynet.bias',
    ]
    assert list(match_names(names, KNOWN).names.values()) == list(KNOWN)


def test_what_is_beside_the_network_is_left():
    names = [*of('net_g.'), 'net_d.weight', 'loss.vgg.weight']
    match = match_names(names, KNOWN)
    assert set(match.names.values()) == set(KNOWN)
    assert match.left == ('net_d.weight', 'loss.vgg.weight')


@pytest.mark.parametrize('averaged, prefix', [(False, 'generator.'), (True, 'generator_ema.')])
def test_of_two_networks_the_averaged_one_is_taken_if_it_is_wanted(averaged, prefix):
    match = match_names([*of('generator.'), *of('generator_ema.')], KNOWN, averaged)
    assert match.prefix == prefix
    assert set(match.names) == set(of(prefix))


def test_names_of_the_network_itself_are_never_taken_apart():
    known = ('model.weight', 'model.model.weight', 'weight')
    match = match_names(known, known)
    assert dict(match.names) == {name: name for name in known}


def test_a_part_of_a_network_comes_out_of_a_larger_one():
    match = match_names([*of('generator.'), 'generator.spynet.mean'], ('weight', 'bias', 'mean'))
    assert match.prefix == 'generator.spynet.'
    assert set(match.names.values()) == {'weight', 'bias', 'mean'}


def test_a_name_that_happens_to_be_behind_another_word_does_not_make_that_a_prefix():
    assert match_names(['head.body.0.weight', 'tail.weight'], KNOWN).prefix == ''


def test_of_another_network_the_usual_words_alone_are_left_out():
    names = ['module.net_g.conv.weight', 'module.net_g.conv.bias']
    assert list(match_names(names, KNOWN).names.values()) == ['conv.weight', 'conv.bias']
    assert list(match_names(['x.conv.weight', 'x.conv.bias'], KNOWN).names.values()) == ['x.conv.weight', 'x.conv.bias']
