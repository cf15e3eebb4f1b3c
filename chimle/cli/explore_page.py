"""A page on this machine: drop a picture, see answers, pick one, vary its finer levels.

The hierarchy is what one walks through: the first answers differ in everything; those after a pick
share its coarsest level, the next its two coarsest, down to the finest detail. Nothing leaves the
machine: the server listens on loopback, and neither telemetry nor fonts of others are loaded.
"""

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from chimle.errors import UserError
from chimle.images.decode import png_bytes, read_photograph
from chimle.images.pyramid import resize
from chimle.inference.model import Model
from chimle.inference.sample_names import Name, plain, recipe, variations

SHOWN = 8
"""Answers on the page."""
LARGEST_SIDE = 1024
"""A page answers at once: larger pictures are reduced to this longest side of the answer."""
_QUIET = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1"}

CSS = """
.gradio-container {max-width: 1100px !important; margin: 0 auto}
footer {display: none !important}
#files .label-clear-button {display: none}
#answers .grid-container {grid-template-columns: repeat(4, minmax(0, 1fr)) !important}
@media (max-width: 640px) {
    #answers .grid-wrap {max-height: none !important; min-height: 0 !important}
    #answers .grid-container {grid-template-columns: repeat(2, minmax(0, 1fr)) !important}
}
"""


@dataclass(frozen=True)
class Page:
    """One page of answers: their names, and how many coarse levels they share with the pick."""

    names: tuple[Name, ...]
    kept: int


@dataclass(frozen=True)
class History:
    """A way through the hierarchy; the last step is what is shown."""

    steps: tuple[Page, ...] = field(default=())

    def picked(self, index: int, levels: int) -> "History":
        """Pick an answer: it stays first among variations of the next finer levels."""
        here = self.steps[-1]
        if not 0 <= index < len(here.names):
            return self
        base, kept = here.names[index], min(here.kept + 1, levels - 1)
        names = (base, *variations(base, kept, SHOWN - 1))
        return History((*self.steps, Page(names, kept)))

    def back(self) -> "History":
        """The step before; the first stays."""
        return History(self.steps[:-1]) if len(self.steps) > 1 else self


def begin(levels: int) -> History:
    """The first page: samples that share nothing."""
    return History((Page(tuple(plain(SHOWN, levels)), 0),))


def told(walk: History, levels: int) -> str:
    """What is on the page, in words."""
    here = walk.steps[-1]
    if not here.kept:
        return "Eight answers that share nothing but the input. **Pick one** to vary it."
    share = "level" if here.kept == 1 else f"{here.kept} levels"
    finest = " These differ in the finest level only." if here.kept == levels - 1 else ""
    return f"Variations of **{here.names[0]}**: they share its coarsest {share}.{finest}"


def fitted(rgb: np.ndarray, model: Model, degrade: bool) -> np.ndarray:
    """(h, w, 3) uint8 as the model's input, small enough to be answered at once."""
    largest = LARGEST_SIDE if degrade else LARGEST_SIDE // model.factor
    scale = min(1.0, largest / max(rgb.shape[:2]))
    height, width = (max(round(side * scale), 1) for side in rgb.shape[:2])
    small = resize(rgb, (height, width))
    return model.degraded(small) if degrade else small


class ExplorePage:
    """What the page's controls do. `folder` holds the answers that can be downloaded."""

    def __init__(self, model: Model, folder: Path) -> None:
        self.model, self.folder = model, folder

    def _answers(self, given: np.ndarray, walk: History) -> list[tuple[str, str]]:
        """Files of the answers, and what stands under them."""
        names = walk.steps[-1].names
        place = Path(tempfile.mkdtemp(dir=self.folder))
        shown = []
        drawn = self.model.draw(given, [recipe(name) for name in names])
        for number, (name, answer) in enumerate(zip(names, drawn, strict=True), 1):
            file = place / f"answer_{name}.png"
            file.write_bytes(png_bytes(answer))
            shown.append((str(file), f"{number}: {name}"))
        return shown

    def _state(self, given: np.ndarray, walk: History) -> tuple[Any, ...]:
        import gradio as gr

        shown = self._answers(given, walk)
        words = told(walk, self.model.levels)
        # The pick stands first among its variations: what was selected is no longer in its place.
        gallery = gr.Gallery(value=shown, selected_index=None)
        return given, walk, gallery, words, [file for file, _ in shown], None

    def drop(self, path: str | None, degrade: bool) -> tuple[Any, ...]:
        """A picture was dropped, or taken away."""
        if not path:
            return (*_nothing("Drop a picture."), None)
        try:
            given = fitted(read_photograph(Path(path)).rgb, self.model, degrade)
        except UserError as error:
            return (*_nothing(f"**{Path(path).name}**{str(error).split(path)[-1]}"), None)
        return (*self._state(given, begin(self.model.levels)), Image.fromarray(given))

    def pick(self, given: np.ndarray | None, walk: History | None, index: int) -> tuple[Any, ...]:
        """Answer number `index` was picked."""
        if given is None or walk is None:
            return _nothing("Drop a picture first.")
        return self._state(given, walk.picked(index, self.model.levels))

    def back(self, given: np.ndarray | None, walk: History | None) -> tuple[Any, ...]:
        """The step before was asked for."""
        if given is None or walk is None:
            return _nothing("Drop a picture first.")
        return self._state(given, walk.back())


