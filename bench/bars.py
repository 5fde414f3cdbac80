"""What the pages are meant to reach, and whether they do."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from bench.asking import PATIENCE
from bench.requests import DEEP_PAGE, FIRST_PAGE

SMALL, LARGE = 1_000_000, 10_000_000
GROWTH, OVER_FLOOR, SLOWEST_MS, BEYOND_SQL_MS, STATEMENTS = 1.5, 2.0, 200, 15, 6
MEMORY_GROWTH = 1.1

Runs = Mapping[str, Mapping[str, Any]]  # by the number of rows


class Bar(NamedTuple):
    name: str
    met: bool | None  # None: not measured
    detail: str


def judge(runs: Runs) -> list[Bar]:
    small, large = runs.get(str(SMALL)), runs.get(str(LARGE))
    bars = [*_growth(small, large)]
    for rows, run in sorted(runs.items(), key=lambda item: int(item[0])):
        bars += _of_run(int(rows), run)
    return bars


def _growth(small: Mapping | None, large: Mapping | None) -> Iterator[Bar]:
    name = f"p50 at 10 M at most {GROWTH} × that at 1 M"
    if not small or not large:
        yield Bar(name, None, "needs both sizes")
        return
    before = {request["name"]: request for request in small["requests"]}
    both = [(before[request["name"]], request) for request in large["requests"] if request["name"] in before]
    ratios = {request["name"]: request["ours"]["p50"] / less["ours"]["p50"] for less, request in both}
    excepted = _excepted(large["requests"]) | _fuller(both, ratios)
    missed = _over(ratios, GROWTH, without=excepted)
    yield Bar(name, not missed, _detail(missed, ratios, "×", _but(excepted)))
    memory = {each: run["memory_mib"] for each, run in (("1 M", small), ("10 M", large))}
    if all(memory.values()):
        met = memory["10 M"] <= MEMORY_GROWTH * memory["1 M"]
        told = ", ".join(f"{mib:.0f} MiB at {rows}" for rows, mib in memory.items())
        yield Bar("a web process does not grow with the table", met, told)


def _of_run(rows: int, run: Mapping[str, Any]) -> Iterator[Bar]:
    at = f"{rows / 1_000_000:g} M rows"
    requests = {request["name"]: request for request in run["requests"]}
    over = {name: request["sql"]["p50"] / request["floor"]["p50"] for name, request in requests.items()}
    missed = _over(over, OVER_FLOOR)
    yield Bar(
        f"{at}: SQL of a page at most {OVER_FLOOR:g} × its floor", not missed, _detail(missed, over, "×")
    )
    gave_up = [name for name, request in requests.items() if request["gave_up"]]
    yield Bar(f"{at}: no page gives up", not gave_up, ", ".join(gave_up) or "none did")
    excepted = _excepted(run["requests"])
    slow = {name: request["ours"]["p95"] for name, request in requests.items() if name not in excepted}
    missed = _over(slow, SLOWEST_MS)
    detail = _detail(missed, slow, "ms", _but(excepted))
    yield Bar(f"{at}: p95 at most {SLOWEST_MS} ms", not missed, detail)
    first = requests[FIRST_PAGE]
    beyond = first["beyond_sql"]["p50"]
    yield Bar(
        f"{at}: first page at most {BEYOND_SQL_MS} ms beyond SQL", beyond <= BEYOND_SQL_MS, f"{beyond:.1f} ms"
    )
    number = first["statements"]
    yield Bar(f"{at}: first page at most {STATEMENTS} statements", number <= STATEMENTS, str(number))
    yield from _against_stock(rows, at, requests)
    yield from _under_load(at, run["load"])


def _against_stock(rows: int, at: str, requests: Mapping[str, Any]) -> Iterator[Bar]:
    words = [name for name in requests if name.startswith("word")]
    wanted = {"first page": ([FIRST_PAGE], 50 if rows >= LARGE else 15), DEEP_PAGE: ([DEEP_PAGE], 20)}
    for label, (names, least) in {**wanted, "word search": (words, 50)}.items():
        times = {name: times_faster(requests[name]) for name in names}
        told = ", ".join(
            f"{name} {'> ' if is_least else ''}{number:.0f} ×" for name, (number, is_least) in times.items()
        )
        met = all(number >= least for number, _ in times.values())
        yield Bar(f"{at}: {label} at least {least} × faster than the stock admin", met, told)


def _under_load(at: str, load: Mapping[str, Any]) -> Iterator[Bar]:
    met = not load["errors"] and load["first_page"] >= load["bare"] / 2
    rates = f"{load['first_page']:.0f} of {load['bare']:.0f} requests a second by {load['tool']}"
    yield Bar(
        f"{at}: {load['connections']} connections, half the throughput of the bare view, no error",
        met,
        f"{rates}, {load['errors']} errors",
    )


def times_faster(request: Mapping[str, Any]) -> tuple[float, bool]:
    """Than the stock admin; and whether at least, where that did not answer in time."""
    if request["stock_is_too_slow"]:
        return PATIENCE * 1000 / request["ours"]["p50"], True
    return request["stock"]["p50"] / request["ours"]["p50"], False


def _excepted(requests: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Those that touch more rows where there are more, and why."""
    return {request["name"]: request["touches_more"] for request in requests if request["touches_more"]}


def _fuller(both: Iterable[tuple[Mapping, Mapping]], ratios: Mapping[str, float]) -> dict[str, str]:
    """Pages that a small table does not fill, so that the large one's have more to show."""
    return {
        request[
            "name"
        ]: f"{ratios[request['name']]:.1f} ×, to show {request['shows']} assets, not {less['shows']}"
        for less, request in both
        if ratios[request["name"]] > GROWTH and request["shows"] > GROWTH * less["shows"]
    }


def _but(excepted: Mapping[str, str]) -> str:
    return "; ".join(f"{name} excepted: {why}" for name, why in excepted.items())


def _over(figures: Mapping[str, float], bar: float, without: Iterable[str] = ()) -> dict[str, float]:
    return {name: figure for name, figure in figures.items() if figure > bar and name not in without}


def _detail(missed: Mapping[str, float], all_of_them: Mapping[str, float], unit: str, but: str = "") -> str:
    shown = missed or dict([max(all_of_them.items(), key=lambda item: item[1])])
    worst = sorted(shown.items(), key=lambda item: -item[1])
    told = ", ".join(f"{name} {figure:.{0 if unit == 'ms' else 1}f} {unit}" for name, figure in worst)
    return f"{told if missed else f'at most {told}'}{f' ({but})' if but else ''}"
