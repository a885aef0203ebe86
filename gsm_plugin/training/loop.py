"""The training loop, in place of BasicSR's: it can stop after any step, and goes on as if it had not."""

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from basicsr.models.base_model import BaseModel
from basicsr.utils import get_root_logger
from torch.utils.data import DataLoader

from gsm_plugin.errors import UserError
from gsm_plugin.models.guarded_step import TrainingDiverged
from gsm_plugin.models.validation import ValidationSet
from gsm_plugin.training import state as training_state
from gsm_plugin.training.checkpoints.store import CheckpointStore
from gsm_plugin.training.data_order import Position, TrainingData
from gsm_plugin.training.loop_options import LoopOptions
from gsm_plugin.training.progress import Progress, scores_of
from gsm_plugin.training.randomness import seed_all
from gsm_plugin.training.resuming import choose_good_state
from gsm_plugin.training.sample_pictures import show_sample
from gsm_plugin.training.stopping import StopReason, StopRequests, StopTraining

_STEP = 3
_MAX_ROLLBACKS = 3


@dataclass(frozen=True)
class Parts:
    """What the loop works with."""

    model: BaseModel
    data: TrainingData
    val_loaders: list[DataLoader]
    store: CheckpointStore
    progress: Progress
    stop: StopRequests


class TrainingLoop:
    """Trains a model of BasicSR's.

    A checkpoint is made before each validation. A run that goes on from it does the validation first, so that none is
    lost, whenever the run before stopped.

    Args:
        parts: What it works with.
        options: What it reads from the option file.
        rank: Number of this process; the first one writes.
        seed: The seed of the run.
        at: Where the training is; moves on with it.
        run: What describes the run in its checkpoints.
    """

    def __init__(self, parts: Parts, options: LoopOptions, rank: int, seed: int, at: Position, run: Mapping):
        self.parts = parts
        self._options = options
        self._rank = rank
        self._seed = seed
        self.at = at
        self._run = run
        # Whatever is there now is saved, or is the beginning.
        self._saved_at = at.iteration
        self._save_is_due = False

    def run(self) -> StopReason | None:
        """Trains to the end, or until it is asked to stop; then a checkpoint is there.

        Returns:
            Why it stopped, or None at the end.

        Raises:
            UserError: A checkpoint cannot be written, or the training diverges.
        """
        try:
            if 0 < self.at.iteration < self._options.iterations.total_iter and self._validation_is_due():
                self._validate()
            while self.at.iteration < self._options.iterations.total_iter:
                self._run_epoch()
            self._finish()
        except StopTraining as stopped:
            return stopped.reason
        return None

    def _run_epoch(self) -> None:
        parts, at = self.parts, self.at
        for batch in parts.progress.timed(self._batches()):
            at.iteration += 1
            at.samples += parts.data.batches_in_order.samples_at_once
            try:
                self._train_on(batch)
            except TrainingDiverged as error:
                self._roll_back(error)
                return
            self._tell_and_save()
            if at.iteration >= self._options.iterations.total_iter:
                return
            if self._validation_is_due():
                self._validate()
        at.epoch, at.samples = at.epoch + 1, 0

    def _batches(self) -> Iterator[dict]:
        """The batches of the rest of an epoch; where one cannot be read, what is trained is saved first."""
        try:
            yield from self.parts.data.batches(self.at)
        except Exception:
            # other processes, which go on, would wait for this one
            if self._is_between_steps() and not self.parts.model.opt['dist']:
                self._save()
            raise

    def _train_on(self, batch: dict) -> None:
        model, at = self.parts.model, self.at
        seed_all(_STEP, self._seed, at.rollbacks, at.iteration, self._rank)
        model.update_learning_rate(at.iteration, warmup_iter=self._options.iterations.warmup_iter)
        model.feed_data(batch)
        model.optimize_parameters(at.iteration)
        self.parts.progress.iteration_done()

    def _tell_and_save(self) -> None:
        model, iteration = self.parts.model, self.at.iteration
        if iteration % self._options.logger.print_freq == 0:
            numbers = {**model.get_current_log(), **training_state.gradient_norms(model)}
            self.parts.progress.tell(self.at, model.get_current_learning_rate(), numbers)
        if iteration % self._options.logger.save_checkpoint_freq == 0 or self._asks_for_checkpoint():
            self._save_is_due = True
        if not self._is_between_steps():
            # The gradients added up so far are in no checkpoint; the next step comes soon.
            return
        reason = self.parts.stop.agreed_reason(model.device)
        if self._save_is_due or reason is not None:
            self._save()
        if reason is not None:
            raise StopTraining(reason)

    def _save(self) -> None:
        """Makes a checkpoint, unless there is one of this iteration."""
        if self._saved_at == self.at.iteration:
            return
        files = training_state.network_files(self.parts.model, self.at.iteration)
        if self._rank == 0:
            state = training_state.capture(self.parts.model, self.at, self._run)
            self.parts.store.save(self.at.iteration, state, files)
            if state['is_good']:
                # One that is saved among skipped steps is no place to go back to, so the older ones stay.
                self.parts.store.thin_out(self.at.iteration)
            get_root_logger().info(f'Saved the networks and the training state of iteration {self.at.iteration}.')
        self._saved_at = self.at.iteration
        self._save_is_due = False

    def _finish(self) -> None:
        self._save()
        files = training_state.network_files(self.parts.model, 'latest')
        if self._rank == 0:
            self.parts.store.save_networks(files)
        if self._validation_is_due():
            self._validate()

    def _validate(self) -> None:
        iteration, model, val = self.at.iteration, self.parts.model, self._options.val
        save_img = val is not None and val.save_img
        is_saved = self._is_between_steps()
        if is_saved:
            # Whatever ends the run in a validation, long as it is or out of memory, costs no training.
            self._save()
        # The next run does again what is broken off. Several processes might not all break off in the same one.
        with self.parts.stop.breaking_off() if is_saved and not model.opt['dist'] else nullcontext():
            for number, loader in enumerate(self.parts.val_loaders):
                model.validation(loader, iteration, self.parts.progress.tb_logger, save_img)
                # a loader tells no more of its set than that it has items
                dataset = cast(ValidationSet, loader.dataset)
                self._keep_scores(dataset.opt['name'], is_first=number == 0)
                if self._options.keeping.sample_pictures and self._rank == 0:
                    folder = Path(model.opt['path']['visualization'])
                    show_sample(model, dataset, iteration, folder, self.parts.progress.tb_logger)

    def _keep_scores(self, name: str, is_first: bool) -> None:
        model, records = self.parts.model, self.parts.progress.records
        metrics = model.opt['val'].get('metrics')
        best = getattr(model, 'best_metric_results', {}).get(name)
        if not metrics or best is None:
            return
        if records is not None:
            flows = getattr(model, 'flow_results', {}).get(name, {})
            scores = scores_of(model.metric_results, metrics)
            records.write('validation', self.at.iteration, dataset=name, **scores, **flows)
        wanted = self._options.keeping.save_best
        if is_first and wanted is not None and self._rank == 0 and best[wanted]['iter'] == self.at.iteration:
            self.parts.store.save_networks(training_state.network_files(model, 'best'))
            get_root_logger().info(f'Saved the best networks so far ({wanted} {best[wanted]["val"]:.4f} on {name}).')

    def _roll_back(self, error: TrainingDiverged) -> None:
        if self._options.train.on_divergence != 'rollback':
            # the weights are those of the last good step
            self._save()
            raise UserError(f'{error} Its weights at the last good step are saved.') from error
        diverged, times = self.at.iteration, self.at.rollbacks + 1
        found = choose_good_state(self.parts.store, self._rank)
        if found is None or times > _MAX_ROLLBACKS:
            why = 'there is no checkpoint to go back to' if found is None else f'it went back {_MAX_ROLLBACKS} times'
            raise UserError(f'{error} No rollback: {why}.') from error
        training_state.restore(self.parts.model, found.content)
        vars(self.at).update(vars(training_state.position_of(found.content)) | {'rollbacks': times})
        self._saved_at, self._save_is_due = self.at.iteration, False
        self.parts.progress.go_back_to(self.at.iteration)
        records = self.parts.progress.records
        if records is not None:
            records.write('rollback', self.at.iteration, from_iter=diverged, times=times)
            get_root_logger().warning(
                f'Diverged at iteration {diverged}: back to {found.path}, and on with other data (rollback {times}).'
            )

    def _asks_for_checkpoint(self) -> bool:
        model = self.parts.model
        return hasattr(model, 'checkpoint_is_due') and model.checkpoint_is_due(self.at.iteration)

    def _is_between_steps(self) -> bool:
        at, options = self.at.iteration, self._options
        return at % options.accumulate_iter == 0 or at >= options.iterations.total_iter

    def _validation_is_due(self) -> bool:
        at, val = self.at.iteration, self._options.val
        return val is not None and (at % val.val_freq == 0 or at >= self._options.iterations.total_iter)
