"""local-cloud's fault rules: several faults at once, one list at the server."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
# It may be stopped just now, and a schedule has to go on.
_TELL_S, _ASK_S = 2.0, 0.5


@dataclass(eq=False)
class _InForce:
    """A rule, and how often it has struck so far, as far as the server has told."""

    rule: dict
    struck: int = 0

    def left(self) -> dict:
        """What is left of it: the server counts anew whenever it is told."""
        count = self.rule.get("count")
        return self.rule if count is None else self.rule | {"count": max(0, count - self.struck)}


class FaultRules:
    """The rules in force at one server. `PUT` replaces all, so each change sends all that are left."""

    def __init__(self, url: str, kind: str) -> None:
        self._url, self._kind = f"{url}/_local/faults", kind
        self._rules: list[_InForce] = []
        # What the server was told last, in its order; None if it is not known what it makes of it.
        self._told: list[_InForce] | None = None
        self._counted: list[int] = []
        self._lock = threading.Lock()

    def add(self, rule: dict) -> None:
        """From now on this goes wrong, before all that went wrong already: a rule that takes every call hides those after it."""
        with self._lock:
            self._count()
            self._rules.insert(0, _InForce(rule))
            self._put()

    def remove(self, rule: dict) -> int:
        """From now on it goes well again; how often it went wrong, as far as the server knows."""
        with self._lock:
            self._count()
            entry = self._of(rule)
            self._rules.remove(entry)
            self._put()
            return entry.struck

    def struck(self, rule: dict) -> int:
        """How often it went wrong so far, as far as the server knows."""
        with self._lock:
            if self._told is None:
                self._put()
            self._count()
            return self._of(rule).struck

    def clear(self) -> None:
        """No rules."""
        with self._lock:
            self._rules.clear()
            self._put()

    def renew(self) -> None:
        """Tells a server that was started again, or that slept through what it was told."""
        with self._lock:
            self._put()

    def _of(self, rule: dict) -> _InForce:
        return next(entry for entry in self._rules if entry.rule is rule)

    def _put(self) -> None:
        rules = list(self._rules)
        answer = self._call("PUT", {self._kind: [entry.left() for entry in rules]})
        self._told = None if answer is None else rules
        self._counted = [0] * len(rules)

    def _count(self) -> None:
        """Adds what has struck since the last look. What happens between this and a `PUT` is lost, so it is a lower bound."""
        if not self._told:
            return
        answer = self._call("GET")
        if answer:
            # A server that was started anew and has not been told knows none.
            found = [rule["fired"] for rule in answer.get(self._kind, [])]
            for entry, fired, counted in zip(self._told, found, self._counted):
                entry.struck += fired - counted
            self._counted = found

    def _call(self, method: str, body: dict | None = None) -> dict | None:
        data = None if body is None else json.dumps(body).encode()
        try:
            with _OPENER.open(urllib.request.Request(self._url, data, method=method), timeout=_TELL_S if body else _ASK_S) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise ValueError(f"local-cloud refuses {body}: {error.read().decode('utf-8', 'replace')}") from error
        except OSError:
            # It is down or stopped; it is told when it is up again.
            return None
