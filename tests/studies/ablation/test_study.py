import json
from pathlib import Path
from statistics import fmean

import pytest
import yaml

from gsm_plugin.cli.main import main
from gsm_plugin.errors import UserError
from gsm_plugin.locks import locked
from gsm_plugin.studies.ablation import training
from gsm_plugin.studies.ablation.plan import merged, read_study
from tests import tiny_project


@pytest.fixture
def study(project, options):
    options['val']['val_freq'] = 2
    Path('base.yml').write_text(yaml.safe_dump(options), encoding='utf-8')
    Path('net.py').write_text(tiny_project.NETWORK_SOURCE, encoding='utf-8')
    content = {
        'name': 'widths',
        'options': 'base.yml',
        'seeds': [0, 1],
        'variants': {'four': None, 'eight wide': {'network_g': {'width': 8}}},
        'score': {'clips': 'data/test/GT', 'frames': 2, 'metrics': ['mse_hidden', 'tof']},
    }

    def write(**changes):
        Path('study.yml').write_text(yaml.safe_dump({**content, **changes}, sort_keys=False), encoding='utf-8')
        return Path('study.yml')

    return write


def test_a_study_trains_scores_and_compares_and_trains_nothing_twice(study, capsys):
    study()
    main(['study', 'study.yml', '--beside', '2', '--import', 'net.py'])
    folder = Path('results/study/widths')
    rows = [line for line in (folder / 'table.md').read_text(encoding='utf-8').splitlines() if line.startswith('|')]
    cells = [[cell.strip() for cell in row.strip('|').split('|')] for row in rows]
    assert cells[0][:5] == ['variant', 'seeds', 'PSNR', 'against the base', 'p']
    assert cells[2][0] == 'four'
    assert cells[3][:2] == ['eight wide', '2']
    records = {path.stem: json.loads(path.read_text()) for path in (folder / 'scores').glob('*.json')}
    assert len(records) == 4
    assert float(cells[3][4]) <= 1
    titles = ['variant', 'MSE hidden ↓', 'better by, dB', 'p', 'tOF ↓', 'against the base', 'p']
    at = cells.index(titles)
    base, other = cells[at + 2], cells[at + 3]
    hidden = {
        name: fmean(record['clips'][clip]['values']['mse_hidden'][0] for clip in record['clips'])
        for name, record in records.items()
    }
    assert base[0] == 'four'
    assert base[2] == base[3] == base[5] == ''
    assert float(base[1].split(' ')[0]) == pytest.approx(
        fmean(value for name, value in hidden.items() if 'four' in name), abs=1e-3
    )
    better = float(other[2].split(' ')[0])
    assert (better > 0) == (float(other[1].split(' ')[0]) < float(base[1].split(' ')[0]))
    page = (folder / 'page.html').read_text(encoding='utf-8')
    assert 'eight wide' in page
    assert '<svg' in page
    logs = {path: path.read_bytes() for path in Path('experiments').glob('*/train.jsonl')}
    assert len(logs) == 4
    capsys.readouterr()
    main(['study', 'study.yml', '--import', 'net.py'])
    assert '4 of 4 trainings are finished already.' in capsys.readouterr().out
    assert all(path.read_bytes() == text for path, text in logs.items())


@pytest.mark.parametrize('name, runs, steps', [('findings', 24, 6000), ('trial', 6, 2500)])
def test_the_shipped_studies_can_be_read(monkeypatch, tmp_path, name, runs, steps):
    root = Path(__file__).parents[3]
    (tmp_path / 'datasets/moving/GT').mkdir(parents=True)
    (tmp_path / 'options').symlink_to(root / 'options')
    monkeypatch.chdir(tmp_path)
    found = read_study(Path(f'options/study_gsm_{name}.yml'))
    assert (found.base, len(found.runs)) == ('base', runs)
    forward = next(run for run in found.runs if run.variant == 'anchor forward')
    assert forward.options['network_g']['anchor'] == 'forward'
    assert forward.options['network_g']['prop_depth'] == 2
    assert forward.options['train']['scheduler']['periods'] == [forward.options['train']['total_iter']] == [steps]
    assert forward.options['train']['optim_g']['lr'] == 5e-4