def _nothing(words: str) -> tuple[Any, ...]:
    """Input, walk, answers, words, files, picked number: a page without a picture."""
    return None, None, [], words, [], None


def build(model: Model, folder: Path) -> Any:
    """The page as Gradio blocks."""
    os.environ.update(_QUIET)
    try:
        import gradio as gr
    except ImportError:
        raise UserError("explore needs gradio: pip install 'chimle[explore]'") from None
    page, title = ExplorePage(model, folder), model.bundle.settings.definition.title
    with gr.Blocks(title=f"CHIMLE · {title}", analytics_enabled=False) as blocks:
        gr.Markdown(f"# {title}\nOne picture in, many plausible pictures out.")
        given, walk = gr.State(None), gr.State(None)
        with gr.Row():
            with gr.Column(scale=1, min_width=260):
                dropped = gr.File(
                    label="Picture", file_types=["image"], type="filepath", elem_id="drop"
                )
                degrade = gr.Checkbox(
                    value=True,
                    label="It is a good photograph: make the input from it first",
                    elem_id="degrade",
                )
                shown = gr.Image(
                    label="Input", interactive=False, elem_id="input", height=260, buttons=[]
                )
            with gr.Column(scale=3, min_width=280):
                words = gr.Markdown("Drop a picture.", elem_id="words")
                answers = gr.Gallery(
                    label="Answers",
                    columns=4,
                    allow_preview=False,
                    elem_id="answers",
                    object_fit="contain",
                    height="auto",
                )
                with gr.Row():
                    back = gr.Button("Back", elem_id="back")
                    again = gr.Button("From the start", elem_id="again")
                numbers = gr.Radio(
                    [str(i + 1) for i in range(SHOWN)],
                    label="Pick by number (keyboard)",
                    elem_id="numbers",
                    value=None,
                )
                files = gr.Files(label="Download", elem_id="files", interactive=False)
        step = [given, walk, answers, words, files, numbers]

        def clicked(given: Any, walk: Any, event: gr.SelectData) -> tuple[Any, ...]:
            return page.pick(given, walk, int(event.index))

        def numbered(given: Any, walk: Any, number: str | None) -> tuple[Any, ...]:
            return page.pick(given, walk, int(number or 1) - 1)

        for event in (dropped.change, degrade.change, again.click):
            event(page.drop, [dropped, degrade], [*step, shown])
        answers.select(clicked, [given, walk], step)
        numbers.input(numbered, [given, walk, numbers], step)
        back.click(page.back, [given, walk], step)
    return blocks


def serve(model: Model, port: int) -> None:
    """Serve the page on loopback until interrupted; `UserError` when the port is taken."""
    with tempfile.TemporaryDirectory(prefix="chimle-explore-") as name:
        blocks = build(model, Path(name))
        import gradio as gr

        try:
            blocks.launch(
                server_name="127.0.0.1",
                server_port=port,
                share=False,
                quiet=True,
                prevent_thread_lock=True,
                show_error=True,
                allowed_paths=[name],
                css=CSS,
                theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
            )
        except OSError as error:
            raise UserError(f"port {port} cannot be used ({error}): name another") from None
        print(f"Open http://127.0.0.1:{port} in a browser; Ctrl-C ends.", flush=True)
        blocks.block_thread()
