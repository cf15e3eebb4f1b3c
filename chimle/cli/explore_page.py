"""The page of `chimle explore`: drop an image, see samples, pick one, vary its finer levels.

The samples of the first page share no code; those after a pick share its coarsest level, the next
its two coarsest, down to the finest. Nothing leaves the machine: the server listens on loopback
only, and the page loads no telemetry and no remote fonts.
"""

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from chimle.errors import UserError
from chimle.images.decode import png_bytes, read_image
from chimle.images.formats import image_extensions
from chimle.images.pyramid import resize
from chimle.inference.model import Model
from chimle.inference.sample_names import Name, mixture_of, plain, variations
from chimle.io.loopback import OwnPageOnly, bypass_proxy

SHOWN = 8
"""Samples on a page."""
LARGEST_SIDE = 1024
"""Longest side of a sample: larger images are reduced, so that the page responds quickly."""
_QUIET = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1"}

CSS = """
.gradio-container {max-width: 1100px !important; margin: 0 auto}
footer {display: none !important}
#files .label-clear-button {display: none}
#samples .grid-container {grid-template-columns: repeat(4, minmax(0, 1fr)) !important}
@media (max-width: 640px) {
    #samples .grid-wrap {max-height: none !important; min-height: 0 !important}
    #samples .grid-container {grid-template-columns: repeat(2, minmax(0, 1fr)) !important}
}
"""


@dataclass(frozen=True)
class Page:
    """Names of the samples on a page, and how many coarse levels they share with the pick."""

    names: tuple[Name, ...]
    shared: int


@dataclass(frozen=True)
class History:
    """The pages seen so far; the last one is shown."""

    pages: tuple[Page, ...] = field(default=())

    def picked(self, index: int, levels: int) -> "History":
        """The history after a pick: the sample, then variations of its next finer levels."""
        page = self.pages[-1]
        if not 0 <= index < len(page.names):
            return self
        base, shared = page.names[index], min(page.shared + 1, levels - 1)
        names = (base, *variations(base, shared, SHOWN - 1))
        return History((*self.pages, Page(names, shared)))

    def back(self) -> "History":
        """The history without its last page; the first page stays."""
        return History(self.pages[:-1]) if len(self.pages) > 1 else self


def begin(levels: int) -> History:
    """A history with the first page: samples that share no code."""
    return History((Page(tuple(plain(SHOWN, levels)), 0),))


def page_text(history: History, levels: int) -> str:
    """The sentence above the samples."""
    page = history.pages[-1]
    if not page.shared:
        return "Eight samples that share nothing but the input. **Pick one** to vary it."
    share = "level" if page.shared == 1 else f"{page.shared} levels"
    finest = " These differ in the finest level only." if page.shared == levels - 1 else ""
    return f"Variations of **{page.names[0]}**: they share its coarsest {share}.{finest}"


def fitted(rgb: np.ndarray, model: Model, degrade: bool) -> np.ndarray:
    """The model's input for a dropped image (h, w, 3) uint8, reduced to `LARGEST_SIDE`."""
    largest = LARGEST_SIDE if degrade else LARGEST_SIDE // model.factor
    scale = min(1.0, largest / max(rgb.shape[:2]))
    height, width = (max(round(side * scale), 1) for side in rgb.shape[:2])
    small = resize(rgb, (height, width))
    return model.degraded(small) if degrade else small


