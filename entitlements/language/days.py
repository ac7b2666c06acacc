"""How the law counts years and months from a day (§ 26 SGB X with §§ 187 to 193 BGB); nothing else does this."""

import calendar
from datetime import date, timedelta

ONE_DAY = timedelta(days=1)


def years_before(day: date, years: int) -> date:
    """The birth date of somebody whose birthday of that number is this day; 29 February becomes the 28th."""
    year = day.year - years
    if not date.min.year <= year <= date.max.year:
        return date.min if years > 0 else date.max
    return day.replace(year=year, day=min(day.day, calendar.monthrange(year, day.month)[1]))


def is_under(born: date, years: int, on: date) -> bool:
    """Whether somebody has not completed these years of age; the day of the birthday itself counts as completed."""
    return born > years_before(on, years)


def reaches(born: date, years: int) -> date:
    """The first day on which somebody is no longer under this age; born 29 February means 1 March in common years."""
    year = born.year + years
    if not date.min.year <= year <= date.max.year:
        return date.max if years > 0 else date.min
    if born.day > calendar.monthrange(year, born.month)[1]:
        return date(year, 3, 1)
    return born.replace(year=year)


def month_start(day: date) -> date:
    """The first of the month."""
    return day.replace(day=1)


def month_end(day: date) -> date:
    """The last of the month."""
    return day.replace(day=calendar.monthrange(day.year, day.month)[1])


def next_day(day: date) -> date:
    """The day after; the last day that can be written stays where it is."""
    return day if day == date.max else day + ONE_DAY


def add_months(day: date, months: int) -> date:
    """The day with the same number so many months later, or that month's last day where it has no such number."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def last_day_of(start: date, months: int) -> date:
    """The last day of a period of months that begins with this day (§ 188 (2) and (3) BGB)."""
    end = add_months(start, months)
    return end - ONE_DAY if end.day == start.day else end


def period_end(day: date, period: str) -> date:
    """The last day of the month, quarter or year in which a day lies."""
    last_month = {"month": day.month, "quarter": (day.month + 2) // 3 * 3, "year": 12}[period]
    return month_end(date(day.year, last_month, 1))
