"""A hot machine pauses and goes on by itself, without flickering between the two."""

from __future__ import annotations

from orchestrator.models.heat import Limits, pauses, why

LIMITS = Limits(hot=88, cool=76)


def course(*celsius: float | None) -> list[bool]:
    """Whether it is paused after each reading of a sensor."""
    found, paused = [], False
    for each in celsius:
        paused = pauses(paused, each, LIMITS)
        found.append(paused)
    return found


def test_it_pauses_when_hot_and_goes_on_only_when_cool() -> None:
    assert course(70, 87.9, 88, 84, 77, 76, 80, 87, 90) == [
        False, False, True, True, True, False, False, False, True,
    ]  # fmt: skip


def test_a_reading_that_swings_around_one_limit_changes_nothing() -> None:
    assert sum(a != b for a, b in zip(course(*[87, 89] * 20), course(*[87, 89] * 20)[1:], strict=False)) == 1


def test_a_sensor_that_is_silent_pauses_nothing() -> None:
    assert course(90, None, None) == [True, False, False]


def test_the_line_says_how_hot_and_when_it_goes_on() -> None:
    assert why(89.4, LIMITS) == "the graphics card is at 89 °C: it goes on at 76 °C"
