"""JSON over HTTP on loopback."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

# Loopback is never behind a proxy, whatever the environment says.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Unreachable(Exception):
    """No answer, or none that is JSON."""


def get(url: str, timeout_s: float = 2.0) -> Any:
    """The JSON at `url`. Raises Unreachable."""
    try:
        with _OPENER.open(url, timeout=timeout_s) as answer:
            return json.load(answer)
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise Unreachable(f"{url}: {error}") from error
