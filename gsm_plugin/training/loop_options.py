"""What the training loop reads of an option file."""

from collections.abc import Iterator
from dataclasses import dataclass

from gsm_plugin.options.declared.run_sections import Logger, LoopLogger, LoopRun
from gsm_plugin.options.declared.sections import read_key
from gsm_plugin.options.declared.train_section import Iterations, LoopTrain, Train
from gsm_plugin.options.declared.val_section import LoopVal
from gsm_plugin.options.known_keys import loop_keys
from gsm_plugin.options.reading import look_up


@dataclass(frozen=True)
class LoopOptions:
    """The loop's part of an option file; `val` is None without such a section."""

    run: LoopRun
    iterations: Iterations
    train: LoopTrain
    accumulate_iter: int
    logger: Logger
    keeping: LoopLogger
    val: LoopVal | None

    @classmethod
    def read(cls, options: dict) -> 'LoopOptions':
        """Reads and checks it.

        Args:
            options: A training's option file.

        Raises:
            UserError: A value is wrong.
        """
        train, logger, val = options['train'], options['logger'], options.get('val')
        return cls(
            run=LoopRun.read(options, ''),
            iterations=Iterations.read(train, 'train:'),
            train=LoopTrain.read(train, 'train:'),
            accumulate_iter=read_key(Train, 'accumulate_iter', train, 'train:'),
            logger=Logger.read(logger, 'logger:'),
            keeping=LoopLogger.read(logger, 'logger:'),
            val=None if val is None else LoopVal.read(val, 'val:'),
        )


def what_basicsr_leaves_out(options: dict) -> Iterator[str]:
    """Sentences on what an option file asks for and BasicSR's own loop does not do, for scripts that call it.

    Args:
        options: A training's option file.
    """
    asked = [key for key in sorted(map(':'.join, loop_keys())) if look_up(options, key)]
    if asked:
        cure = 'run basicsr train, or call gsm_plugin.train_pipeline'
        yield f"BasicSR's own loop does not know {', '.join(asked)}; {cure}."
    read = LoopOptions.read(options)
    every, group = read.logger.save_checkpoint_freq, read.accumulate_iter
    if every % group:
        yield (
            f'logger:save_checkpoint_freq is {every:g}, no multiple of train:accumulate_iter ({group}); a run that '
            f"BasicSR's own loop resumes would lack the gradients added up so far, so set a multiple."
        )
