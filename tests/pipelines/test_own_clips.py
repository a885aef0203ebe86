"""The commands of docs/data.md, from a film to an enlarged film, in their order, on a film of a few frames."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from gsm_plugin.cli.main import main
from tests.data.tools.miniature import write_video

ROOT = Path(__file__).parents[2]
SHORT = [
    *('num_gpu=0', 'datasets:train:gt_size=32', 'datasets:train:num_frame=2'),
    *('datasets:train:num_worker_per_gpu=0', 'datasets:train:batch_size_per_gpu=1', 'train:warmup_iter=-1'),
    *('train:total_iter=1', 'logger:use_tb_logger=false'),
]

# What each command gets beside its words in the text, to end in seconds.
QUICK = {
    'data from-video': ('--min-frames', '4', '--max-frames', '4'),
    'train': ('--force_yml', *SHORT),
    'test': ('--force_yml', 'num_gpu=0'),
    'infer': ('--end', '0.2', '--window', '4', '--context', '0'),
}


def commands():
    """The lines with commands in the section."""
    text = (ROOT / 'docs' / 'data.md').read_text(encoding='utf-8')
    section = text.split('## Your own videos')[1].split('\n## ')[0]
    return re.findall(r'^ +basicsr (.+)$', section, re.MULTILINE)


def call(*words):
    status = 0
    try:
        main(words)
    except SystemExit as ended:
        status = ended.code
    assert status == 0


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    write_video(tmp_path / 'film.avi', [6] * 6, (32, 40))
    # a container of the name that stands in the text; its content tells what it is
    (tmp_path / 'film.avi').rename(tmp_path / 'film.mp4')
    shutil.copytree(ROOT / 'options', tmp_path / 'options')
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures('fresh_logger')
def test_the_way_in_the_documentation_leads_to_the_end(workplace, capfd):
    done = []
    for line in commands():
        words = shlex.split(line)
        call(*words, *QUICK.get(words[0], QUICK.get(' '.join(words[:2]), ())))
        done.append(words[0])
    assert done == ['data', 'data', 'data', 'data', 'data', 'train', 'test', 'infer']
    assert '# psnr: ' in capfd.readouterr().err
    assert (workplace / 'results' / 'test_gsm_own_clips').is_dir()
    assert (workplace / 'film_x4.mp4').stat().st_size > 0
