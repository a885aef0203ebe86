import pytest

import gsm_plugin
from gsm_plugin.errors import UserError


@pytest.fixture
def registries():
    from basicsr.utils import registry

    return registry


def test_registering_adds_everything_and_may_be_repeated(registries):
    gsm_plugin.register()
    gsm_plugin.register()
    for name in ('GSMamba', 'GatherScatterBlock', 'ImplicitWarp'):
        assert registries.ARCH_REGISTRY.get(name).__name__ == name
    assert registries.DATASET_REGISTRY.get('VideoFoldersDataset').__name__ == 'VideoFoldersDataset'
    model = registries.MODEL_REGISTRY.get('GSMModel')
    assert registries.MODEL_REGISTRY.get('RecurrentMixPrecisionRTModel') is model


def test_another_class_under_one_of_the_names_is_refused(registries, monkeypatch):
    from gsm_plugin.registration import register_all

    monkeypatch.setitem(registries.ARCH_REGISTRY._obj_map, 'GSMamba', dict)
    with pytest.raises(UserError, match='builtins has registered a GSMamba of its own'):
        register_all()


def test_registering_gives_basicsrs_pipelines_our_option_parsing():
    import basicsr.test
    import basicsr.train

    from gsm_plugin.pipelines.running import parse_options

    gsm_plugin.register()
    assert basicsr.train.parse_options is basicsr.test.parse_options is parse_options
