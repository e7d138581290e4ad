"""The dates, times and durations that ``exclude-newer`` accepts."""

import re
from datetime import UTC, date, datetime, time, timedelta

_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_DURATION = (
    r"(?P<number>[0-9]{1,6}) ?(?P<unit>second|minute|hour|day|week)s?"
    r"|P(?P<days>[0-9]{1,6})D|P(?P<weeks>[0-9]{1,5})W|PT(?P<hours>[0-9]{1,6})H"
)


def first_excluded(value: object, now: datetime | None) -> datetime | None:
    """The first moment that the limit *value* excludes; None, ValueError or OverflowError if it is not a limit."""
    if isinstance(value, str):
        duration = re.fullmatch(_DURATION, value)
        if duration:
            return (now or datetime.now(UTC)) - _length(duration)
        if not re.match(_DATE, value):
            return None
        value = date.fromisoformat(value) if re.fullmatch(_DATE, value) else datetime.fromisoformat(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo else None
    if isinstance(value, date):
        # The limit includes its day.
        return datetime.combine(value + timedelta(days=1), time(), UTC)
    return None


def _length(duration: re.Match[str]) -> timedelta:
    if duration["unit"]:
        return int(duration["number"]) * timedelta(**{f"{duration['unit']}s": 1})
    days, weeks, hours = (int(duration[unit] or 0) for unit in ("days", "weeks", "hours"))
    return timedelta(days=days, weeks=weeks, hours=hours)
