"""Trains the runs of a study, several beside each other, each in a process of its own that can go on later."""

import argparse
import copy
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import yaml
from tqdm import tqdm

from gsm_plugin.errors import UserError
from gsm_plugin.options.file_check import check_option_file
from gsm_plugin.pipelines.preparing import check_options, prepare_options
from gsm_plugin.scoring.board import write_text
from gsm_plugin.studies.ablation.plan import Run, Study, check_clips
from gsm_plugin.training.training_log import read_training_log

_TAIL = 1500


def write_option_files(study: Study) -> dict[str, Path]:
    """Writes and checks the option file of each run; they are in the study's folder, by name of the run.

    Raises:
        UserError: An option is wrong, or a run of that name was made with others.
    """
    files = {run.name: study.folder / 'options' / f'{run.name}.yml' for run in study.runs}
    texts = {run.name: yaml.safe_dump(plain(run.options), sort_keys=False) for run in study.runs}
    for run in study.runs:
        path = files[run.name]
        if path.exists() and path.read_text(encoding='utf-8') != texts[run.name] and run.log.exists():
            raise UserError(
                f'{run.name} was trained with other options than the study has now; give the study another name, or '
                f'remove experiments/{run.name}.'
            )
    # All of them by the command's own checks, before anything is written and before the first training; mistakes in
    # any of the files come before what is missing, networks before data.
    for check in (check_option_file, check_options):
        for run in study.runs:
            try:
                check(copy.deepcopy(run.options), is_train=True)
            except UserError as error:
                raise UserError(f'{run.variant}: {error}') from error
    check_clips(study)
    with tempfile.TemporaryDirectory() as folder:
        for run in study.runs:
            path = Path(folder, f'{run.name}.yml')
            path.write_text(texts[run.name], encoding='utf-8')
            flags = argparse.Namespace(
                opt=str(path), force_yml=None, launcher='none', auto_resume=True, debug=False, local_rank=None
            )
            prepare_options(flags, os.getcwd(), is_train=True, say=lambda note: None)
    for run in study.runs:
        write_text(files[run.name], texts[run.name])
    return files


def is_finished(run: Run) -> bool:
    """Whether a training has come to its end."""
    if not (run.log.exists() and run.weights.exists()):
        return False
    # what a run writes last, unless it was killed meanwhile
    lines = run.log.read_text(encoding='utf-8', errors='replace').splitlines()
    try:
        record = json.loads(lines[-1]) if lines else {}
    except ValueError:
        return False
    return (record.get('kind'), record.get('iter')) == ('end', run.options['train']['total_iter'])


def train_all(
    study: Study, files: dict[str, Path], beside: int, modules: Sequence[str], say: Callable[[str], None]
) -> dict[str, str]:
    """Trains what is not finished; a run that fails does not stop the others.

    Args:
        study: The study.
        files: Option files by run.
        beside: Trainings at once.
        modules: For `--import`.
        say: Takes a line for each run.

    Returns:
        Why runs failed, by name.
    """
    waiting = [run for run in study.runs if not is_finished(run)]
    if len(waiting) < len(study.runs):
        say(f'{len(study.runs) - len(waiting)} of {len(study.runs)} trainings are finished already.')
    failures: dict[str, str] = {}
    with ThreadPoolExecutor(beside) as pool, tqdm(total=len(waiting), unit='training') as bar:
        jobs = {pool.submit(_train, run, files[run.name], modules): run for run in waiting}
        for job in as_completed(jobs):
            run, failure = jobs[job], job.result()
            bar.update()
            if failure is not None:
                failures[run.name] = failure
                say(f'{run.name} failed: {failure}')
    return failures


def validations(run: Run) -> dict[str, dict[int, float]]:
    """What a training logged of its validations: by `metric on data set`, values by iteration."""
    metrics = read_training_log(run.log).metrics
    return {f'{name} on {data}': curve for name, sets in metrics.items() for data, curve in sets.items()}


def _train(run: Run, options: Path, modules: Sequence[str]) -> str | None:
    """Trains; gives the end of the output where that failed."""
    command = [sys.executable, '-m', 'gsm_plugin', 'train', '-opt', str(options), '--auto_resume']
    command += ['--import', ','.join(modules)] if modules else []
    output = options.with_suffix('.txt')
    with open(output, 'a', encoding='utf-8') as file:
        status = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT).returncode
    if status == 0 and is_finished(run):
        return None
    tail = output.read_text(encoding='utf-8', errors='replace')[-_TAIL:].strip().splitlines()
    return f'{tail[-1] if tail else f"status {status}"} (see {output})'


def plain(value: object) -> object:
    """Ordered mappings as plain ones, which YAML writes as people do."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value
