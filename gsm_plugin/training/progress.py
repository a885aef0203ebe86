"""What a training tells while it runs: a bar, lines in the text log, records in train.jsonl, TensorBoard's scalars."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import torch
from basicsr.utils import AvgTimer, get_root_logger
from tqdm import tqdm

from gsm_plugin.training.data_order import Position
from gsm_plugin.training.json_lines import JsonLines

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class Speed(TypedDict):
    """How fast a training is, in seconds, iterations per second and GiB, as the records have it."""

    eta_s: float
    it_per_s: float
    iter_time_s: float
    data_time_s: float
    memory_gib: float | None


class Progress:
    """Tells how a training goes; in other processes than the first it is silent.

    Args:
        name: Name of the experiment.
        total: Iterations of the whole training.
        start: Iterations that are done already.
        device: The device of the model, whose memory is told.
        records: The machine-readable log; None in other processes than the first.
        tb_logger: TensorBoard's writer, or None.
    """

    def __init__(
        self,
        name: str,
        total: int,
        start: int,
        device: torch.device,
        records: JsonLines | None,
        tb_logger: SummaryWriter | None,
    ):
        self.records = records
        self.tb_logger = tb_logger
        self._name = name
        self._total = total
        self._done = 0
        self._device = device
        self._began = time.monotonic()
        self._iteration_timer, self._data_timer = AvgTimer(), AvgTimer()
        # None: no bar where nobody looks, in a file or a pipe.
        self._bar = tqdm(total=total, initial=start, unit='it', disable=None if records else True)

    def timed(self, batches: Iterable[dict]) -> Iterator[dict]:
        """Hands batches on, and measures how long the training waits for them and how long it takes with them."""
        self._data_timer.start()
        self._iteration_timer.start()
        for batch in batches:
            self._data_timer.record()
            yield batch
            self._data_timer.start()
            self._iteration_timer.start()

    def iteration_done(self) -> None:
        """Ends the time of an iteration, before logging, saving and validation."""
        self._done += 1
        self._iteration_timer.record()
        self._bar.update()

    def tell(self, at: Position, rates: list[float], numbers: Mapping[str, float]) -> None:
        """Tells of an iteration.

        Args:
            at: Where the training is.
            rates: The learning rates.
            numbers: Losses and what else the model measures, by name; values that are None are left out.
        """
        if self.records is None:
            return
        numbers = {key: float(value) for key, value in numbers.items() if value is not None}
        speed = self._speed(at)
        text = ' '.join(f'{key}: {value:.4e}' for key, value in numbers.items())
        get_root_logger().info(f'{self._place(at, rates)} {_describe(speed)} {text}')
        self.records.write('train', at.iteration, epoch=at.epoch, lrs=rates, **numbers, **speed)
        self._bar.set_postfix(self._beside_the_bar(numbers, rates, speed), refresh=False)
        if self.tb_logger:
            for key, value in numbers.items():
                self.tb_logger.add_scalar(f'losses/{key}' if key.startswith('l_') else key, value, at.iteration)
            for number, rate in enumerate(rates):
                self.tb_logger.add_scalar(f'lr/{number}', rate, at.iteration)

    def go_back_to(self, iteration: int) -> None:
        """Follows a training that goes back to a checkpoint."""
        self._bar.n = iteration
        if self.records:
            self.records.go_back_to(iteration)

    def close(self) -> None:
        """Ends the bar."""
        self._bar.close()

    def _place(self, at: Position, rates: list[float]) -> str:
        lrs = ''.join(f'{rate:.3e},' for rate in rates)
        return f'[{self._name[:5]}..][epoch:{at.epoch:3d}, iter:{at.iteration:8,d}, lr:({lrs})]'

    def _speed(self, at: Position) -> Speed:
        # Validation and checkpoints are part of what is still to come, so they are part of the measure.
        per_iteration = (time.monotonic() - self._began) / self._done
        return {
            'eta_s': per_iteration * (self._total - at.iteration),
            'it_per_s': 1 / per_iteration,
            'iter_time_s': self._iteration_timer.get_avg_time(),
            'data_time_s': self._data_timer.get_avg_time(),
            'memory_gib': _memory_gib(self._device),
        }

    def _beside_the_bar(self, numbers: Mapping[str, float], rates: list[float], speed: Speed) -> dict[str, str]:
        shown = {key: f'{value:.3g}' for key, value in numbers.items()}
        shown |= {'lr': f'{rates[0]:.2e}', 'data': f'{speed["data_time_s"]:.3f}s'}
        return shown if speed['memory_gib'] is None else shown | {'mem': f'{speed["memory_gib"]:.2f}GiB'}


def scores_of(results: Mapping, metrics: Iterable[str]) -> dict[str, float]:
    """Means of a validation's metrics by name, from `metric_results` of any of BasicSR's models.

    Args:
        results: By metric its mean; or by folder a table (frames, metrics), whose means are averaged.
        metrics: Names of the metrics, in order.
    """
    tables = [value for value in results.values() if isinstance(value, torch.Tensor) and value.dim() == 2]
    if not tables:
        return {name: float(value) for name, value in results.items()}
    means = torch.stack([table.double().cpu().mean(0) for table in tables]).mean(0)
    return dict(zip(metrics, means.tolist(), strict=True))


def _describe(speed: Speed) -> str:
    eta = datetime.timedelta(seconds=int(speed['eta_s']))
    memory = '' if speed['memory_gib'] is None else f', memory: {speed["memory_gib"]:.2f} GiB'
    times = f'time (data): {speed["iter_time_s"]:.3f} ({speed["data_time_s"]:.3f})'
    return f'[eta: {eta}, {speed["it_per_s"]:.2f} it/s, {times}{memory}]'


def _memory_gib(device: torch.device) -> float | None:
    """The most that the GPU had to hold, or what this process holds on the CPU; None where that cannot be told."""
    if device.type == 'cuda':
        return torch.cuda.max_memory_allocated(device) / 2**30
    status = Path('/proc/self/status')
    if not status.exists():
        return None
    held = next(line for line in status.read_text(encoding='utf-8').splitlines() if line.startswith('VmRSS'))
    return int(held.split()[1]) / 2**20
