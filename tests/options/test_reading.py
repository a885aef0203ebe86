import math

import pytest
import yaml

from gsm_plugin.errors import UserError
from gsm_plugin.options.reading import OptionLoader, force_options, parse_value, read_options


def read(tmp_path, text):
    path = tmp_path / 'options.yml'
    path.write_text(text)
    return read_options(str(path))


@pytest.mark.parametrize(
    'text, expected',
    [
        *[('2e-4', 2e-4), ('1e-7', 1e-7), ('5e3', 5000.0), ('5e10', 5e10), ('2.5e-1', 0.25), ('255.', 255.0)],
        *[('!!float 2e-4', 2e-4), ('.5', 0.5), ('-1', -1), ('0', 0), ('1_000', 1000), ('0x10', 16)],
        *[('true', True), ('False', False), ('~', None), ('', None), ('abc', 'abc'), ('"1e-4"', '1e-4')],
        *[('010', '010'), ('000', '000'), ('1:30', '1:30'), ('2024-01-31', '2024-01-31'), ('1e', '1e')],
        *[('[1, 2e-4, a]', [1, 2e-4, 'a']), ('{a: 1e2}', {'a': 100.0})],
    ],
)
def test_values_are_read_as_people_mean_them(tmp_path, text, expected):
    actual = read(tmp_path, f'key: {text}\n')['key']
    assert actual == expected
    assert type(actual) is type(expected) or isinstance(actual, dict)


def test_keys_and_names_are_as_they_are_written(tmp_path):
    text = 'name: yes\ndatasets: {no: {name: off, dataroot_gt: 2024, num_frame: 1e1}}\n1: {save_img: on, a_path: ~}\n'
    expected = {
        'name': 'yes',
        'datasets': {'no': {'name': 'off', 'dataroot_gt': '2024', 'num_frame': 10.0}},
        '1': {'save_img': True, 'a_path': None},
    }
    assert read(tmp_path, text) == expected


def test_infinity_and_nan_are_numbers(tmp_path):
    actual = read(tmp_path, 'a: .inf\nb: .nan\n')
    assert actual['a'] == math.inf
    assert math.isnan(actual['b'])


def test_basicsr_itself_takes_a_number_without_a_dot_for_a_text():
    from basicsr.utils.options import ordered_yaml

    assert yaml.load('lr: 2e-4', Loader=ordered_yaml()[0])['lr'] == '2e-4'


def test_the_order_of_keys_is_kept(tmp_path):
    assert list(read(tmp_path, 'b: 1\na: {z: 1, y: 2}\n')) == ['b', 'a']


def test_merged_mappings_may_be_overridden(tmp_path):
    assert read(tmp_path, 'x: &x {a: 1, b: 2}\ny:\n  <<: *x\n  a: 3\n')['y'] == {'a': 3, 'b': 2}


@pytest.mark.parametrize(
    'text, expected',
    [
        ('a: 1\nb: 2\na: 3\n', 'line 3: the key a stands twice'),
        ('s:\n  a: 1\n  a: 1\n', 'line 3: the key a stands twice'),
        ('a: 1\nb: [1\nc: 2\n', 'line 3: expected'),
        ('a:\n\tb: 1\n', 'line 2: found character'),
        ('a: *b\n', 'line 1: found undefined alias'),
        ('? [1, 2]\n: 3\n', 'line 1: a key must be a plain word'),
        ('a: !!float abc\n', 'could not convert string to float'),
        ('', 'holds no options'),
        ('- 1\n', 'holds no options'),
    ],
)
def test_a_broken_file_is_refused_in_one_sentence_with_file_and_line(tmp_path, text, expected):
    with pytest.raises(UserError, match=expected) as error:
        read(tmp_path, text)
    assert 'options.yml' in str(error.value)
    assert '\n' not in str(error.value)


def test_a_missing_file_is_refused():
    with pytest.raises(UserError, match=r'nowhere\.yml does not exist'):
        read_options('nowhere.yml')


@pytest.mark.parametrize('tag', ['!!python/object/apply:os.mkdir [{path}]', '!!python/name:os.system', '!mine 1'])
def test_tags_are_refused_and_not_executed(tmp_path, tag):
    target = tmp_path / 'made'
    with pytest.raises(UserError, match='is refused') as error:
        read(tmp_path, f'a: {tag.format(path=target)}\n')
    assert '\n' not in str(error.value)
    assert not target.exists()


def test_basicsr_itself_executes_tags(tmp_path):
    from basicsr.utils.options import ordered_yaml

    target = tmp_path / 'made'
    yaml.load(f'a: !!python/object/apply:os.mkdir [{target}]', Loader=ordered_yaml()[0])
    assert target.exists()


@pytest.mark.parametrize(
    'text, expected',
    [
        *[('~', None), ('none', None), ('None', None), ('true', True), ('FALSE', False), ('-3', -3), ('1e-4', 1e-4)],
        *[('-1.5', -1.5), ('!!float 3', 3.0), ('[1, -2, none]', [1, -2, None]), ('a/b.pth', 'a/b.pth')],
        *[('C:/a #1: b', 'C:/a #1: b'), ("'7'", '7'), ("__import__('os')", "__import__('os')")],
    ],
)
def test_forced_values_follow_the_conventions_of_basicsr(text, expected):
    actual = parse_value(text)
    assert actual == expected
    assert type(actual) is type(expected)


def test_forced_options_replace_and_add(tmp_path):
    options = read(tmp_path, 'train: {lr: 1}\n')
    force_options(options, ['train:lr=2e-4', 'path:resume_state=a=b.state'])
    assert options == {'train': {'lr': 2e-4}, 'path': {'resume_state': 'a=b.state'}}


@pytest.mark.parametrize('entry', ['train', '=1', 'a::b=1', 'name:x=1', 'a=[1,', 'a=!!python/name:os.system'])
def test_a_wrong_forced_option_is_refused_in_one_sentence(entry):
    with pytest.raises(UserError, match='force_yml') as error:
        force_options({'name': 'tiny'}, [entry])
    assert '\n' not in str(error.value)


def test_the_loader_leaves_that_of_pyyaml_as_it_was():
    assert OptionLoader.yaml_implicit_resolvers is not yaml.SafeLoader.yaml_implicit_resolvers
    assert yaml.safe_load('a: 010') == {'a': 8}


def test_a_folder_in_the_place_of_an_option_file_is_called_one(tmp_path):
    with pytest.raises(UserError, match='is a folder; -opt names a YAML file'):
        read_options(str(tmp_path))


def test_a_file_that_is_no_text_is_named_so(tmp_path):
    (tmp_path / 'film.mp4').write_bytes(b'\x00\x95\xff')
    with pytest.raises(UserError, match='is no text in UTF-8, so no option file'):
        read_options(str(tmp_path / 'film.mp4'))
