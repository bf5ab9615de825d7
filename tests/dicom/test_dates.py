"""Dates move by one shift: intervals stay exact, clock times and days do not."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.deid import dates

SHIFT = int((datetime(2000, 1, 1, 12) - datetime(2019, 3, 4, 23, 50, 30, 250000)) / timedelta(microseconds=1))


def move(date: bytes, time: bytes) -> tuple[bytes | None, bytes | None]:
    return dates.clean_date(date, time, SHIFT, "20000101"), dates.clean_time(time, SHIFT)


def test_the_first_acquisition_falls_on_noon() -> None:
    """The moment that the shift was made for becomes 2000-01-01 12:00:00."""
    assert move(b"20190304", b"235030.250000 ") == (b"20000101", b"120000")


def test_intervals_stay_across_midnight() -> None:
    """An acquisition twenty minutes later, on the next day, is twenty minutes later."""
    assert move(b"20190305", b"001030.250000 ") == (b"20000101", b"122000")


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(st.integers(-20 * 86400 * 10_000, 20 * 86400 * 10_000))
def test_any_interval_is_exact(ticks: int) -> None:
    """A moment any tenths of a millisecond away stays exactly that far away."""
    moment = datetime(2019, 3, 4, 23, 50, 30, 250000) + timedelta(microseconds=100 * ticks)
    raw = moment.strftime("%Y%m%d%H%M%S.%f").encode()
    moved = dates.clean_datetime(raw, SHIFT, "20000101")
    assert moved is not None
    day, clock = dates.parse_datetime(moved)  # type: ignore[misc]
    found = datetime.combine(day, datetime.min.time()) + timedelta(microseconds=clock or 0)
    assert found - datetime(2000, 1, 1, 12) == timedelta(microseconds=100 * ticks)


def test_a_day_without_a_time_moves_as_a_day() -> None:
    """The study's own date becomes the study's new date whatever the clock says."""
    assert dates.clean_date(b"20190304", b"", SHIFT, "20000101") == b"20000101"
    assert dates.clean_date(b"20190306", b"", SHIFT, "20000101") == b"20000103"


@pytest.mark.parametrize("raw", [b"19530712", b"20190804", b"20180101", b"19000101", b"2019", b"banana  ", b"20191340"])
def test_a_day_that_is_not_the_studys_does_not_stay(raw: bytes) -> None:
    """A birth date or anything further than the window is not a date of this study."""
    assert dates.clean_date(raw, b"", SHIFT, "20000101") is None


def test_fractions_are_too_short_for_an_identifier() -> None:
    """Six digits behind the second become four at most."""
    cleaned = dates.clean_time(b"101112.839204 ", 86_400_000_000)
    assert cleaned == b"101112.8392 "


@pytest.mark.parametrize("raw", [b"250000", b"1", b"JOHN", b"12:00:00.1234567", b"120000-130000"])
def test_what_is_no_time_does_not_stay(raw: bytes) -> None:
    """Text in a time goes."""
    assert dates.clean_time(raw, SHIFT) is None


def test_a_time_zone_goes() -> None:
    """A date-time loses its offset; the study has one clock."""
    with_zone = dates.clean_datetime(b"20190304235030.250000+0100", SHIFT, "20000101")
    assert with_zone == b"20000101120000"


def test_moving_by_nothing_changes_nothing() -> None:
    """The verifier's shift of zero leaves canonical dates and times alone."""
    assert dates.clean_date(b"20000101", b"115530.25", 0, "20000101") == b"20000101"
    assert dates.clean_time(b"115530.25 ", 0) == b"115530.25 "
    assert dates.clean_datetime(b"20000102003000", 0, "20000101") == b"20000102003000"
