"""A curve that may grow for ever in bounded memory.

It keeps at most some thousand points: neighbours are joined and the least and the greatest of them stay, so a
spike is never lost. The newest points are kept as they came.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque

BUCKETS = 1024
"""Groups of neighbouring points that a curve keeps; each stands for its least and its greatest."""
RECENT = 512
"""Points at the end of a curve that are kept as they came."""
Point = tuple[float, float]
"""A step and a value."""


class _Bucket:
    """Neighbouring points: where they begin, how many they are, the least and the greatest."""

    __slots__ = ("count", "first", "high", "high_at", "low", "low_at")

    def __init__(self, step: float, value: float) -> None:
        self.first, self.count = step, 1
        self.low_at = self.high_at = step
        self.low = self.high = value

    def add(self, step: float, value: float) -> None:
        self.count += 1
        if value < self.low:
            self.low, self.low_at = value, step
        if value > self.high:
            self.high, self.high_at = value, step

    def join(self, after: _Bucket) -> None:
        self.count += after.count
        if after.low < self.low:
            self.low, self.low_at = after.low, after.low_at
        if after.high > self.high:
            self.high, self.high_at = after.high, after.high_at

    def points(self) -> list[Point]:
        low, high = (self.low_at, self.low), (self.high_at, self.high)
        if low == high:
            return [low]
        return [low, high] if low[0] <= high[0] else [high, low]


class Series:
    """A curve: steps that grow, a value each."""

    def __init__(self) -> None:
        self.count = 0
        """Points that were added at the end, all told."""
        self.epoch = 0
        """Another number means that more changed than was added at the end."""
        self.recent: deque[Point] = deque(maxlen=RECENT)
        self.lost = 0
        """Values that were no numbers."""
        self._buckets: list[_Bucket] = []
        self._stride = 1

    @property
    def last(self) -> Point | None:
        """The newest point."""
        return self.recent[-1] if self.recent else None

    @property
    def first(self) -> float:
        """The step of the first point; 0 where there is none."""
        return self._buckets[0].first if self._buckets else 0.0

    def put(self, step: float, value: float) -> None:
        """Take a point; the later value of a step is the one that counts."""
        last = self.last
        if last is not None and step <= last[0]:
            self._again(step, value)
            return
        self.count += 1
        self.recent.append((step, value))
        if self._buckets and self._buckets[-1].count < self._stride:
            self._buckets[-1].add(step, value)
            return
        self._buckets.append(_Bucket(step, value))
        if len(self._buckets) > BUCKETS:
            self._halve()

    def back_to(self, step: float) -> None:
        """Forget what stands at this step and behind it."""
        last = self.last
        if last is None or last[0] < step:
            return
        self.epoch += 1
        kept = [point for point in self.points() if point[0] < step]
        recent = [point for point in self.recent if point[0] < step]
        while self._buckets and self._buckets[-1].first >= step:
            self._buckets.pop()
        if self._buckets and max(self._buckets[-1].low_at, self._buckets[-1].high_at) >= step:
            first = self._buckets.pop().first
            for point in (point for point in kept if point[0] >= first):
                self._buckets.append(_Bucket(*point))
        self.recent = deque(recent or kept[-1:], maxlen=RECENT)

    def points(self) -> list[Point]:
        """The curve: at most two points a bucket, and the newest."""
        found = [point for bucket in self._buckets for point in bucket.points()]
        if self.recent and (not found or found[-1][0] < self.recent[-1][0]):
            found.append(self.recent[-1])
        return found

    def since(self, step: float) -> list[Point]:
        """The points from a step on, as they came where they are all still there."""
        if self.recent and (self.recent[0][0] <= step or self.count <= len(self.recent)):
            return [point for point in self.recent if point[0] >= step]
        return [point for point in self.points() if point[0] >= step]

    def at(self, step: float) -> float | None:
        """The value at a step, where it is known exactly."""
        return dict(self.recent).get(step) if self.recent and self.recent[0][0] <= step else self._kept(step)

    def _kept(self, step: float) -> float | None:
        at = bisect_right(self._buckets, step, key=lambda bucket: bucket.first) - 1
        return dict(self._buckets[at].points()).get(step) if at >= 0 else None

    def _halve(self) -> None:
        """Join neighbours: half as many buckets, each of up to twice as many points."""
        self._stride *= 2
        joined: list[_Bucket] = []
        for bucket in self._buckets:
            if joined and joined[-1].count + bucket.count <= self._stride:
                joined[-1].join(bucket)
            else:
                joined.append(bucket)
        self._buckets = joined

    def _again(self, step: float, value: float) -> None:
        """A step that was there, or one between others: rare, so it may cost."""
        self.epoch += 1
        self.recent = deque(sorted({**dict(self.recent), step: value}.items()), maxlen=RECENT)
        at = bisect_right(self._buckets, step, key=lambda bucket: bucket.first) - 1
        if at < 0:
            self._buckets.insert(0, _Bucket(step, value))
            return
        bucket = self._buckets[at]
        same = [point for point in bucket.points() if point[0] != step]
        if len(same) == 2 or step not in (bucket.low_at, bucket.high_at):
            if bucket.count < self._stride:
                bucket.add(step, value)
            else:
                self._buckets.insert(at + 1, _Bucket(step, value))
        else:
            count, first = bucket.count, bucket.first
            self._buckets[at] = bucket = _Bucket(step, value)
            for point in same:
                bucket.add(*point)
            bucket.first, bucket.count = first, count
        if len(self._buckets) > BUCKETS:
            self._halve()
