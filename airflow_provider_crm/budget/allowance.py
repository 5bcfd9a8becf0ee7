"""Leave a part of each window to others on the same limit: other programs, or workers on another store.

Calls that the vendor counted beyond our own came from other programs on the same key. As many are expected in the next
window, so that many are left to them, and a few more, so that their growth shows before a call is refused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

# Part of the limit, and number of calls at least, that stays free while other programs call.
_SPARE, _LEAST_SPARE = 0.04, 2.5
# After a refusal; of what is missing or left over, by window; of the limit, when all of it was used up.
_AFTER_REFUSAL, _STEP, _GIVE_WAY = 0.9, 0.5, 0.1
# Growth by window, of the limit, for every worker.
_FAIR = 0.0025
_FADING = 8


@dataclass(frozen=True, slots=True)
class Allowance:
    """The calls that one worker may send in a window.

    Attributes:
        share: Part of the limit that may be used at most.
        external_calls: Calls of other programs that are expected in the window.
        calls: Calls that may be sent, as an exact number; infinite while no other program calls.
        whole_calls: The same, as the whole number for this window.
        carried: The fraction of a call that is left over for the next window.
    """

    share: float
    external_calls: int = 0
    calls: float = math.inf
    whole_calls: int = 0
    carried: float = 0.0

    def cap(self, limit: int) -> int:
        """Return the calls that may be sent in this window; at least one, so that every worker learns."""
        most = math.floor(self.share * limit + 1e-9)
        return max(most if math.isinf(self.calls) else min(most, self.whole_calls), 1)

    def after_window(self, limit: int, *, counted: int, own: int, refused: int) -> Allowance:
        """Return the allowance of the next window by what happened in this one.

        Args:
            limit: Calls per window.
            counted: Calls that the vendor counted.
            own: Calls that we sent.
            refused: How many of these were refused.
        """
        # They fade slowly: of a window in which we sent little we saw little.
        external_calls = max(counted - own, self.external_calls - 1 - self.external_calls // _FADING, 0)
        landed = max(own - refused, 0)
        most = self.share * limit
        own_calls = min(float(max(landed, 1)), most) if math.isinf(self.calls) else self.calls
        if refused:
            calls = _AFTER_REFUSAL * landed
        elif external_calls:
            calls = own_calls + _change(limit, max(counted, landed + external_calls), landed)
        else:
            calls = math.inf
        if calls >= most:
            return replace(self, external_calls=external_calls, calls=math.inf)
        calls = max(calls, 1.0)
        # Of a fraction of a call some windows get one more, so that small limits are shared evenly, too.
        exact = calls + self.carried
        whole_calls = math.floor(exact)
        return Allowance(self.share, external_calls, calls, whole_calls, exact - whole_calls)


def _change(limit: int, used: int, landed: int) -> float:
    """Return the change in proportion to what we use: workers that see each other as other programs share what is free.

    Every worker gets a little more, so that one that came late gets a part.
    """
    room = limit - max(limit * _SPARE, _LEAST_SPARE) - used
    if used >= limit:
        room -= _GIVE_WAY * limit
    return _STEP * room * landed / used + _FAIR * limit
