"""`multiloss doctor`: what is installed, whether it works, and what it enables."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any

from multiloss.cli import output
from multiloss.cli.arguments import argument
from multiloss.cli.tested import FRAMEWORKS, OTHERS, Package

_SECONDS = 120
_PROBE = """
import json, sys
name = sys.argv[1]
module = __import__(name)
told = {"version": module.__version__, "devices": ["cpu"], "notes": []}
if name == "torch":
    told["devices"] += [module.cuda.get_device_name(i) for i in range(module.cuda.device_count())]
    told["devices"] += ["mps"] * module.backends.mps.is_available()
elif name == "jax":
    told["devices"] = [x.platform if x.platform == "cpu" else x.device_kind for x in module.devices()]
    told["notes"].append(f"x64 is {'on' if module.config.jax_enable_x64 else 'off: arrays are float32'}")
elif name == "tensorflow":
    told["devices"] = [x.device_type.lower() for x in module.config.list_physical_devices()]
elif name == "keras":
    told["notes"].append(f"runs on {module.backend.backend()}, {module.config.floatx()}")
import multiloss
value = float(multiloss.get("huber", backend=name, delta=2.0)([0.0, 0.0], [1.0, 5.0]))
told["works"] = value == 4.25
print("multiloss doctor:" + json.dumps(told))
"""
"""What a process of its own finds out about a framework, so that a broken one breaks nothing else."""
_VARIABLES = ("KERAS_BACKEND", "JAX_ENABLE_X64", "JAX_PLATFORMS", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")


def doctor(args: argparse.Namespace) -> int:
    """The report; 1 if a framework that is installed does not work."""
    from multiloss.engine.dispatch import list_backends
    from multiloss.version import __version__

    with ThreadPoolExecutor() as pool:
        frameworks = dict(zip([one.name for one in FRAMEWORKS], pool.map(_framework, FRAMEWORKS), strict=True))
    others = {one.name: {"version": _version(one), "enables": one.enables, **_tested(one)} for one in OTHERS}
    ours = {one.name for one in FRAMEWORKS}
    found = {
        "multiloss": {"version": __version__, "folder": str(Path(__file__).parent.parent)},
        "python": {"version": platform.python_version(), "program": sys.executable},
        "machine": {"system": f"{platform.system()} {platform.machine()}", "processors": os.cpu_count()},
        "environment": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
        "frameworks": frameworks,
        "others": others,
        "further_backends": [name for name in list_backends() if name not in ours],
    }
    if args.json:
        output.say_json(found)
    else:
        _print(found)
    return 1 if any(one["broken"] for one in frameworks.values()) else 0


def _tested(one: Package) -> dict[str, str]:
    return {"tested": one.tested, "oldest": one.oldest, "extra": one.extra}


def _version(one: Package) -> str | None:
    for name in one.distributions or (one.name,):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def _framework(one: Package) -> dict[str, Any]:
    """What is known of a framework: it is imported in a process of its own."""
    known: dict[str, Any] = {"version": _version(one), **_tested(one), "devices": [], "notes": [], "broken": None}
    if importlib.util.find_spec(one.name) is None:
        return known | {"version": None}
    from multiloss.bench import environment

    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", _PROBE, one.name],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            env=environment(),
        )
    except subprocess.TimeoutExpired:
        return known | {"broken": f"no answer within {_SECONDS} seconds"}
    told = next((x for x in done.stdout.splitlines()[::-1] if x.startswith("multiloss doctor:")), None)
    if told is None:
        lines = done.stderr.strip().splitlines() or [f"its process ended with status {done.returncode}"]
        return known | {"broken": lines[-1]}
    answer = json.loads(told.partition(":")[2])
    works = answer.pop("works")
    return known | answer | {"broken": None if works else "Huber loss has a wrong value"}


def _print(found: dict[str, Any]) -> None:
    print(f"multiloss {found['multiloss']['version']} in {found['multiloss']['folder']}")
    machine = found["machine"]
    print(f"Python {found['python']['version']}, {machine['system']}, {machine['processors']} processors")
    for name, value in found["environment"].items():
        print(f"{name}={value}")
    rows = [("framework", "here", "tested", "oldest", "devices")]
    remarks = []
    for name, one in found["frameworks"].items():
        devices = ", ".join(_counted(one["devices"])) if one["version"] else ""
        state = "BROKEN" if one["broken"] else devices
        rows.append((name, one["version"] or "-", one["tested"], one["oldest"], state))
        remarks += _remarks(name, one)
    print("", *output.table(rows), sep="\n")
    rows = [("also", "here", "tested", "oldest", "for")]
    for name, one in found["others"].items():
        rows.append((name, one["version"] or "-", one["tested"], one["oldest"], one["enables"]))
        remarks += _remarks(name, one)
    print("", *output.table(rows), sep="\n")
    if found["further_backends"]:
        print(f"\nfurther backends: {', '.join(found['further_backends'])}")
    if remarks:
        print()
    for remark in remarks:
        print(*output.wrapped(remark, "  ", "- "), sep="\n")


def _counted(devices: list[str]) -> list[str]:
    """Devices of the same name once, with their number."""
    return [name if devices.count(name) == 1 else f"{devices.count(name)} x {name}" for name in dict.fromkeys(devices)]


def _remarks(name: str, one: dict[str, Any]) -> list[str]:
    """What the user should know of a package."""
    told = [f"{name}: {note}" for note in one.get("notes", ())]
    if one.get("broken"):
        told.append(f"{name} is installed, but does not work: {one['broken']}")
    if not one["version"] and one["extra"]:
        told.append(f"{name} is not installed: the extra `{one['extra']}` has it")
    if one["version"] and _numbers(one["version"]) < _numbers(one["oldest"]):
        told.append(f"{name} {one['version']} is older than {one['oldest']}, the oldest that is taken")
    if one["version"] and _numbers(one["version"])[:2] > _numbers(one["tested"])[:2]:
        told.append(f"{name} {one['version']} is newer than {one['tested']}, which is tested")
    return told


def _numbers(version: str) -> tuple[int, ...]:
    """2.13.0+cpu as (2, 13, 0)."""
    parts = version.partition("+")[0].split(".")
    return tuple(int(part) for part in parts if part.isdecimal())


COMMANDS: dict[str, tuple[Any, ...]] = {
    "doctor": (
        doctor,
        "tell what is installed, whether it works, and what it enables",
        (
            "Each framework is imported in a process of its own and computes one loss. Its version stands beside the "
            "one that is tested and the oldest that is taken. The exit status is 1 if one does not work."
        ),
        argument("--json", action="store_true", help="print it as JSON, for a program"),
    ),
}
