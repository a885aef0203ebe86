"""Runs a study from its file to its tables; what is finished is never made again."""

from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

from gsm_plugin.errors import UserError
from gsm_plugin.files import folder_for
from gsm_plugin.locks import lock_of, locked
from gsm_plugin.scoring.board import write_text
from gsm_plugin.scoring.clips import Reduction
from gsm_plugin.scoring.comparison import Comparison, compare
from gsm_plugin.scoring.results.records import read_record
from gsm_plugin.studies.ablation.plan import Run, Study, read_study
from gsm_plugin.studies.ablation.report import Records, write_report
from gsm_plugin.studies.ablation.training import is_finished, plain, train_all, validations, write_option_files


def run_study(path: Path, beside: int, modules: Sequence[str], say: Callable[[str], None]) -> bool:
    """Trains, scores and reports.

    Args:
        path: The study, see `read_study`.
        beside: Trainings at once.
        modules: For `--import` of the trainings.
        say: Takes lines about how it goes.

    Returns:
        Whether all trainings came to their end.

    Raises:
        UserError: The study or an option file is wrong, or another process runs it, which is known before the first
            training; or no training came to its end.
    """
    study = read_study(path)
    with folder_for(lock_of(study.folder)), locked(study.folder):
        return _run(study, beside, modules, say)


def _run(study: Study, beside: int, modules: Sequence[str], say: Callable[[str], None]) -> bool:
    files = write_option_files(study)
    failures = train_all(study, files, beside, modules, say)
    finished = [run for run in study.runs if is_finished(run)]
    if not finished:
        raise UserError(f'No training of {study.name} came to its end; the first says: {next(iter(failures.values()))}')
    records = _score(study, finished, say)
    notes = [
        f'{run.variant}, seed {run.seed} is missing: {failures[run.name]}' for run in study.runs if run.name in failures
    ]
    say(write_report(study, records, _curves(study, finished), notes))
    say(f'Tables: {study.folder / "table.md"}\nPage: {study.folder / "page.html"}')
    return not failures


def _score(study: Study, runs: Sequence[Run], say: Callable[[str], None]) -> Records:
    """Scores trained networks by `basicsr compare`, which keeps a record of each and goes on where it was stopped."""
    out, score = study.folder / 'scores', study.score
    networks = []
    for run in runs:
        path = study.folder / 'tests' / f'{run.name}.yml'
        options = {key: run.options[key] for key in ('model_type', 'scale', 'network_g', 'val') if key in run.options}
        options |= {'name': run.name, 'num_gpu': run.options.get('num_gpu', 0)}
        options['path'] = {'pretrain_network_g': str(run.weights)}
        write_text(path, yaml.safe_dump(plain(options), sort_keys=False))
        networks.append(f'{run.name}={path}')
    reduction = Reduction(score.degradation, None, score.frames, score.shrink)
    compare(
        Comparison(score.clips, networks, list(score.metrics), reduction, 'rgb', None, None, out), say=lambda line: None
    )
    say(f'Scored {len(runs)} networks on {score.clips}.')
    return {(run.variant, run.seed): read_record(out / f'{run.name}.json') for run in runs}


def _curves(study: Study, runs: Sequence[Run]) -> dict[str, dict[str, list[dict[int, float]]]]:
    curves: dict[str, dict[str, list[dict[int, float]]]] = {}
    for run in runs:
        for title, curve in validations(run).items():
            curves.setdefault(title, {}).setdefault(run.variant, []).append(curve)
    return curves
