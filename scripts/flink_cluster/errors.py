"""Refusals with sysexits codes."""

USAGE = 64
NO_INPUT = 66
UNAVAILABLE = 69
SOFTWARE = 70
CANNOT_CREATE = 73
CONFIG = 78


class Refused(Exception):
    """Something that the user can put right: one line that says what and what to do, and an exit code."""

    def __init__(self, code: int, message: str):
        super().__init__(message)
        self.code = code
