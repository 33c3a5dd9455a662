"""Seeds made from other numbers."""

from __future__ import annotations

_WORD = 0xFFFFFFFFFFFFFFFF


def mix_seed(*parts: int) -> int:
    """One non-negative 63-bit seed from several numbers (the finaliser of SplitMix64, chained).

    Native code does the same where a seed is derived on the device: `step_seed` in
    csrc/kernels/ltgnn_bpr_step.h.

    Example:
        >>> import ltgnn
        >>> ltgnn.ops.mix_seed(1, 2) != ltgnn.ops.mix_seed(2, 1)
        True
    """
    state = 0
    for part in parts:
        state = (state ^ (part & _WORD)) + 0x9E3779B97F4A7C15 & _WORD
        state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 & _WORD
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB & _WORD
        state ^= state >> 31
    return state >> 1
