"""How sure a share of successes is. Pure."""

from __future__ import annotations

import math
from statistics import NormalDist


def wilson_interval(hits: int, cases: int, confidence: float = 0.95) -> tuple[float, float]:
    """The Wilson score interval of a share of successes.

    Based on E. B. Wilson, Probable inference, the law of succession, and statistical inference,
    Journal of the American Statistical Association 22 (1927), pages 209-212.

    Args:
        hits: Successes.
        cases: Trials.
        confidence: How often such an interval holds the true share, in (0, 1).

    Returns:
        Its lower and its upper end; all that is possible where there was no trial.
    """
    if cases == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = hits / cases
    center = share + z * z / (2 * cases)
    reach = z * math.sqrt(share * (1 - share) / cases + z * z / (4 * cases * cases))
    scale = 1 + z * z / cases
    # At the ends of what is possible, rounding would miss by a hair.
    low = 0.0 if hits == 0 else (center - reach) / scale
    high = 1.0 if hits == cases else (center + reach) / scale
    return low, high
