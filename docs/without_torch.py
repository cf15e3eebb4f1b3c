"""Draw a sample with an exported tower; needs numpy, Pillow and onnxruntime only."""

import numpy as np
import onnxruntime
from PIL import Image

tower = onnxruntime.InferenceSession("tower.onnx")
night = Image.open("night.png").convert("RGB").resize((96, 64))
inputs = {}
for node in tower.get_inputs():
    shape = [side if isinstance(side, int) else 1 for side in node.shape]
    if node.name.startswith("image"):
        level = night.resize((shape[3], shape[2]), Image.Resampling.BOX)
        inputs[node.name] = np.float32(level).transpose(2, 0, 1)[None] / 255
    else:
        inputs[node.name] = np.random.default_rng().standard_normal(shape, dtype=np.float32)
image = tower.run(None, inputs)[0][0].transpose(1, 2, 0)
Image.fromarray(np.uint8(image.clip(0, 1) * 255 + 0.5)).save("day.png")
