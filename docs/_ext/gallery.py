"""The gallery: a card for each loss, and the fields by which `_static/gallery.js` filters the cards. Without that
script the fields stay hidden and the cards are a list.
"""

from __future__ import annotations

import functools
import html

import docstrings
import drawings
import loss_page
import rosetta

from multiloss import catalogue, definitions
from multiloss.engine.definition import Definition


def filters() -> str:
    """The fields of the filter: a search word, the task, the family, and the library that has the loss, too."""
    families = list(dict.fromkeys(one.family for one in loss_page.losses()))
    rows = [
        '<label>Search <input type="search" name="word" placeholder="outliers" autocomplete="off"></label>',
        _select("Task", "task", {task: task for task in definitions.TASKS}),
        _select("Family", "family", {family: loss_page.family_title(family) for family in families}),
        _select("Also in", "library", rosetta.LIBRARIES),
    ]
    inner = "\n".join(rows)
    return (
        f'```{{raw}} html\n<form class="gallery-filter" hidden>\n{inner}\n'
        '<button type="reset">Show all</button>\n<output aria-live="polite"></output>\n</form>\n```'
    )


def _select(title: str, name: str, choices: dict[str, str]) -> str:
    options = "".join(f'<option value="{key}">{words}</option>' for key, words in choices.items())
    return f'<label>{title} <select name="{name}"><option value="">any</option>{options}</select></label>'


def cards(group: list[Definition], folder: str = "loss/") -> str:
    """A card for each of these losses, whose pages lie in `folder`."""
    inner = "\n".join(card(one, folder) for one in group)
    return f'```{{raw}} html\n<ul class="gallery">\n{inner}\n</ul>\n```'


@functools.cache
def card(definition: Definition, folder: str) -> str:
    """A link to a loss with its picture, its name, what it is, and what it is for."""
    name = definition.name
    tasks = catalogue.tasks(name)
    libraries = [library for library, sources in rosetta.by_loss().get(name, {}).items() if sources]
    summary = docstrings.summary(definition).replace("`", "")
    words = " ".join([name.replace("_", " "), name, *definition.aliases, summary, loss_page.use_when()[name], *tasks])
    shown = html.escape(name).replace("_", "_<wbr>")
    return (
        f'<li data-task="{"|".join(tasks)}" data-family="{definition.family}" data-library="{"|".join(libraries)}" '
        f'data-words="{html.escape(words.lower(), quote=True)}">'
        f'<a href="{folder}{name}.html">{drawings.thumbnail(definition)}<b>{shown}</b>'
        f"<span>{html.escape(summary)}</span></a><small>{', '.join(tasks)}</small></li>"
    )
