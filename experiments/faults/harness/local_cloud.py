"""local-cloud's fault rules: several faults at once, one list at the server."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class FaultRules:
    """The rules in force at one server. `PUT` replaces all, so each change sends all that are left."""

    def __init__(self, url: str, kind: str) -> None:
        self._url, self._kind = f"{url}/_local/faults", kind
        self._rules: list[dict] = []
        self._lock = threading.Lock()

    def add(self, rule: dict) -> None:
        """From now on this goes wrong."""
        with self._lock:
            self._rules.append(rule)
            self._put()

    def remove(self, rule: dict) -> int:
        """From now on it goes well again; how often it went wrong, as far as the server knows."""
        with self._lock:
            struck = self._struck(self._rules.index(rule))
            self._rules.remove(rule)
            self._put()
            return struck

    def clear(self) -> None:
        """No rules."""
        with self._lock:
            self._rules.clear()
            self._put()

    def renew(self) -> None:
        """Tells a server that was started again, or that slept through what it was told."""
        with self._lock:
            self._put()

    def _put(self) -> None:
        self._call("PUT", {self._kind: self._rules})

    def _struck(self, index: int) -> int:
        """A `PUT` counts anew, so this is a lower bound when rules overlap."""
        answer = self._call("GET")
        rules = answer.get(self._kind, []) if answer else []
        return rules[index]["fired"] if index < len(rules) else 0

    def _call(self, method: str, body: dict | None = None) -> dict | None:
        data = None if body is None else json.dumps(body).encode()
        try:
            with _OPENER.open(urllib.request.Request(self._url, data, method=method), timeout=2) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise ValueError(f"local-cloud refuses {body}: {error.read().decode('utf-8', 'replace')}") from error
        except OSError:
            # It is down or stopped; it is told when it is up again.
            return None
