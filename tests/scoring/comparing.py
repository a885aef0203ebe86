"""Clips for `basicsr compare`, and how its tests call it."""

import cv2
import pytest
import yaml

from gsm_plugin.cli import main as command


def write_frames(folder, frames):
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames):
        cv2.imwrite(str(folder / f'{number}.png'), frame)
    return folder


def write_video(path, frames):
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 25, (width, height))
    for frame in frames:
        writer.write(frame)
    writer.release()
    return path


def run(place, out, *arguments):
    command.main(['compare', str(place), '--out', str(out), *arguments])


def refusal(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        run(*arguments)
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.count('\n') == 1
    return error


def write_gsm(folder, name, **changes):
    sizes = {'prop_depth': 2, 'attn_depth': 1, 'pa_frame': 1, 'embed_dims': 8, 'num_heads': 2, 'upscale': 2}
    options = {'scale': 2, 'network_g': {'type': 'GSMamba', **sizes}, **changes}
    (folder / f'{name}.yml').write_text(yaml.safe_dump(options))
    return f'{name}={folder / name}.yml'
