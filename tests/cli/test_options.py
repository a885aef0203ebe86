import json

import pytest

from gsm_plugin.cli.main import main


def test_all_keys_are_listed_with_type_default_and_text(capsys):
    main(['options'])
    lines = capsys.readouterr().out.splitlines()
    at = lines.index('train:accumulate_iter: iterations whose gradients are added up for one step')
    assert lines[at + 1] == '    a whole number from 1 up; default 1'
    assert 'network_g:attn_depth: attention blocks of a layer' in lines


@pytest.mark.parametrize('key', ['train:fix_flow', 'fix_flow'])
def test_a_key_is_shown_in_full(capsys, key):
    main(['options', key])
    assert capsys.readouterr().out.splitlines() == [
        'train:fix_flow',
        '  the flow network stays as it is before this iteration',
        '  a whole number from 0 up; default 0',
        '  read by GSMModel',
    ]


def test_a_key_of_a_file_is_found_by_its_path_there(capsys):
    main(['options', 'datasets:train:num_frame'])
    out = capsys.readouterr().out
    assert "read by BasicSR's data sets, VideoFoldersDataset" in out
    assert 'read by DegradedClipsDataset, PhotoClipsDataset, MixedDataset' in out


@pytest.mark.parametrize(
    'section, key',
    [('train', 'train:total_iter'), ('network_g', 'network_g:attn_depth'), ('datasets:val', 'num_frame')],
)
def test_a_section_shows_the_keys_in_it(capsys, section, key):
    main(['options', section])
    lines = capsys.readouterr().out.splitlines()
    assert any(line.endswith(key) for line in lines)
    # wildcards stand for the names of networks and data sets
    top = section.split(':')[0].removesuffix('g')
    assert all(line.startswith((top, ' ')) for line in lines)


def test_a_key_in_the_wrong_section_is_told_where_it_is(capsys):
    with pytest.raises(SystemExit):
        main(['options', 'train:lr'])
    assert 'did you mean train:optim_*:lr' in capsys.readouterr().err


def test_a_key_that_only_basicsr_reads_is_found(capsys):
    main(['options', 'blur_kernel_size2'])
    assert capsys.readouterr().out == "datasets:*:blur_kernel_size2\n  read by BasicSR's RealESRGANDataset\n"


@pytest.mark.parametrize(
    'key, near',
    [
        ('acumulate_iter', 'train:accumulate_iter?'),
        ('train:toal_iter', 'train:total_iter, '),
        ('trian', 'train?'),
        ('tile_ovrlap', 'val:tile_overlap?'),
    ],
)
def test_a_misspelt_key_has_the_nearest_ones(capsys, key, near):
    with pytest.raises(SystemExit) as end:
        main(['options', key])
    assert end.value.code == 2
    assert capsys.readouterr().err.startswith(f"basicsr: No key is called '{key}'; did you mean {near}")


def test_a_key_that_is_like_none_has_no_unrelated_ones(capsys):
    with pytest.raises(SystemExit) as end:
        main(['options', 'nonsense'])
    assert end.value.code == 2
    expected = "basicsr: No key is called 'nonsense', or nearly so; basicsr options lists all.\n"
    assert capsys.readouterr().err == expected


def test_the_schema_is_json(capsys):
    main(['options', '--schema'])
    assert json.loads(capsys.readouterr().out)['properties']['train']['properties']['total_iter']['minimum'] == 1


def test_a_key_beside_the_schema_of_all_is_refused(capsys):
    with pytest.raises(SystemExit) as ended:
        main(['options', '--schema', 'total_iter'])
    assert ended.value.code == 2
    assert '--schema is of all keys, but total_iter is given too' in capsys.readouterr().err
