"""The model class of recurrent video super-resolution networks: BasicSR's, with what it lacks."""

import warnings
from collections import OrderedDict
from collections.abc import Callable
from contextlib import nullcontext
from functools import reduce
from pathlib import Path
from typing import ClassVar, cast

import torch
from basicsr.models.video_recurrent_model import VideoRecurrentModel
from basicsr.utils import get_root_logger
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader
from tqdm import tqdm

from gsm_plugin.inference.restorer import Restorer
from gsm_plugin.inference.watching import watching
from gsm_plugin.layers.diagnostics import relative_distance
from gsm_plugin.layers.precision import policy_for
from gsm_plugin.metrics.flow_health import FlowHealth
from gsm_plugin.models import finite_scores, flow_validation, validation
from gsm_plugin.models.flow_training import (
    FLOW_NETWORK,
    FlowReference,
    FlowTraining,
    can_estimate_flows,
    numbers_of,
    without_flow_rate,
)
from gsm_plugin.models.freezing import freeze, keep_flow_network
from gsm_plugin.models.guarded_step import GuardedStep
from gsm_plugin.models.model_options import check_device, flow_lr_mul, handling_of, read_train, read_val
from gsm_plugin.models.validation import ScalarLogger, ValidationSet
from gsm_plugin.options.declared.train_section import Train
from gsm_plugin.options.declared.val_section import Val
from gsm_plugin.weights.loading import load_weights


