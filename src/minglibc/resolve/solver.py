"""Conflict-driven search over variables with finite domains, as PubGrub and SAT solvers do it; it knows nothing of packages.

A domain is a bit mask of the values that are still possible. An incompatibility is a set of terms, each a variable and a
mask, that can't all hold at once. Where all terms but one hold, the values of the last one are removed. Where all hold,
the conflict is resolved with the reasons of what led to it, until what is left would have prevented an earlier decision.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import NamedTuple


class Incompatibility:
    """Terms that can't hold at once, what they come from, and the assumptions that they depend on."""

    __slots__ = ("assumptions", "first", "first_key", "origin", "second", "second_key", "sources", "terms")

    def __init__(
        self,
        terms: dict[int, int],
        origin: object = None,
        *,
        sources: tuple["Incompatibility", ...] = (),
        assumptions: frozenset[object] = frozenset(),
    ) -> None:
        self.terms = terms
        self.origin = origin
        self.sources = sources
        self.assumptions = assumptions
        # The two variables that are watched, and for each a value outside its term: while that one is possible, the
        # term does not hold. A term of one value is watched for that value being the last one; its key is negative.
        self.first = self.second = -1
        self.first_key = self.second_key = 0


class Change(NamedTuple):
    """A domain that became smaller: when, at which level, what it was before, and why (None for a decision)."""

    position: int
    level: int
    before: int
    reason: Incompatibility | None


class Unsatisfiable(Exception):
    """The incompatibilities have no solution; *proof* was derived last and has no terms."""

    def __init__(self, proof: Incompatibility) -> None:
        super().__init__("no solution")
        self.proof = proof