class ExplorePage:
    """Handlers of the page's controls. `folder` holds the samples offered for download."""

    def __init__(self, model: Model, folder: Path) -> None:
        self.model, self.folder = model, folder

    def _samples(self, given: np.ndarray, history: History) -> list[tuple[str, str]]:
        """Files of the samples, and their captions."""
        names = history.pages[-1].names
        place = Path(tempfile.mkdtemp(dir=self.folder))
        captioned = []
        drawn = self.model.draw(given, [mixture_of(name) for name in names])
        for number, (name, sample) in enumerate(zip(names, drawn, strict=True), 1):
            file = place / f"sample_{name}.png"
            file.write_bytes(png_bytes(sample))
            captioned.append((str(file), f"{number}: {name}"))
        return captioned

    def _state(self, given: np.ndarray, history: History) -> tuple[Any, ...]:
        import gradio as gr

        captioned = self._samples(given, history)
        text = page_text(history, self.model.levels)
        # The pick moves to the first place, so the selected index is no longer its own.
        gallery = gr.Gallery(value=captioned, selected_index=None)
        return given, history, gallery, text, [file for file, _ in captioned], None

    def drop(self, path: str | None, degrade: bool) -> tuple[Any, ...]:
        """An image is dropped, or removed."""
        if not path:
            return (*_empty("Drop an image."), None)
        try:
            given = fitted(read_image(Path(path)).rgb, self.model, degrade)
        except UserError as error:
            return (*_empty(f"**{Path(path).name}**{str(error).split(path)[-1]}"), None)
        return (*self._state(given, begin(self.model.levels)), Image.fromarray(given))

    def pick(
        self, given: np.ndarray | None, history: History | None, index: int
    ) -> tuple[Any, ...]:
        """Sample number `index` is picked."""
        if given is None or history is None:
            return _empty("Drop an image first.")
        return self._state(given, history.picked(index, self.model.levels))

    def back(self, given: np.ndarray | None, history: History | None) -> tuple[Any, ...]:
        """The page before is asked for."""
        if given is None or history is None:
            return _empty("Drop an image first.")
        return self._state(given, history.back())


def _empty(text: str) -> tuple[Any, ...]:
    """A page without an image: input, history, samples, text, files, picked number."""
    return None, None, [], text, [], None


def build(model: Model, folder: Path) -> Any:
    """The page as Gradio blocks; `UserError` where Gradio is not installed."""
    os.environ.update(_QUIET)
    try:
        import gradio as gr
    except ImportError:
        raise UserError("explore needs gradio: pip install 'chimle[explore]'") from None
    page, title = ExplorePage(model, folder), model.bundle.settings.definition.title
    with gr.Blocks(title=f"CHIMLE · {title}", analytics_enabled=False) as blocks:
        gr.Markdown(f"# {title}\nMany plausible samples of one image.")
        given, history = gr.State(None), gr.State(None)
        with gr.Row():
            with gr.Column(scale=1, min_width=260):
                dropped = gr.File(
                    label="Image",
                    file_types=["image", *sorted(image_extensions())],
                    type="filepath",
                    elem_id="drop",
                )
                degrade = gr.Checkbox(
                    value=True,
                    label="Make the input from the image first, by the task",
                    elem_id="degrade",
                )
                shown = gr.Image(
                    label="Input", interactive=False, elem_id="input", height=260, buttons=[]
                )
            with gr.Column(scale=3, min_width=280):
                text = gr.Markdown("Drop an image.", elem_id="text")
                samples = gr.Gallery(
                    label="Samples",
                    columns=4,
                    allow_preview=False,
                    elem_id="samples",
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
        outputs = [given, history, samples, text, files, numbers]

        def clicked(given: Any, history: Any, event: gr.SelectData) -> tuple[Any, ...]:
            return page.pick(given, history, int(event.index))

        def numbered(given: Any, history: Any, number: str | None) -> tuple[Any, ...]:
            return page.pick(given, history, int(number or 1) - 1)

        for event in (dropped.change, degrade.change, again.click):
            event(page.drop, [dropped, degrade], [*outputs, shown])
        samples.select(clicked, [given, history], outputs)
        numbers.input(numbered, [given, history, numbers], outputs)
        back.click(page.back, [given, history], outputs)
    return blocks


def serve(model: Model, port: int) -> None:
    """Serve the page on loopback until interrupted; `UserError` when the port is taken."""
    with tempfile.TemporaryDirectory(prefix="chimle-explore-") as name:
        blocks = build(model, Path(name))
        import gradio as gr
        from starlette.middleware import Middleware

        os.environ.update(bypass_proxy(os.environ))
        try:
            blocks.launch(
                server_name="127.0.0.1",
                server_port=port,
                share=False,
                quiet=True,
                prevent_thread_lock=True,
                show_error=True,
                allowed_paths=[name],
                app_kwargs={"middleware": [Middleware(OwnPageOnly)]},
                css=CSS,
                theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
            )
        except OSError as error:
            raise UserError(f"port {port} cannot be used ({error}): name another") from None
        print(f"Open http://127.0.0.1:{port} in a browser; Ctrl-C ends.", flush=True)
        blocks.block_thread()
