"""Everything that a training has, taken out of BasicSR's model classes and put back."""

from collections.abc import Collection, Mapping
from functools import partial

import torch
from basicsr.models.base_model import BaseModel
from torch import Tensor, nn

from gsm_plugin.errors import UserError
from gsm_plugin.models.guarded_step import STATE_KEY
from gsm_plugin.training.checkpoints.sealed_file import SEALED_KEY
from gsm_plugin.training.data_order import Position
from gsm_plugin.weights.self_description import describe_network


def capture(model: BaseModel, position: Position, run: Mapping) -> dict:
    """A training state: BasicSR's, and in the same file what BasicSR leaves out.

    There is no state of random generators, because the loop seeds them by the iteration.

    Args:
        model: The model, between two steps of its optimisers.
        position: Where the training is.
        run: What describes the run, plain values.
    """
    optimizers = [optimizer.state_dict() for optimizer in model.optimizers]
    return {
        'epoch': position.epoch,
        'iter': position.iteration,
        'optimizers': optimizers,
        'schedulers': [scheduler.state_dict() for scheduler in model.schedulers],
        SEALED_KEY: 'gsm_plugin 1',
        'samples': position.samples,
        'rollbacks': position.rollbacks,
        'is_good': not any(one.get(STATE_KEY, {}).get('skipped_in_a_row') for one in optimizers),
        'networks': {name: _on_cpu(network.state_dict()) for name, network in _networks(model).items()},
        'best_metric_results': _plain(getattr(model, 'best_metric_results', {})),
        'run': dict(run),
    }


def is_complete(state: Mapping) -> bool:
    """Whether a state has everything; one of BasicSR's needs the networks beside it, and begins its epoch again."""
    return SEALED_KEY in state


def position_of(state: Mapping) -> Position:
    """Where a training was when the state was saved."""
    return Position(state['iter'], state['epoch'], state.get('samples', 0), state.get('rollbacks', 0))


def restore(model: BaseModel, state: Mapping, ignored: Collection[str] = ()) -> list[str]:
    """Puts a training state into a model.

    Args:
        model: The model.
        state: What `capture` or BasicSR made.
        ignored: Networks that keep the weights they have, as `network_g`.

    Returns:
        A sentence for everything that the model has and the state lacks, or the other way round.

    Raises:
        UserError: They do not fit.
    """
    try:
        notes = _restore_networks(model, state.get('networks', {}), ignored) if is_complete(state) else []
        model.resume_training(state)
    except (RuntimeError, ValueError, KeyError, AssertionError) as error:
        reason = ' '.join(str(error).split())[:200]
        raise UserError(
            f'The training state of iteration {state["iter"]} is of another network or optimiser ({reason}); set '
            f'network_g and train as they were, or start anew from its weights by path:pretrain_network_g.'
        ) from error
    if state.get('best_metric_results'):
        model.best_metric_results = state['best_metric_results']
    return notes


def network_files(model: BaseModel, iteration: int | str) -> dict[str, dict]:
    """What the model's own `save` writes into files of networks, by their names, as BasicSR lays them out.

    Files of `net_g` say under `metadata` what shapes do not tell of their network; BasicSR passes it over.

    Args:
        model: The model.
        iteration: The iteration, or a word, for the names.
    """
    files: dict[str, dict] = {}
    model.save_network = partial(_collect, model, files)
    model.save_training_state = lambda epoch, current_iter: None
    try:
        model.save(-1, iteration)
    finally:
        del model.save_network, model.save_training_state
    return files


def gradient_norms(model: BaseModel) -> dict[str, float]:
    """Norms of the gradient of the step just taken, before clipping, by name; none where there was no step."""
    if hasattr(model, 'gradient_norms'):
        return model.gradient_norms
    parameters = model.net_g.parameters() if hasattr(model, 'net_g') else []
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    return {'grad_norm': torch.nn.utils.get_total_norm(gradients).item()} if gradients else {}


def _restore_networks(model: BaseModel, saved: Mapping, ignored: Collection[str]) -> list[str]:
    notes = []
    own = _networks(model)
    for name, network in own.items():
        # network_g is net_g, and its average is net_g_ema.
        if f'network_{name.removeprefix("net_").removesuffix("_ema")}' in ignored:
            continue
        source = name if name in saved else name.removesuffix('_ema')
        if source not in saved:
            notes.append(f'The state has no {name}, so it stays as it was made.')
            continue
        if source != name:
            notes.append(f'The state has no {name}, so it starts from {source}.')
        network.load_state_dict(saved[source])
    notes += [f'The {name} of the state is not used.' for name in saved if name not in own]
    return notes


def _networks(model: BaseModel) -> dict[str, nn.Module]:
    found = {name: value for name, value in vars(model).items() if name.startswith('net_')}
    return {name: model.get_bare_model(value) for name, value in found.items() if isinstance(value, nn.Module)}


def _collect(
    model: BaseModel,
    files: dict[str, dict],
    net: nn.Module | list[nn.Module],
    net_label: str,
    current_iter: int | str,
    param_key: str | list[str] = 'params',
) -> None:
    """Stands in for `BaseModel.save_network`, which writes at once, in place, and goes on where it cannot."""
    networks = net if isinstance(net, list) else [net]
    keys = param_key if isinstance(param_key, list) else [param_key]
    weights = {key: _on_cpu(model.get_bare_model(one).state_dict()) for key, one in zip(keys, networks, strict=True)}
    content: dict[str, dict] = {**weights}
    if net_label == 'net_g' and 'network_g' in model.opt:
        content['metadata'] = describe_network(model.opt['network_g'], weights[keys[0]])
    files[f'{net_label}_{current_iter}.pth'] = content


def _on_cpu(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix('module.'): value.detach().cpu() for name, value in state.items()}


def _plain(results: Mapping) -> dict:
    """BasicSR's best results, whose values may be NumPy's, as numbers that are read without executing anything."""
    return {
        dataset: {name: {**one, 'val': float(one['val'])} for name, one in metrics.items()}
        for dataset, metrics in results.items()
    }