class Solver:
    """Domains, incompatibilities, and the decisions in force."""

    def __init__(self) -> None:
        self.domains: list[int] = []
        self.level = 0
        self.conflicts = 0
        # How often decisions were taken back.
        self.jumps = 0
        self.activity: list[float] = []
        self._bump = 1.0
        self.initial: list[int] = []
        self._history: list[list[Change]] = []
        # By variable: the incompatibilities by the value that they watch, and the mask of the watched values.
        self._watching: list[dict[int, list[Incompatibility]]] = []
        self._watched: list[int] = []
        self._trail: list[int] = []
        self._starts: list[int] = []
        # The domains before the changes that were not propagated yet.
        self._changed: dict[int, int] = {}
        # The variables whose domains became smaller or larger; the reader empties it.
        self.touched: set[int] = set()
        # Of each conflict: the variable that it excludes values of, and the one whose change it depends on last; then
        # the decisions of these two changes' levels.
        self.pairs: list[tuple[int, int]] = []
        self._facts: dict[int, Incompatibility] = {}
        self._learned: list[Incompatibility] = []
        self.last_learned: Incompatibility | None = None
        self._given: list[Incompatibility] = []
        # What became a unit below the level at which it was added: applied again after a backjump.
        self._late: list[tuple[int, Incompatibility]] = []
        self._pending: list[Incompatibility] = []

    def add_variable(self, domain: int) -> int:
        """A new variable with *domain*."""
        self.domains.append(domain)
        self.activity.append(0.0)
        self.initial.append(domain)
        self._history.append([])
        self._watching.append({})
        self._watched.append(0)
        return len(self.domains) - 1

    def add(self, incompatibility: Incompatibility) -> None:
        """Take a given incompatibility into account from the next ``propagate`` on."""
        self._given.append(incompatibility)
        self._pending.append(incompatibility)

    def grew(self, incompatibility: Incompatibility) -> None:
        """Look again at a given incompatibility, a mask of which got more values."""
        self._pending.append(incompatibility)

    def holds(self, incompatibility: Incompatibility, *, but: int) -> bool:
        """Whether all terms hold except that of the variable *but*."""
        domains = self.domains
        return not any(domains[var] & ~mask for var, mask in incompatibility.terms.items() if var != but)

    @property
    def has_pending(self) -> bool:
        """Whether ``propagate`` has something to do."""
        return bool(self._pending or self._changed)

    def decide(self, variable: int, domain: int) -> None:
        """Begin a level in which *variable* has *domain*."""
        self.level += 1
        self._starts.append(len(self._trail))
        self._assign(variable, domain, None)

    def propagate(self) -> bool:
        """Remove what can't be; resolve conflicts and learn from them. False where a decision was taken back.

        Raises Unsatisfiable.
        """
        conflict = self._propagate()
        if conflict is None:
            return True
        while conflict is not None:
            self._learn(conflict)
            conflict = self._propagate()
        return False

    def backjump(self, level: int) -> None:
        """Take back all decisions above *level*."""
        if level >= self.level:
            return
        self.jumps += 1
        start = self._starts[level]
        trail, history, domains = self._trail, self._history, self.domains
        while len(trail) > start:
            var = trail.pop()
            domains[var] = history[var].pop().before
            self.touched.add(var)
        del self._starts[level:]
        self.level = level
        self._changed.clear()
        if self._late:
            self._pending += [late for unit, late in self._late if unit <= level]
            self._late.clear()

    def undecided_domain(self, variable: int) -> int:
        """A variable's domain without any decision."""
        for change in self._history[variable]:
            if change.level:
                return change.before
        return self.domains[variable]

    def level_of(self, variable: int) -> int:
        """The level at which a variable's domain was changed last."""
        history = self._history[variable]
        return history[-1].level if history else 0

    def last_reason(self, variable: int) -> Incompatibility | None:
        """Why a variable's domain was changed last; None for a decision."""
        history = self._history[variable]
        return history[-1].reason if history else None

    def unsatisfiable_in(self, domains: Sequence[int]) -> Iterator[Incompatibility]:
        """The given incompatibilities whose terms hold whatever is decided within *domains*."""
        for given in self._given:
            if not given.assumptions and not any(domains[var] & ~mask for var, mask in given.terms.items()):
                yield given

    def explained(self, incompatibility: Incompatibility) -> Incompatibility:
        """What *incompatibility* and the domains of its variables come from."""
        changes = [change for variable in incompatibility.terms for change in self._history[variable]]
        reasons = [change.reason for change in changes if change.reason is not None]
        return Incompatibility({}, sources=(incompatibility, *reasons))

    def unconditional(self) -> list[int]:
        """Each variable's values that are possible whatever is decided, and without any assumption."""
        domains = list(self.initial)
        for position in range(self._starts[0] if self._starts else len(self._trail)):
            variable = self._trail[position]
            reason = next(change.reason for change in self._history[variable] if change.position == position)
            if reason is None or reason.assumptions:
                continue
            if not any(domains[var] & ~mask for var, mask in reason.terms.items() if var != variable):
                domains[variable] &= ~reason.terms[variable]
        return domains

    def retract(self, assumption: object) -> None:
        """Begin again without anything that was given or learned under *assumption*."""
        self.jumps += 1
        self._given = [given for given in self._given if assumption not in given.assumptions]
        self._learned = [learned for learned in self._learned if assumption not in learned.assumptions]
        self.level = 0
        self.domains[:] = self.initial
        self.touched.update(self._trail)
        self._late.clear()
        self._trail.clear()
        self._starts.clear()
        self._changed.clear()
        for history, watching in zip(self._history, self._watching, strict=True):
            history.clear()
            watching.clear()
        self._watched = [0] * len(self._watched)
        self._pending = [*self._given, *self._learned]
        for pending in self._pending:
            pending.first = pending.second = -1
            pending.first_key = pending.second_key = 0

    def _assign(self, var: int, domain: int, reason: Incompatibility | None) -> None:
        self._history[var].append(Change(len(self._trail), self.level, self.domains[var], reason))
        self._trail.append(var)
        self._changed.setdefault(var, self.domains[var])
        self.touched.add(var)
        self.domains[var] = domain

    def _propagate(self) -> Incompatibility | None:
        """The first incompatibility all of whose terms hold; None where there is none and nothing is left to remove."""
        changed = self._changed
        while changed or self._pending:
            while self._pending:
                conflict = self._attach(self._pending.pop())
                if conflict is not None:
                    return conflict
            if changed:
                conflict = self._visit(*changed.popitem())
                if conflict is not None:
                    return conflict
        return None

    def _visit(self, var: int, before: int) -> Incompatibility | None:
        """Look at what watches a value that *var* has lost, or waits for the one that it has kept."""
        domain, watching = self.domains[var], self._watching[var]
        lost = before & ~domain
        keys = list(_values(lost & self._watched[var]))
        if not domain & (domain - 1) and -domain in watching:
            keys.append(-domain)
        for key in keys:
            conflict = self._visit_watchers(var, key)
            if conflict is not None:
                # What was not looked at yet is looked at after the conflict, where its values are lost again.
                return conflict
            if not watching[key]:
                del watching[key]
                self._watched[var] &= ~max(key, 0)
        return None

    def _visit_watchers(self, var: int, key: int) -> Incompatibility | None:
        domains, watchers = self.domains, self._watching[var][key]
        kept: list[Incompatibility] = []
        self._watching[var][key] = kept
        for position, incompatibility in enumerate(watchers):
            if incompatibility.first == var and incompatibility.first_key == key:
                other = incompatibility.second
            elif incompatibility.second == var and incompatibility.second_key == key:
                other = incompatibility.first
            else:
                continue  # it watches something else by now
            terms = incompatibility.terms
            if domains[var] & ~terms[var]:
                self._watch_variable(incompatibility, var)
                continue
            mask = terms[other]
            rest = domains[other] & ~mask
            if rest == domains[other]:
                kept.append(incompatibility)
                continue
            if len(terms) > 2:
                spare = next((v for v, m in terms.items() if domains[v] & ~m and v != other), -1)
                if spare >= 0:
                    if incompatibility.first == var:
                        incompatibility.first = spare
                    else:
                        incompatibility.second = spare
                    self._watch_variable(incompatibility, spare)
                    continue
            kept.append(incompatibility)
            if not rest:
                kept.extend(watchers[position + 1 :])
                return incompatibility
            self._assign(other, rest, incompatibility)
        return None

    def _attach(self, incompatibility: Incompatibility) -> Incompatibility | None:
        """Watch a new or changed incompatibility; apply it if one term is left, and return it if all its terms hold."""
        domains, terms = self.domains, incompatibility.terms
        open_terms = [var for var, mask in terms.items() if domains[var] & ~mask]
        if len(open_terms) > 1:
            self._watch(incompatibility, open_terms)
            return None
        held = [var for var in terms if var not in open_terms]
        held.sort(key=lambda var: self._since(var, terms[var]).position, reverse=True)
        self._watch(incompatibility, [*open_terms, *held])
        if not open_terms:
            return incompatibility
        var = open_terms[0]
        rest = domains[var] & ~terms[var]
        unit = self._since(held[0], terms[held[0]]).level if held else 0
        if rest == domains[var] and unit >= self._since(var, self.initial[var] & ~terms[var]).level:
            return None
        if self.level and not unit and held:
            self._add_fact(var, incompatibility)
            return None
        if unit < self.level:
            self._late.append((unit, incompatibility))
        if rest != domains[var]:
            self._assign(var, rest, incompatibility)
        return None

    def _add_fact(self, var: int, incompatibility: Incompatibility) -> None:
        """Add to what is excluded for *var* whatever is decided; one incompatibility for all, as it is applied again and again."""
        terms: dict[int, int] = {}
        since: dict[int, Change] = {}
        self._merge(terms, since, incompatibility.terms, var)
        sources, assumptions, mask = [incompatibility], incompatibility.assumptions, incompatibility.terms[var]
        while since:
            number = max(since, key=lambda name: since[name].position)
            reason = since[number].reason
            assert reason is not None
            sources.append(reason)
            assumptions |= reason.assumptions
            held = terms.pop(number) | reason.terms[number]
            del since[number]
            self._merge(terms, since, {number: held}, -1)
            self._merge(terms, since, {n: m for n, m in reason.terms.items() if n != var}, number)
            mask &= reason.terms.get(var, -1)
        if assumptions:
            fact = Incompatibility({var: mask}, sources=tuple(sources), assumptions=assumptions)
        else:
            known = self._facts.get(var)
            fact = Incompatibility({var: mask | (known.terms[var] if known else 0)}, sources=tuple(sources))
            if known is not None:
                fact.sources = (*known.sources, *sources)
                self._learned.remove(known)
                self._late = [(unit, late) for unit, late in self._late if late is not known]
            self._facts[var] = fact
        self._learned.append(fact)
        self._pending.append(fact)

    def _watch(self, incompatibility: Incompatibility, variables: list[int]) -> None:
        known = {
            (incompatibility.first, incompatibility.first_key),
            (incompatibility.second, incompatibility.second_key),
        }
        incompatibility.first = variables[0]
        incompatibility.second = variables[1] if len(variables) > 1 else variables[0]
        for var in {incompatibility.first, incompatibility.second}:
            self._watch_variable(incompatibility, var, known)

    def _watch_variable(
        self, incompatibility: Incompatibility, var: int, known: Collection[tuple[int, int]] = ()
    ) -> None:
        """Watch the value of *var* whose removal may make the term of an incompatibility hold, unless it is watched."""
        mask = incompatibility.terms[var]
        if not mask & (mask - 1):
            key = -mask
        else:
            spare = self.domains[var] & ~mask or self._since(var, mask).before & ~mask
            # The lowest: absence and old versions are excluded last.
            key = spare & -spare
        if incompatibility.first == var:
            incompatibility.first_key = key
        if incompatibility.second == var:
            incompatibility.second_key = key
        if (var, key) not in known:
            self._watching[var].setdefault(key, []).append(incompatibility)
            if key > 0:
                self._watched[var] |= key

    def _since(self, var: int, mask: int) -> Change:
        """The change since which *var* is within *mask*."""
        history = self._history[var]
        if not history or not history[0].before & ~mask:
            return _ALWAYS
        # Domains only shrink: bisect for the last change before which there was a value outside the mask.
        low, high = 0, len(history)
        if history[-1].before & ~mask:
            return history[-1]
        while high - low > 1:
            middle = (low + high) // 2
            if history[middle].before & ~mask:
                low = middle
            else:
                high = middle
        return history[low]

    def _learn(self, conflict: Incompatibility) -> None:
        self.conflicts += 1
        learned, level = self._resolve(conflict)
        if not learned.terms:
            raise Unsatisfiable(learned)
        self.pairs += [self._involved(learned), (self._decision(self.level), self._decision(level))]
        for var in self._leading_to(learned, level):
            self.activity[var] += self._bump
        self.backjump(level)
        self.last_learned = learned
        self._learned.append(learned)
        self._pending.append(learned)
        self._bump *= 1.02
        if self._bump > 1e100:
            self.activity = [activity * 1e-100 for activity in self.activity]
            self._bump = 1.0

    def _involved(self, learned: Incompatibility) -> tuple[int, int]:
        """Of a learned incompatibility, the variable that changed last and the one before it."""
        latest = sorted(learned.terms, key=lambda var: self._since(var, learned.terms[var]).position)
        return latest[-1], latest[-2] if len(latest) > 1 else -1

    def _decision(self, level: int) -> int:
        return self._trail[self._starts[level - 1]] if level else -1

    def _leading_to(self, learned: Incompatibility, level: int) -> set[int]:
        """The variables of *learned*, and those whose changes above *level* led to it.

        They are decided again soon, before what has no part in the conflict.
        """
        seen: set[int] = set()
        waiting = list(learned.terms)
        while waiting:
            var = waiting.pop()
            if var not in seen:
                seen.add(var)
                # Levels never decrease in a history.
                for change in takewhile(lambda change: change.level > level, reversed(self._history[var])):
                    waiting += change.reason.terms if change.reason else ()
        return seen

    def _resolve(self, conflict: Incompatibility) -> tuple[Incompatibility, int]:
        """What *conflict* and its reasons say of the decisions, and the level at which it leaves one value out."""
        terms: dict[int, int] = {}
        since: dict[int, Change] = {}
        self._merge(terms, since, conflict.terms, -1)
        sources, assumptions = [conflict], conflict.assumptions
        while since:
            var = max(since, key=lambda name: since[name].position)
            last = since[var]
            level = max((change.level for other, change in since.items() if other != var), default=0)
            if last.level > level or last.reason is None:
                return Incompatibility(terms, sources=tuple(sources), assumptions=assumptions), level
            reason = last.reason
            sources.append(reason)
            assumptions |= reason.assumptions
            mask = terms.pop(var) | reason.terms[var]
            del since[var]
            self._merge(terms, since, {var: mask}, -1)
            self._merge(terms, since, reason.terms, var)
        return Incompatibility({}, sources=tuple(sources), assumptions=assumptions), 0

    def _merge(self, terms: dict[int, int], since: dict[int, Change], further: Mapping[int, int], but: int) -> None:
        """Add *further* terms, all but that of one variable, and since when each holds; what always holds is left out."""
        for var, mask in further.items():
            if var == but:
                continue
            joined = terms[var] & mask if var in terms else mask
            change = self._since(var, joined)
            if change is _ALWAYS:
                continue
            terms[var] = joined
            since[var] = change


def _values(mask: int) -> Iterator[int]:
    """The single values of *mask*, the lowest first."""
    while mask:
        value = mask & -mask
        yield value
        mask ^= value


_ALWAYS = Change(-1, 0, 0, None)
