"""The model class of recurrent video super-resolution networks: BasicSR's, with what it lacks."""

import warnings
from collections import OrderedDict
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import ClassVar

import torch
from basicsr.models.video_recurrent_model import VideoRecurrentModel
from basicsr.utils import get_root_logger
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from gsm_plugin.inference.fitting import pad_frames, slide_window
from gsm_plugin.inference.flipping import average_with_reversed
from gsm_plugin.inference.tiling import run_tiled
from gsm_plugin.models import finite_scores, validation
from gsm_plugin.models.flow_warmup import FlowWarmUp
from gsm_plugin.models.freezing import freeze
from gsm_plugin.models.guarded_step import GuardedStep
from gsm_plugin.models.model_options import MODEL_OPTION_KEYS, TrainOptions, ValOptions, check_device
from gsm_plugin.models.precision import autocast, grad_scaler
from gsm_plugin.weights.loading import load_weights


class GSMModel(VideoRecurrentModel):
    """Trains, validates and tests a network that turns a clip (b, t, c, h, w) into (b, t, c, h * scale, w * scale).

    Beyond `VideoRecurrentModel`: it runs on the CPU as on CUDA, validates the averaged weights, whole or in tiles, on
    any number of sets with or without ground truth, trains in mixed precision and with accumulated gradients, skips
    steps that are not finite, and keeps the flow network fixed at first without changing the graph. Validation is in
    float32, whatever the precision of training.

    Args:
        opt: The option dictionary of BasicSR's pipelines; `OPTION_KEYS` describes what is read.

    Attributes:
        metric_results: The last validated set: by folder a table (frames, metrics), in which values that are no numbers
            are replaced by the mean of the others. The same in all processes.
        best_metric_results: By set and metric the best mean so far and its iteration, as in BasicSR.

    Raises:
        UserError: An option is wrong, or the weights cannot be loaded.
    """

    OPTION_KEYS: ClassVar[dict[str, str]] = MODEL_OPTION_KEYS

    def __init__(self, opt: dict):
        check_device(opt)
        self._val = ValOptions.read(opt)
        if opt['is_train']:
            self._train = TrainOptions.read(opt)
        else:
            opt['path'].setdefault('param_key_g', 'params_ema' if self._val.use_ema else 'params')
        self._waiting_group = None
        self._sets_without_gt = set()
        super().__init__(opt)

    def model_to_device(self, net: nn.Module) -> nn.Module:
        """Puts a network on the device and wraps it for several processes; what is frozen is out by then."""
        if self.is_train and self._train.freeze:
            freeze(net, self._train.freeze)
        return super().model_to_device(net)

    def load_network(self, net: nn.Module, load_path: str, strict: bool = True, param_key: str | None = 'params'):
        """Loads weights in any of the usual layouts and says what was taken; see `load_weights`."""
        load_weights(self.get_bare_model(net), load_path, strict, param_key)

    def setup_optimizers(self):
        """Sets up BasicSR's optimizer, guarded against steps that are not finite, and the flow warm-up."""
        super().setup_optimizers()
        scaler = grad_scaler(self._train.precision, self.device)
        self._guard = GuardedStep(self.optimizer_g, scaler, self._train.grad_clip_norm, self._train.max_skipped_steps)
        self._flow_warm_up = FlowWarmUp(self.net_g, self._train.fix_flow)

    @property
    def gradient_norm(self) -> float | None:
        """The norm of the gradient before clipping, at the step just taken or skipped; None between steps."""
        return None if self._guard.norm is None else self._guard.norm.item()

    def update_learning_rate(self, current_iter: int, warmup_iter: int = -1):
        """Sets the learning rate of an iteration; see BasicSR."""
        with warnings.catch_warnings():
            # PyTorch wants a step of the optimizer first; one that is accumulated, skipped or resumed comes later.
            warnings.filterwarnings('ignore', message='Detected call of `lr_scheduler.step', category=UserWarning)
            super().update_learning_rate(current_iter, warmup_iter)

    def optimize_parameters(self, current_iter: int):
        """Does the work of one iteration on the batch that was fed.

        Args:
            current_iter: The iteration, counted from 1; those divisible by `accumulate_iter` take a step.

        Raises:
            TrainingDiverged: Too many steps in a row were not finite.
        """
        every = self._train.accumulate_iter
        steps_now = current_iter % every == 0
        with self._gradient_exchange(steps_now):
            with autocast(self._train.precision, self.device):
                output = self.net_g(self.lq)
            self.output = output.float()
            losses = self._losses()
            self._guard.backward(sum(losses.values()) / every)
        self._flow_warm_up.hold(current_iter)
        if steps_now and self._guard.step(current_iter) and self.ema_decay > 0:
            self.model_ema(decay=self.ema_decay)
        self.log_dict = self.reduce_loss_dict(losses)
        self.log_dict['skipped_steps'] = self._guard.skipped

    def restore(self, clip: Tensor, on_tile: Callable[[int, int], None] | None = None) -> Tensor:
        """Runs the network that is validated, by the options of `val`.

        Args:
            clip: (b, t, c, h, w) in [0, 1], on any device.
            on_tile: Called with the number of tiles done and of all.

        Returns:
            (b, t, c, h * scale, w * scale), float32, on the CPU.
        """
        has_ema = hasattr(self, 'net_g_ema') and self._val.use_ema
        network = self.net_g_ema if has_ema else self.get_bare_model(self.net_g)

        def run(part: Tensor) -> Tensor:
            return network(part.to(self.device))

        if self._val.window is not None:
            run = slide_window(run, self._val.window)
        if (self._val.smallest_side, self._val.multiple_of) != (1, 1):
            run = pad_frames(run, self.opt['scale'], self._val.smallest_side, self._val.multiple_of)
        if self._val.flip_seq:
            run = average_with_reversed(run)
        with validation.evaluating(network):
            if self._val.tile is None:
                return run(clip).float().cpu()
            return run_tiled(run, clip, self._val.tile, self._val.tile_overlap, self.opt['scale'], on_tile)

    def test(self):
        """Restores the clip that was fed; with `center_frame_only`, `output` is its centre frame (b, c, H, W)."""
        self.output = self.restore(self.lq)
        if self._val.center_frame_only:
            self.output = self.output[:, self.output.shape[1] // 2]

    def nondist_validation(self, dataloader: DataLoader, current_iter: int | str, tb_logger: object, save_img: bool):
        """The same as `dist_validation`, which needs no other processes."""
        self.dist_validation(dataloader, current_iter, tb_logger, save_img)

    def dist_validation(self, dataloader: DataLoader, current_iter: int | str, tb_logger: object, save_img: bool):
        """Scores a set, shared out by clips; saves the images if asked, and logs the results.

        Args:
            dataloader: The set's loader; the set itself is read, clip by clip.
            current_iter: The iteration, or a test's name.
            tb_logger: TensorBoard's logger or None.
            save_img: Whether to save images.
        """
        dataset = dataloader.dataset
        name = dataset.opt['name']
        scores = self._score_own_clips(dataset, current_iter, save_img)
        if self.opt['dist'] and self._waiting_group is None:
            self._waiting_group = validation.patient_group()
        tables = finite_scores.fill_gaps(validation.gather_tables(scores, self._waiting_group))
        if tables:
            self._initialize_best_metric_results(name)
            self.metric_results = tables
            self._log_validation_metric_values(current_iter, name, tb_logger)

    def _score_own_clips(self, dataset: Dataset, current_iter: int | str, save_img: bool) -> dict:
        val = self._val
        clips = validation.clips_of_this_process(dataset)
        total = validation.count_frames(dataset, clips, val.center_frame_only)
        scores = {}
        with tqdm(total=total, unit='frame', disable=self.opt['rank'] != 0) as bar:
            for index in clips:
                clip = validation.open_clip(dataset, index, val.center_frame_only)
                bar.set_description(f'{dataset.opt["name"]}: {clip.folder}')
                output = self.restore(clip.lq[None], lambda done, of: bar.set_postfix_str(f'tile {done}/{of}'))[0]
                where = f'{dataset.opt["name"]}, clip {clip.folder}'
                output = finite_scores.check_output(output, where, self.is_train)
                save = self._saver(dataset, clip, current_iter) if save_img else None
                rows = []
                for values in validation.score_clip(clip, output, val.metrics, save):
                    rows.append(values)
                    bar.update()
                if val.metrics and clip.read_gt is not None:
                    finite_scores.tell_of_scores(where, clip.names, rows, val.metrics)
                    scores[index] = clip.folder, rows
                elif val.metrics:
                    self._say_once_without_gt(dataset.opt['name'])
                torch.cuda.empty_cache()
        return scores

    def _log_validation_metric_values(self, current_iter: int | str, dataset_name: str, tb_logger: object):
        scalars = tb_logger and validation.ScalarsOfSet(tb_logger, dataset_name)
        super()._log_validation_metric_values(current_iter, dataset_name, scalars)

    def _losses(self) -> OrderedDict[str, Tensor]:
        losses = OrderedDict()
        if self.cri_pix:
            losses['l_pix'] = self.cri_pix(self.output, self.gt)
        if self.cri_perceptual:
            # Its feature extractor knows images, not clips.
            content, style = self.cri_perceptual(self.output.flatten(0, 1), self.gt.flatten(0, 1))
            losses |= {key: loss for key, loss in (('l_percep', content), ('l_style', style)) if loss is not None}
        return losses

    def _gradient_exchange(self, wanted: bool):
        """Without DDP, or where the processes are to exchange gradients, nothing is to be done."""
        if wanted or not isinstance(self.net_g, DistributedDataParallel):
            return nullcontext()
        return self.net_g.no_sync()

    def _saver(self, dataset: Dataset, clip: validation.Clip, current_iter: int | str) -> Callable[[str, object], None]:
        folder = Path(self.opt['path']['visualization'], dataset.opt['name'], clip.folder)
        ending = current_iter if self.is_train else self._val.suffix or self.opt['name']
        return validation.save_to(folder, str(ending))

    def _say_once_without_gt(self, name: str) -> None:
        if name not in self._sets_without_gt:
            get_root_logger().warning(f'{name} has no ground truth, so it is not scored.')
        self._sets_without_gt.add(name)