def test_a_run_that_fails_leaves_the_others_and_is_named(study, monkeypatch):
    def failing(run, options, modules):
        return 'it broke' if run.variant == 'eight wide' else train(run, options, modules)

    train = training._train
    monkeypatch.setattr(training, '_train', failing)
    study(seeds=[0])
    with pytest.raises(SystemExit) as end:
        main(['study', 'study.yml', '--import', 'net.py'])
    assert end.value.code == 1
    table = Path('results/study/widths/table.md').read_text(encoding='utf-8')
    assert 'eight wide, seed 0 is missing: it broke' in table
    assert '| eight wide |     0 |' in table


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'variants': {'one': None}}, 'give two at least by name, the base first'),
        ({'seeds': [0, 0]}, 'give a list of different whole numbers'),
        ({'seeds': [True]}, 'give a list of different whole numbers'),
        ({'seed': [0]}, 'seed is no key of a study; did you mean seeds?'),
        ({'score': {'clip': 'data/test/GT'}}, 'score:clip is no key of a study; did you mean clips?'),
        ({'score': {'clips': 3}}, 'score:clips is 3; give a folder'),
        ({'score': {'clips': 'data', 'degradation': 'bx'}}, "score:degradation is 'bx'; give one of bi, bd"),
        ({'score': {'clips': 'data', 'frames': 'two'}}, "score:frames is 'two'; give a whole number"),
        ({'score': {'clips': 'data', 'shrink': 0}}, 'score:shrink is 0; give a whole number'),
        ({'score': {'clips': 'data', 'degradation': ['bi']}}, r"score:degradation is \['bi'\]; give one of bi, bd"),
        ({'score': {'clips': 'data', 'metrics': [['lpips']]}}, r"score:metrics is \[\['lpips'\]\]; give a list, of"),
        ({'options': 3}, 'options is 3, which does not exist; name an option file'),
        ({'score': {'clips': 'data', 'metrics': ['lpip']}}, r"score:metrics is \['lpip'\]; give a list, of lpips"),
        ({'score': None}, 'score is missing'),
        ({'options': 'nowhere.yml'}, 'options is nowhere.yml, which does not exist'),
        ({'variants': {'a b': None, 'a_b': None}}, 'rename one'),
        ({'variants': {'a': None, 'b': 3}}, 'variants:b is 3; give keys as in the option file'),
    ],
)
def test_what_is_wrong_is_one_sentence_before_anything_is_written(study, changes, message):
    with pytest.raises(UserError, match=message.replace('?', r'\?')):
        read_study(study(**changes))
    assert not Path('results').exists()


def test_a_study_that_another_process_runs_is_left_to_it(study, capsys):
    folder = read_study(study()).folder
    folder.parent.mkdir(parents=True)
    with locked(folder), pytest.raises(SystemExit):
        main(['study', 'study.yml', '--import', 'net.py'])
    assert f'{folder} is being written by process' in capsys.readouterr().err
    assert not Path('experiments').exists()
    assert list(folder.parent.iterdir()) == []


def test_a_study_that_is_not_there_is_named(project):
    with pytest.raises(UserError, match=r'The study none\.yml does not exist'):
        read_study(Path('none.yml'))
    with pytest.raises(UserError, match='is a folder; name a YAML file'):
        read_study(project)


def test_a_wrong_option_is_told_before_the_first_training(study, capsys):
    study(variants={'four': None, 'eight': {'network_g': {'widht': 8}}})
    with pytest.raises(SystemExit):
        main(['study', 'study.yml', '--import', 'net.py'])
    assert 'widht' in capsys.readouterr().err
    assert not Path('experiments').exists()
    assert not Path('results').exists()


@pytest.mark.parametrize(
    'network, sentence',
    [({'widht': 8}, 'eight: Nothing reads the key network_g:widht'), ({'width': 'x'}, "eight: network_g:width is 'x'")],
)
def test_a_wrong_option_of_any_variant_is_told_before_data_that_is_missing(study, capsys, network, sentence):
    missing = {'datasets': {'train': {'dataroot_gt': 'nowhere'}}}
    study(variants={'four': None, 'eight': {'network_g': network}}, overrides=missing, score={'clips': 'nowhere'})
    with pytest.raises(SystemExit):
        main(['study', 'study.yml', '--import', 'net.py'])
    assert sentence in capsys.readouterr().err
    study(overrides=missing, score={'clips': 'nowhere'})
    with pytest.raises(SystemExit):
        main(['study', 'study.yml', '--import', 'net.py'])
    assert 'score:clips is nowhere, which does not exist' in capsys.readouterr().err
    assert not Path('results').exists()


@pytest.mark.slow
def test_a_study_that_changed_is_not_mixed_with_what_was_trained(study, capsys):
    study(seeds=[0])
    main(['study', 'study.yml', '--import', 'net.py'])
    study(seeds=[0], overrides={'train': {'total_iter': 3}})
    with pytest.raises(SystemExit):
        main(['study', 'study.yml', '--import', 'net.py'])
    assert 'was trained with other options than the study has now' in capsys.readouterr().err


def test_overrides_are_merged_key_by_key():
    base = {'a': {'b': 1, 'c': [1, 2]}, 'd': 2}
    assert merged(base, {'a': {'c': [3]}, 'e': {'f': 1}}, '') == {'a': {'b': 1, 'c': [3]}, 'd': 2, 'e': {'f': 1}}
    assert base == {'a': {'b': 1, 'c': [1, 2]}, 'd': 2}
    with pytest.raises(UserError, match='but has keys in the option file'):
        merged(base, {'a': 3}, 'study.yml: overrides')
