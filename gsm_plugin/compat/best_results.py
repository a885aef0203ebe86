"""BasicSR takes the newer of two equal scores for the better one, and a first score that is infinite or none too.

So the best networks of a training that does not learn would be the newest ones.
"""

import functools
import math
from types import ModuleType


def patch(base_model: ModuleType) -> None:
    """Keeps the older of equal scores, and takes none that is no number."""
    original = base_model.BaseModel._update_best_metric_result

    @functools.wraps(original)
    def _update_best_metric_result(self, dataset_name, metric, val, current_iter):
        best = self.best_metric_results[dataset_name][metric]
        is_better = val > best['val'] if best['better'] == 'higher' else val < best['val']
        if is_better and math.isfinite(val):
            best['val'], best['iter'] = val, current_iter

    base_model.BaseModel._update_best_metric_result = _update_best_metric_result
