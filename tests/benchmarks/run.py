"""The command: run the scenarios, print a table each, write everything as JSON."""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import commands, delay, first_pass, following, idle, memory, publishing, readers, second_run
from benchmarks.report import Report, describe_machine, say

Scenario = Callable[[argparse.Namespace], Report]


def _first_pass(measure: Callable[..., Report]) -> Scenario:
    return lambda options: measure(options.rounds, quick=options.quick, with_dlt=not options.without_dlt)


SCENARIOS: dict[str, Scenario] = {
    "a": _first_pass(first_pass.measure_without_latency),
    "b": _first_pass(first_pass.measure_with_latency),
    "c": lambda options: idle.measure_idle(quick=options.quick),
    "d": lambda options: delay.measure_delay(quick=options.quick),
    "e": lambda options: memory.measure_memory(quick=options.quick),
    "f": lambda options: readers.measure_readers(options.rounds, quick=options.quick),
    "second-run": lambda options: second_run.measure_second_runs(with_dlt=not options.without_dlt),
    "commands": lambda options: commands.measure_commands(quick=options.quick),
    "publish": lambda options: publishing.measure_first_publish(options.messages, options.rounds),
    "follow": lambda options: following.measure_follow(5 if options.quick else 60),
}


def main() -> None:
    """Run what was asked for."""
    options = _parse()
    machine = describe_machine()
    sys.stdout.write(", ".join(f"{name}: {value}" for name, value in machine.items()) + "\n\n")
    reports = []
    for name in options.only:
        say(f"scenario {name}")
        reports.append(SCENARIOS[name](options))
        sys.stdout.write(reports[-1].render() + "\n")
        sys.stdout.flush()
    if options.json is not None:
        everything = {"machine": machine, "scenarios": [report.to_json() for report in reports]}
        options.json.write_text(json.dumps(everything, indent=1), encoding="utf-8")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks", description="syncd beside its limits and its rivals.")
    parser.add_argument("--quick", action="store_true", help="small inboxes and one round: does it work at all?")
    parser.add_argument("--only", type=_names, default=list(SCENARIOS), help=f"of {','.join(SCENARIOS)}")
    parser.add_argument("--rounds", type=int, help="interleaved runs of which the median counts")
    parser.add_argument("--messages", type=int, help="how many are published into PostgreSQL")
    parser.add_argument("--without-dlt", action="store_true", help="leave the slowest rival out")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    options = parser.parse_args()
    options.messages = options.messages or (20_000 if options.quick else 200_000)
    options.rounds = options.rounds or (1 if options.quick else 3)
    return options


def _names(text: str) -> list[str]:
    names = text.split(",")
    unknown = [name for name in names if name not in SCENARIOS]
    if unknown:
        raise argparse.ArgumentTypeError(f"there is no scenario {', '.join(unknown)}: choose of {','.join(SCENARIOS)}")
    return names
