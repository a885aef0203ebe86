"""Loss curves and speeds of several processes against those of one."""

import statistics
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gsm_plugin.scoring.report.tables import markdown_table
from gsm_plugin.studies.gpus.runs import Run, Settings, train

TOLERANCE = 1e-3


def compare_curves(folder: Path, settings: Settings, iterations: int, network: str, say: Callable[[str], None]) -> dict:
    """Trains in N processes, and in one with N times the batch, and compares the losses of all iterations."""
    rest = iterations, network, 'fp32'
    runs = (
        Run('curve_one', 1, settings.batch * settings.processes, *rest),
        Run('curve_many', settings.processes, settings.batch, *rest),
    )
    # Nothing is timed here, and on GPUs most of it is waiting for compilers.
    with ThreadPoolExecutor(2 if settings.on_gpus else 1) as pool:
        records = list(pool.map(lambda run: train(folder, run, settings), runs))
    losses, norms = ([[one[key] for one in run] for run in records] for key in ('l_pix', 'grad_norm'))
    deviations, of_norms = relative_differences(losses), relative_differences(norms)
    worst = max(range(len(deviations)), key=deviations.__getitem__)
    shown = sorted({*range(0, len(deviations), max(1, len(deviations) // 6)), worst, len(deviations) - 1})
    rows = [[f'{i + 1}', f'{losses[0][i]:.6f}', f'{losses[1][i]:.6f}', f'{deviations[i]:.1e}'] for i in shown]
    say(markdown_table(['iteration', '1 process', f'{settings.processes} processes', 'relative difference'], rows))
    agrees = deviations[worst] <= TOLERANCE
    say(
        f'{len(deviations)} iterations, largest difference {deviations[worst]:.1e} (iteration {worst + 1}): '
        f'the curves {"agree" if agrees else "DO NOT agree"} to {TOLERANCE:g}. Largest difference of the norms of '
        f'gradients: {max(of_norms):.1e}.\n'
    )
    return {
        'agrees': agrees,
        'largest_relative_difference': deviations[worst],
        'largest_relative_difference_of_gradient_norms': max(of_norms),
        'losses_of_one_process': losses[0],
        'losses_of_all_processes': losses[1],
        'gradient_norms_of_one_process': norms[0],
        'gradient_norms_of_all_processes': norms[1],
    }


def relative_differences(curves: list[list[float]]) -> list[float]:
    """Of the second curve from the first, at each iteration."""
    return [abs(actual / expected - 1) for expected, actual in zip(*curves, strict=True)]


def measure_efficiency(folder: Path, settings: Settings, steps: int, network: str, say: Callable[[str], None]) -> dict:
    """Trains in one and in N processes with the same batch each, and compares the frames per second."""
    precision = 'bf16' if settings.on_gpus else 'fp32'
    rest = settings.batch, steps, network, precision
    speeds = []
    for processes in (1, settings.processes):
        records = train(folder, Run(f'speed_{processes}', processes, *rest), settings)
        speeds.append(speed_of(records, processes * settings.batch * settings.frames) | {'processes': processes})
    efficiency = speeds[1]['frames_per_second'] / speeds[0]['frames_per_second'] / settings.processes
    rows = [
        [
            f'{speed["processes"]}',
            f'{speed["step_s"] * 1e3:.1f}',
            f'{speed["fastest_s"] * 1e3:.1f}-{speed["slowest_s"] * 1e3:.1f}',
            f'{speed["data_s"] * 1e3:.1f}',
            f'{speed["frames_per_second"]:.2f}',
            '-' if speed['memory_gib'] is None else f'{speed["memory_gib"]:.2f}',
        ]
        for speed in speeds
    ]
    say(markdown_table(['processes', 'step, ms', 'range, ms', 'of it data, ms', 'frames/s', 'GiB of each'], rows))
    say(
        f'{network}{" with cuda_graphs" * settings.cuda_graphs}, {precision}, {settings.batch} clip(s) of '
        f'{settings.frames}x{settings.patch}x{settings.patch} in each process, median of {speeds[0]["steps"]} steps: '
        f'scaling efficiency {efficiency:.1%}.\n'
    )
    return {'precision': precision, 'efficiency': efficiency, 'runs': speeds}


def speed_of(records: list[dict], frames: int) -> dict:
    """Times of the second half of a run's steps, from its records; the first half compiles and warms up."""
    # The log has means since the beginning.
    clock = [record['iter'] / record['it_per_s'] for record in records]
    waited = [record['iter'] * record['data_time_s'] for record in records]
    later = range(max(1, len(records) // 2), len(records))
    steps = [clock[i] - clock[i - 1] for i in later]
    step = statistics.median(steps)
    return {
        'step_s': step,
        'fastest_s': min(steps),
        'slowest_s': max(steps),
        'data_s': statistics.median(waited[i] - waited[i - 1] for i in later),
        'steps': len(steps),
        'first_step_s': clock[0],
        'frames_per_second': frames / step,
        'memory_gib': records[-1]['memory_gib'],
    }
