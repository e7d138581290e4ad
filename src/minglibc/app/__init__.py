"""Use cases: functions that do what a command does, with typed options and a reporter, and return what they did."""
