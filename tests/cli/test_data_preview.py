import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from gsm_plugin.cli.main import main
from tests.data.pictures import write_clips

OPTIONS = """
name: x
model_type: GSMModel
scale: 4
num_gpu: 0
datasets:
  train: {{name: clips, type: DegradedClipsDataset, dataroot_gt: {gt}, num_frame: 3, gt_size: 32,
    num_worker_per_gpu: 0, batch_size_per_gpu: 1, degradation: {{kind: real}}}}
network_g: {{type: GSMamba, embed_dims: 8, num_heads: 2, spynet_path: ~}}
path: {{}}
train:
  optim_g: {{type: Adam, lr: 1e-3}}
  scheduler: {{type: CosineAnnealingRestartLR, periods: [4], restart_weights: [1]}}
  total_iter: 4
  pixel_opt: {{type: CharbonnierLoss}}
logger: {{print_freq: 1, save_checkpoint_freq: 4, use_tb_logger: false}}
"""


@pytest.fixture
def option_file(tmp_path):
    write_clips(tmp_path / 'gt')
    (tmp_path / 'o.yml').write_text(OPTIONS.format(gt=tmp_path / 'gt'))
    return tmp_path / 'o.yml'


def pictures(page):
    found = re.findall(r'src="data:image/png;base64,([^"]+)"', page.read_text())
    return [Image.open(io.BytesIO(base64.b64decode(one))) for one in found]


def test_the_page_has_moving_pairs_of_the_training_set_and_needs_no_other_file(option_file, tmp_path, capsys):
    page = tmp_path / 'page.html'
    main(['data', 'preview', '-opt', str(option_file), '--out', str(page), '--items', '3', '--seed', '1'])
    assert f'{page}: 3 pairs' in capsys.readouterr().out
    assert not re.findall(r'(?:src|href)="(?!data:)', page.read_text())
    made = pictures(page)
    assert [(one.size, one.n_frames) for one in made] == [((68, 32), 3)] * 3
    pixels = np.asarray(made[0].convert('RGB')).astype(int)
    lq, gt = pixels[:, :32], pixels[:, 36:]
    assert (lq[::4] == lq[3::4]).all()
    assert (gt[::4] != gt[3::4]).any()
    assert abs(lq.mean() - gt.mean()) < 20
    assert re.findall(r'<figcaption>([ab])/\d{8}: LQ 8x8, GT 32x32, 3 frames', page.read_text())


def test_a_page_replaces_a_page_and_nothing_else(option_file, tmp_path, capsys):
    text = option_file.read_text()
    with pytest.raises(SystemExit):
        main(['data', 'preview', '-opt', str(option_file), '--out', str(option_file), '--items', '1'])
    assert 'o.yml is there, and nothing that --out has written; give another --out' in capsys.readouterr().err
    assert option_file.read_text() == text
    page = tmp_path / 'page.html'
    for _ in range(2):
        main(['data', 'preview', '-opt', str(option_file), '--out', str(page), '--items', '1'])
    assert len(pictures(page)) == 1


def test_a_missing_folder_is_named_before_anything_is_read(option_file, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(['data', 'preview', '-opt', 'nowhere.yml', '--out', str(tmp_path / 'no' / 'page.html')])
    assert 'does not exist; make it, or correct --out' in capsys.readouterr().err
