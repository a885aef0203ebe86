"""The keys of an option file that the training loop reads, and their checks."""

from collections.abc import Iterator
from dataclasses import dataclass

from gsm_plugin.compat import UserError
from gsm_plugin.options.known_keys import LOOP_KEYS
from gsm_plugin.options.reading import look_up

ON_DIVERGENCE = ('stop', 'rollback')


@dataclass(frozen=True)
class LoopOptions:
    """The loop's part of an option file."""

    total_iter: int
    warmup_iter: int
    accumulate_iter: int
    max_hours: float | None
    on_divergence: str
    print_freq: float
    save_checkpoint_freq: float
    keep_last: int | None
    keep_every: int | None
    save_best: str | None
    sample_pictures: bool
    val_freq: float | None
    save_img: bool
    deterministic: bool

    @classmethod
    def read(cls, options: dict) -> 'LoopOptions':
        """Reads and checks them.

        Args:
            options: A training's option file, of which BasicSR's own keys are checked already.

        Raises:
            UserError: A value is wrong.
        """
        train, logger, val = options['train'], options['logger'], options.get('val') or {}
        read = cls(
            total_iter=int(train['total_iter']),
            warmup_iter=train.get('warmup_iter', -1),
            accumulate_iter=train.get('accumulate_iter') or 1,
            max_hours=train.get('max_hours'),
            on_divergence=train.get('on_divergence') or 'stop',
            print_freq=logger['print_freq'],
            save_checkpoint_freq=logger['save_checkpoint_freq'],
            keep_last=logger.get('keep_last'),
            keep_every=logger.get('keep_every'),
            save_best=logger.get('save_best'),
            sample_pictures=logger.get('sample_pictures') or False,
            val_freq=val.get('val_freq'),
            save_img=val.get('save_img', False),
            deterministic=options.get('deterministic') or False,
        )
        read._check(options)
        return read

    def _check(self, options: dict) -> None:
        _check_positive('train:max_hours', self.max_hours, int | float, 'a number of hours above 0')
        _check_positive('logger:keep_last', self.keep_last, int, 'a whole number from 1 up')
        _check_positive('logger:keep_every', self.keep_every, int, 'a whole number from 1 up')
        if self.on_divergence not in ON_DIVERGENCE:
            raise UserError(f'train:on_divergence is {self.on_divergence!r}; set {" or ".join(ON_DIVERGENCE)}.')
        for key, value in (('deterministic', self.deterministic), ('logger:sample_pictures', self.sample_pictures)):
            if not isinstance(value, bool):
                raise UserError(f'{key} is {value!r}; it must be true or false.')
        metrics = look_up(options, 'val:metrics') or {}
        if self.save_best is not None and self.save_best not in list(metrics):
            known = f'one of {", ".join(metrics)}' if metrics else 'a metric, and add it to val:metrics'
            raise UserError(f'logger:save_best is {self.save_best!r}, which val:metrics does not have; set {known}.')
        if self.save_best is not None and not any(key.startswith('val') for key in options['datasets']):
            raise UserError('logger:save_best needs a validation set; add datasets:val, or take save_best out.')


def what_basicsr_leaves_out(options: dict) -> Iterator[str]:
    """Sentences on what an option file asks for and BasicSR's own loop does not do, for scripts that call it.

    Args:
        options: A training's option file.
    """
    asked = [key for key in LOOP_KEYS if look_up(options, key)]
    if asked:
        cure = 'run basicsr train, or call gsm_plugin.train_pipeline'
        yield f"BasicSR's own loop does not know {', '.join(asked)}; {cure}."
    every, group = options['logger']['save_checkpoint_freq'], options['train'].get('accumulate_iter') or 1
    if every % group:
        yield (
            f'logger:save_checkpoint_freq is {every}, no multiple of train:accumulate_iter ({group}); a run that '
            f"BasicSR's own loop resumes would lack the gradients added up so far, so set a multiple."
        )


def _check_positive(key: str, value: object, kind: type, meaning: str) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, kind) or not value > 0:
        raise UserError(f'{key} is {value!r}; it needs {meaning}, or ~ for none.')
