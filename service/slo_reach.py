"""How far back slices are kept that several objectives share, who look back over windows of their own."""

from __future__ import annotations

from typing import Final, NamedTuple


class Reach(NamedTuple):
    """How many slices back one book is asked for, by whoever shares it: in one evaluation, and in the one before."""

    evaluation: int = 0
    now: int = 0
    before: int = 0

    def asked(self, evaluation: int, slices: int) -> Reach:
        """With one more that asks."""
        if evaluation == self.evaluation:
            return self._replace(now=max(self.now, slices))
        return Reach(evaluation, slices, self.now)

    @property
    def slices(self) -> int:
        """So many are kept: who asks for few is not to take them from who asks for more."""
        return max(self.now, self.before)


NOBODY: Final = Reach()
"""Nobody has asked yet."""
