"""The order in which requests are scored. Knows no thread and no scorer.

Small requests are scored in batches, in order of arrival. Long ones are read in slices, one for up
to eight batches of small ones. So a small request waits for at most one slice, and one more for
every eight batches before it; and the long ones go on, however many small ones arrive.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from heapq import heappop, heappush

from specprefill_integrations.scoring._scoring_job import ScoringJob

# Longer requests are long, unless the scorer's own batches are longer.
_SMALL_CHARS = 4_096

_BATCHES_PER_SLICE = 8

# Lengths of one class differ by at most a factor of 2 ** (1 / 4), so they need little padding.
_CLASSES_PER_OCTAVE = 4


class ScoringQueue:
    """Waiting jobs, and long ones of which slices were read.

    Adding or removing one of n jobs takes O(log n), and so does taking it out.
    """

    def __init__(self, batch_chars: int) -> None:
        """Create an empty queue.

        Args:
            batch_chars: Characters of a batch. A longer request is scored alone.
        """
        self._batch_chars = batch_chars
        self._small_chars = max(_SMALL_CHARS, batch_chars)
        self._small: OrderedDict[ScoringJob, None] = OrderedDict()  # by arrival
        self._classes: dict[int, OrderedDict[ScoringJob, None]] = {}  # the same by length
        self._long: dict[int, ScoringJob] = {}  # by number
        self._turns: list[tuple[int, int]] = []  # heap of their turns and numbers; some are gone
        self._begun = 0
        self._last_number = 0
        self._read_chars = 0
        self._batches = 0  # taken since the last slice

    def __len__(self) -> int:
        """Return the number of jobs of which nothing was read."""
        return len(self._small) + len(self._long) - self._begun

    def add(self, job: ScoringJob) -> None:
        """Add a new job.

        A long one comes before those that arrive after so much was read as it is long. Therefore a
        shorter one may overtake it, but not for ever.
        """
        self._last_number += 1
        job.number = self._last_number
        job.turn = self._read_chars + job.chars
        if self.is_long(job):
            self._add_long(job)
        else:
            self._small[job] = None
            self._classes.setdefault(_length_class(job), OrderedDict())[job] = None

    def put_back(self, job: ScoringJob) -> None:
        """Add a job again: a long one that is not finished, or one to be tried again, alone."""
        if self.is_long(job):
            self._add_long(job)
        else:
            self._small[job] = None
            self._small.move_to_end(job, last=False)

    def remove(self, job: ScoringJob) -> bool:
        """Remove a job. Return False if it is not in the queue."""
        if job in self._small:
            self._remove_small(job)
        elif self._long.get(job.number) is job:
            self._remove_long(job)
        else:
            return False
        return True

    def clear(self) -> list[ScoringJob]:
        """Remove all jobs and return them."""
        removed = [*self._small, *self._long.values()]
        for job in removed:
            self.remove(job)
        return removed

    def take(self) -> list[ScoringJob]:
        """Remove and return the jobs whose turn it is; none if the queue is empty.

        Returns:
            A batch of small jobs, or one long one, of which a slice is to be read.
        """
        if self._small and (not self._long or self._batches < _BATCHES_PER_SLICE):
            self._batches += 1
            jobs = self._take_small()
        else:
            self._batches = 0
            jobs = self._take_long()
        self._read_chars += min(sum(job.chars for job in jobs), self._small_chars)
        return jobs

    def is_long(self, job: ScoringJob) -> bool:
        """Return True for a job that is read in slices."""
        return job.chars > self._small_chars

    def _add_long(self, job: ScoringJob) -> None:
        self._long[job.number] = job
        self._begun += job.reading is not None
        heappush(self._turns, (job.turn, job.number))

    def _remove_long(self, job: ScoringJob) -> None:
        del self._long[job.number]
        self._begun -= job.reading is not None

    def _remove_small(self, job: ScoringJob) -> None:
        del self._small[job]
        number = _length_class(job)
        members = self._classes.get(number, OrderedDict())
        members.pop(job, None)
        if not members:
            self._classes.pop(number, None)

    def _take_long(self) -> list[ScoringJob]:
        """Take the long job whose turn comes first."""
        while self._turns:
            _, number = heappop(self._turns)
            job = self._long.get(number)
            if job is not None:
                self._remove_long(job)
                return [job]
        return []

    def _take_small(self) -> list[ScoringJob]:
        """Take the oldest small job and, within the limit, those closest to it in length."""
        oldest = next(iter(self._small))
        self._remove_small(oldest)
        batch = [oldest]
        if oldest.was_lost:
            return batch
        room = self._batch_chars - oldest.chars
        own = _length_class(oldest)
        for number in sorted(self._classes, key=lambda number: abs(number - own)):
            members = self._classes[number]
            while members and (job := next(iter(members))).chars <= room:
                self._remove_small(job)
                batch.append(job)
                room -= job.chars
        return batch


def _length_class(job: ScoringJob) -> int:
    return round(_CLASSES_PER_OCTAVE * math.log2(1 + job.chars))
