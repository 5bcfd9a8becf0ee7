"""How much of a window one worker takes, while other programs, or workers that it cannot talk to, use the limit, too.

What the vendor counted beyond our own calls, strangers sent. They will send as much in the next window, so that much is
left to them, and a little more, so that their growth shows before anybody is refused.
"""

from __future__ import annotations

import math

# Part of the limit, and number of calls at least, that stays free when strangers are about.
_SPARE, _LEAST_SPARE = 0.04, 2.5
# After a refusal; of what is missing or left over, by window; of the limit, when all of it was used up.
_AFTER_REFUSAL, _STEP, _GIVE_WAY = 0.9, 0.5, 0.1
# Growth by window, of the limit, for everybody.
_FAIR = 0.0025
_FADING = 8


class Allowance:
    """The calls that one worker may send in a window.

    Args:
        share: Part of the limit that may be used at most.

    Attributes:
        strangers: Calls of others that are expected in the window.
    """

    def __init__(self, share: float) -> None:
        self.external_calls = 0
        self._share = share
        self._calls = math.inf
        self._whole = 0
        self._carried = 0.0

    def cap(self, limit: int) -> int:
        """Calls that may be sent in this window; at least one, so that every worker learns."""
        most = math.floor(self._share * limit + 1e-9)
        return max(most if math.isinf(self._calls) else min(most, self._whole), 1)

    def reckon(self, limit: int, *, counted: int, own: int, refused: int) -> None:
        """Set the allowance of the next window by what happened in this one.

        Args:
            limit: Calls per window.
            counted: Calls that the vendor counted.
            own: Calls that we sent.
            refused: How many of these were refused.
        """
        # They fade slowly: of a window in which we sent little we saw little.
        self.external_calls = max(counted - own, self.external_calls - 1 - self.external_calls // _FADING, 0)
        landed = max(own - refused, 0)
        most = self._share * limit
        ours = min(float(max(landed, 1)), most) if math.isinf(self._calls) else self._calls
        if refused:
            self._calls = _AFTER_REFUSAL * landed
        elif self.external_calls:
            self._calls = ours + self._change(limit, max(counted, landed + self.external_calls), landed)
        else:
            self._calls = math.inf
        if self._calls >= most:
            self._calls = math.inf
        else:
            self._calls = max(self._calls, 1.0)
            # Of a fraction of a call some windows get one more, so that small limits are shared evenly, too.
            exact = self._calls + self._carried
            self._whole = math.floor(exact)
            self._carried = exact - self._whole

    def _change(self, limit: int, used: int, landed: int) -> float:
        """In proportion to what we use, so that workers that take each other for strangers share what is free.

        And a little more for everybody, so that one who came late gets a part.
        """
        room = limit - max(limit * _SPARE, _LEAST_SPARE) - used
        if used >= limit:
            room -= _GIVE_WAY * limit
        return _STEP * room * landed / used + _FAIR * limit
