"""`multiloss list`, `show` and `plot`: what losses there are, and what each is."""

from __future__ import annotations

import argparse
import difflib
import itertools
import textwrap
from pathlib import Path
from typing import Any

from multiloss.cli import output
from multiloss.cli.arguments import argument, families, losses, losses_with_options, name_and_options, tasks


def list_them(args: argparse.Namespace) -> int:
    """All losses, or those of a family, for a task, with certain words; by family."""
    from multiloss import catalogue, definitions
    from multiloss.pictures.page import facts

    every = [facts(name) for name in catalogue.list_losses()]
    chosen = every
    if args.family is not None:
        family = _one_of("family", args.family, {one["family"] for one in every})
        chosen = [one for one in chosen if one["family"] == family]
    if args.task is not None:
        task = _one_of("task", args.task, definitions.TASKS)
        chosen = [one for one in chosen if task in one["tasks"]]
    for word in args.words:
        chosen = [one for one in chosen if word.lower() in _text(one)]
    if args.json:
        output.say_json([{key: one[key] for key in one if key not in ("documentation", "inputs", "options")} for one in
                         chosen])  # fmt: skip
        return 0 if chosen else 1
    if not chosen:
        asked = [f"--{what} {given}" for what, given in (("family", args.family), ("task", args.task)) if given]
        print(f"no loss has {' and '.join([*asked, *map(repr, args.words)])}{_hint(args.words)}")
        return 1
    _print(sorted(chosen, key=lambda one: one["family"]), output.width())
    print(f"\n{len(chosen)} of {len(every)} losses; `multiloss show NAME` explains one")
    return 0


def _text(one: dict[str, Any]) -> str:
    """Where words are searched: names, family, tasks and documentation."""
    words = [one["name"], *one["aliases"], one["family"], *one["tasks"], *one["helps_with"], one["documentation"]]
    return " ".join(" ".join(words).replace("_", " ").split()).lower() + " " + one["name"]


def _one_of(what: str, given: str, known: Any) -> str:
    """The family or task that a word means; the beginning of one is enough."""
    plain = {name.replace(" ", "-").replace("_", "-"): name for name in known}
    key = given.strip().lower().replace(" ", "-").replace("_", "-")
    begun = [name for name in plain if name.startswith(key)]
    if key in plain or (len(begun) == 1 and key):
        return plain[key if key in plain else begun[0]]
    near = difflib.get_close_matches(key, plain, 1)
    hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(sorted(plain))}"
    raise ValueError(f"--{what} {given}: there is none of this name{hint}")


def _hint(words: list[str]) -> str:
    """What else an unknown word may mean."""
    from multiloss import catalogue

    for word in words:
        try:
            catalogue.definition(word)
        except ValueError as error:
            if "did you mean" in str(error):
                return f"; {str(error).partition('; ')[2]}"
    return ""


def _print(chosen: list[dict[str, Any]], width: int | None) -> None:
    longest = max(len(one["name"]) for one in chosen)
    column = longest if width is None else min(longest, max(31, width // 3))
    beside = width is None or width >= column + 28  # else there is no room for a summary beside the name
    for i, (family, group) in enumerate(itertools.groupby(chosen, lambda one: one["family"])):
        print(f"{chr(10) if i else ''}{family}")
        for one in group:
            name = one["name"]
            aliases = one["aliases"] if width is None else one["aliases"][:1]
            also = f" [{', '.join(aliases)}]" if aliases else ""
            room = None if width is None else width - column - 4 - len(also)
            if not beside and width is not None:
                print(f"  {name}{also}" if len(name + also) + 2 <= width else f"  {name}")
                print(*textwrap.wrap(one["summary"], width, initial_indent="    ", subsequent_indent="    "), sep="\n")
                continue
            if len(name) > column:  # a name too long for its column has a line of its own
                print(f"  {name}")
                name = ""
            print(f"  {name:<{column}}  {output.shortened(one['summary'], room)}{also}")


def show(args: argparse.Namespace) -> int:
    """The page of a loss."""
    from multiloss.pictures import page

    if args.json:
        output.say_json(page.facts(args.name))
    else:
        print(page.page(args.name, min(output.width() or 100, 120)))
    return 0


def plot(args: argparse.Namespace) -> int:
    """A picture of losses."""
    from multiloss import catalogue
    from multiloss.pictures import curves, mixed

    file_format = args.out.suffix[1:].lower()
    if file_format not in curves.FORMATS:
        raise ValueError(f"--out {args.out}: the name must end in {', '.join('.' + f for f in curves.FORMATS)}")
    if not args.out.absolute().parent.is_dir():
        raise ValueError(f"--out {args.out}: there is no folder {args.out.parent}")
    asked = [(catalogue.definition(name).name, options) for name, options in map(name_and_options, args.names)]
    curves.write(args.out, mixed.picture(asked, file_format))
    print(args.out)
    return 0


_JSON = argument("--json", action="store_true", help="print it as JSON, for a program")
COMMANDS: dict[str, tuple[Any, ...]] = {
    "list": (
        list_them,
        "list all losses by family, or those that a filter leaves",
        "The exit status is 1 if no loss is left. Lines are cut to the width of the terminal, but not in a pipe.",
        argument("words", nargs="*", metavar="WORD", help="only losses whose names or documentation have each word"),
        argument(
            "--family", metavar="FAMILY", completer=families, help="only losses of this family, such as regression"
        ),
        argument(
            "--task",
            metavar="TASK",
            completer=tasks,
            help="only losses for this task, such as segmentation or metric-learning",
        ),
        _JSON,
    ),
    "show": (
        show,
        "show the formula of a loss, its inputs, options, source and curve",
        "",
        argument("name", metavar="NAME", completer=losses, help="canonical or short name, such as huber or mse"),
        _JSON,
    ),
    "plot": (
        plot,
        "draw losses and their gradients; of losses of features, what they pull and push",
        "Options follow a colon: huber:delta=2, binary_crossentropy:from_logits=True,label_smoothing=0.1.",
        argument("names", nargs="+", metavar="NAME[:OPTION=VALUE,...]", completer=losses_with_options),
        argument("--out", type=Path, required=True, metavar="FILE", help="a .png, .pdf or .svg file"),
    ),
}
"""Of each command: its function, summary, more text of `--help`, and arguments."""