class GSMModel(VideoRecurrentModel):
    """Trains, validates and tests a network that turns a clip (b, t, c, h, w) into (b, t, c, h * scale, w * scale).

    Beyond `VideoRecurrentModel`: it runs on the CPU as on CUDA, validates the averaged weights, whole or in tiles, on
    any number of sets with or without ground truth, trains in mixed precision and with accumulated gradients, skips
    steps that would ruin the weights, and keeps the flow network as it was loaded, or trains it from an iteration on
    and while that does its flows no harm. Validation is in `val: precision`, float32 unless told otherwise,
    whatever the training is in.

    Args:
        opt: The option dictionary of BasicSR's pipelines; `OPTIONS` declares what is read beside BasicSR's own keys.

    Attributes:
        metric_results: The last validated set: by folder a table (frames, metrics), in which values that are no numbers
            are replaced by the mean of the others. The same in all processes.
        best_metric_results: By set and metric the best mean so far and its iteration, as in BasicSR.
        flow_results: By set, means over its clips of what the last validation measured of their flows.

    Raises:
        UserError: An option is wrong, or the weights cannot be loaded.
    """

    OPTIONS: ClassVar[dict] = {('train',): Train, ('val',): Val}

    def __init__(self, opt: dict):
        check_device(opt)
        self._val = read_val(opt)
        self.flow_results: dict[str, dict[str, float]] = {}
        if opt['is_train']:
            self._train = read_train(opt)
            self._flow_lr_mul = flow_lr_mul(opt, self._train)
            # BasicSR has no word for none; what is left out of the training needs no rate of its own
            opt['train']['flow_lr_mul'] = self._flow_lr_mul or 1
        else:
            opt['path'].setdefault('param_key_g', 'params_ema' if self._val.use_ema else 'params')
        self._waiting_group: distributed.ProcessGroup | None = None
        self._may_be_best = True
        self._sets_without_gt: set[str] = set()
        super().__init__(opt)

    def model_to_device(self, net: nn.Module) -> nn.Module:
        """Puts a network on the device and wraps it for several processes; what is frozen is out by then."""
        if self.is_train:
            if self._train.freeze:
                freeze(net, self._train.freeze)
            if not self._flow_lr_mul:
                keep_flow_network(net)
        return super().model_to_device(net)

    def load_network(self, net: nn.Module, load_path: str, strict: bool = True, param_key: str | None = 'params'):
        """Loads weights in any of the usual layouts and says what was taken; see `load_weights`."""
        load_weights(self.get_bare_model(net), load_path, strict, param_key)

    def setup_optimizers(self):
        """Sets up BasicSR's optimizer, guarded against steps that would ruin the weights, and the flow network's part.

        `net_flow_reference` is a network of the model, so that training states carry it.
        """
        options, network = self._train, self.get_bare_model(self.net_g)
        trains_flows = any(value.requires_grad for name, value in network.named_parameters() if FLOW_NETWORK in name)
        with nullcontext() if trains_flows else without_flow_rate(get_root_logger()):
            super().setup_optimizers()
        self._policy = policy_for('training', options.precision, options.plain_autocast)
        scaler = torch.amp.GradScaler(self.device.type, enabled=self._policy.scales_loss)
        self._guard = GuardedStep(
            self.optimizer_g,
            scaler,
            network,
            options.grad_clip_norm,
            options.gradient_limit,
            options.max_skipped_steps,
        )
        reference = None
        if options.flow_tolerance is not None and trains_flows and can_estimate_flows(network):
            reference = self.net_flow_reference = FlowReference(network.get_submodule(FLOW_NETWORK)).to(self.device)
        self._flows = FlowTraining(network, options.fix_flow, options.flow_limit, options.flow_tolerance, reference)

    @property
    def gradient_norms(self) -> dict[str, float]:
        """Norms of the gradient before clipping, at the step just taken or skipped; nothing between steps.

        `grad_norm` is that of all but the flow network, `flow_grad_norm` the flow network's, where it is trained.
        """
        norms = self._guard.norms
        found = {'grad_norm': norms['rest']} if norms else {}
        return found | ({'flow_grad_norm': norms['flow network']} if norms.get('flow network') else {})

    def checkpoint_is_due(self, current_iter: int) -> bool:
        """Whether the next iteration may ruin what is good now: it is the first that trains the flow network."""
        return self._flows.is_freed_after(current_iter)

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
            TrainingDiverged: Too many steps in a row were bad.
        """
        every = self._train.accumulate_iter
        steps_now = current_iter % every == 0
        with self._gradient_exchange(steps_now), self._policy.multiplying_float32(self.device):
            with self._policy.autocasting(self.device):
                output = self.net_g(self.lq)
            self.output = output.to(self._policy.output)
            losses = self._losses()
            self._guard.backward(reduce(torch.add, losses.values()) / every)
        self._flows.hold(current_iter)
        possible = self._flows.flows_are_possible()
        if steps_now:
            taken = self._guard.step(current_iter, possible)
            if taken and self.ema_decay > 0:
                self.model_ema(decay=self.ema_decay)
            self._put_flow_network_back_if_worse(current_iter, at_once=not taken)
        self.log_dict = self.reduce_loss_dict(losses)
        self.log_dict['skipped_steps'] = self._guard.skipped.total()
        if current_iter % self.opt['logger']['print_freq'] == 0:
            self.log_dict |= self._diagnose()

    def restore(
        self,
        clip: Tensor,
        on_tile: Callable[[int, int], None] | None = None,
        flows: flow_validation.Flows | None = None,
    ) -> Tensor:
        """Runs the network that is validated, by the options of `val`.

        Args:
            clip: (b, t, c, h, w) in [0, 1], on any device.
            on_tile: Called with the number of tiles done and of all.
            flows: Makes the flows that the network is to take; None for its own.

        Returns:
            (b, t, c, h * scale, w * scale), float32, on the CPU.
        """
        network, val = self._validated_network, self._val

        def run(part: Tensor) -> Tensor:
            return network(part) if flows is None else network(part, flows(network, part))

        # without tiles and continued sides, no scale is needed
        restorer = Restorer(
            run,
            self.opt.get('scale', 1),
            handling_of(val),
            self.device,
            val.precision,
            plain_autocast=val.plain_autocast,
        )
        with validation.evaluating(network):
            return restorer.restore(clip, on_tile).cpu()

    @property
    def _validated_network(self) -> nn.Module:
        has_ema = hasattr(self, 'net_g_ema') and self._val.use_ema
        return self.net_g_ema if has_ema else self.get_bare_model(self.net_g)

    def test(self):
        """Restores the clip that was fed; with `center_frame_only`, `output` is its centre frame (b, c, H, W)."""
        self.output = self.restore(self.lq)
        if self._val.center_frame_only:
            self.output = self.output[:, self.output.shape[1] // 2]

    def nondist_validation(
        self, dataloader: DataLoader, current_iter: int | str, tb_logger: ScalarLogger | None, save_img: bool
    ):
        """The same as `dist_validation`, which needs no other processes."""
        self.dist_validation(dataloader, current_iter, tb_logger, save_img)

    def dist_validation(
        self, dataloader: DataLoader, current_iter: int | str, tb_logger: ScalarLogger | None, save_img: bool
    ):
        """Scores a set, shared out by clips; saves the images if asked, and logs the results.

        Args:
            dataloader: The set's loader; the set itself is read, clip by clip.
            current_iter: The iteration, or a test's name.
            tb_logger: TensorBoard's logger or None.
            save_img: Whether to save images.
        """
        # a loader tells no more of its set than that it has items
        dataset = cast(ValidationSet, dataloader.dataset)
        name = dataset.opt['name']
        scores, flow_numbers, ruined = self._score_own_clips(dataset, current_iter, save_img)
        if self.opt['dist'] and self._waiting_group is None:
            self._waiting_group = validation.patient_group()
        self._may_be_best = not validation.in_any_process(ruined, self._waiting_group)
        tables = finite_scores.fill_gaps(validation.gather_tables(scores, self._waiting_group))
        if tables:
            self._initialize_best_metric_results(name)
            self.metric_results = tables
            self._log_validation_metric_values(current_iter, name, tb_logger)
        self._keep_flow_numbers(flow_numbers, name, current_iter, tb_logger)

    def _score_own_clips(
        self, dataset: ValidationSet, current_iter: int | str, save_img: bool
    ) -> tuple[dict, dict, bool]:
        """By number of the clip its folder and scores, and numbers of its flows; and whether outputs were ruined."""
        val = self._val
        clips = validation.clips_of_this_process(dataset)
        total = validation.count_frames(dataset, clips, val.center_frame_only)
        scores, flow_numbers, ruined = {}, {}, False
        with tqdm(total=total, unit='frame', disable=self.opt['rank'] != 0) as bar:
            for index in clips:
                clip = validation.open_clip(dataset, index, val.center_frame_only)
                bar.set_description(f'{dataset.opt["name"]}: {clip.folder}')
                with watching(self._validated_network, bar.set_postfix_str):
                    given = self.restore(clip.lq[None], lambda done, of: bar.set_postfix_str(f'tile {done}/{of}'))[0]
                where = f'{dataset.opt["name"]}, clip {clip.folder}'
                output = finite_scores.check_output(given, where, self.is_train)
                ruined |= output is not given
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
                flow_numbers[index] = self._measure_flows(clip, rows)
                torch.cuda.empty_cache()
        return scores, flow_numbers, ruined

    def _measure_flows(self, clip: validation.Clip, rows: list[list[float]]) -> dict[str, float]:
        """Numbers of a clip's flows, and with `flow_worth` of the first metric with other flows."""
        network = self._validated_network
        if not can_estimate_flows(network) or len(clip.lq) < 2:
            return {}
        with validation.evaluating(network):
            health = flow_validation.measure_clip(network, clip.lq.to(self.device))
        numbers = flow_validation.health_numbers(health)
        if self._val.flow_worth and self._val.metrics and rows and rows[0]:
            first = next(iter(self._val.metrics.items()))
            for title, flows in flow_validation.OTHER_FLOWS.items():
                output = self.restore(clip.lq[None], flows=flows)[0]
                values = [value for (value,) in validation.score_clip(clip, output, dict([first]), None)]
                numbers[f'{first[0]}_{title}'] = sum(values) / len(values)
        return numbers

    def _keep_flow_numbers(self, own: dict, name: str, current_iter: int | str, tb_logger: ScalarLogger | None) -> None:
        numbers = self.flow_results[name] = flow_validation.mean_numbers(own, self._waiting_group)
        flow_validation.tell(name, numbers)
        if numbers and self.is_train:
            measures = [numbers[key] for key in ('flow_mean', 'flow_max', 'flow_error', 'flow_error_still')]
            self._flows.warn_of_flows_worse_than_none(FlowHealth(*measures), f'in {name}')
        if tb_logger:
            for key, value in numbers.items():
                validation.ScalarsOfSet(tb_logger, name).add_scalar(key, value, current_iter)

    def _put_flow_network_back_if_worse(self, current_iter: int, at_once: bool) -> None:
        if self._flows.check(current_iter, at_once):
            averaged = (self.net_g_ema,) if self.ema_decay > 0 else ()
            self._flows.put_back(current_iter, self.optimizer_g, self.get_bare_model(self.net_g), *averaged)

    def _diagnose(self) -> dict[str, float]:
        """Numbers that tell whether a part of the network dies, which the loss need not tell."""
        network = self.get_bare_model(self.net_g)
        numbers: dict[str, float] = {}
        health = self._flows.health()
        if health is not None:
            numbers |= numbers_of(health)
            self._flows.warn_of_flows_worse_than_none(health, 'in this batch')
        if hasattr(network, 'diagnose'):
            numbers |= network.diagnose()
        if self.ema_decay > 0:
            numbers['ema_distance'] = relative_distance(network, self.net_g_ema)
        return numbers

    def _log_validation_metric_values(self, current_iter: int | str, dataset_name: str, tb_logger: ScalarLogger | None):
        scalars = None if tb_logger is None else validation.ScalarsOfSet(tb_logger, dataset_name)
        super()._log_validation_metric_values(current_iter, dataset_name, scalars)

    def _update_best_metric_result(self, dataset_name: str, metric: str, val: float, current_iter: int | str):
        if self._may_be_best:
            super()._update_best_metric_result(dataset_name, metric, val, current_iter)

    def _losses(self) -> OrderedDict[str, Tensor]:
        losses: OrderedDict[str, Tensor] = OrderedDict()
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

    def _saver(self, dataset: ValidationSet, clip: validation.Clip, current_iter: int | str) -> validation.Save:
        folder = Path(self.opt['path']['visualization'], dataset.opt['name'], clip.folder)
        ending = current_iter if self.is_train else self._val.suffix or self.opt['name']
        return validation.save_to(folder, str(ending))

    def _say_once_without_gt(self, name: str) -> None:
        if name not in self._sets_without_gt:
            get_root_logger().warning(f'{name} has no ground truth, so it is not scored.')
        self._sets_without_gt.add(name)
