#!/usr/bin/env python3
"""Classifies the arrays of a .npy file, [count, channels, height, width], with a model built by

    cvmc build models/lenet5.cvm -o model

    examples/classify.py ./model.so lenet5.safetensors images.npy

The library's name for its functions is the object's: model_open, model_run, ..."""
import ctypes
import json
import os
import sys

import numpy


class Model:
    """An opened model and one context."""

    def __init__(self, library, weights):
        self.prefix = os.path.basename(library).removesuffix(".so")
        self.library = ctypes.CDLL(os.path.abspath(library))
        for name in ("facts", "message", "class_name"):
            self.function(name).restype = ctypes.c_char_p
        self.facts = json.loads(self.function("facts")())
        self.shape = tuple(self.facts["inputs"][0]["shape"])
        self.classes = self.facts["outputs"][0]["shape"][0]
        self.model, self.context = ctypes.c_void_p(), ctypes.c_void_p()
        self.check(self.function("open")(weights.encode(), ctypes.byref(self.model)))
        self.check(self.function("context_create")(self.model, None, ctypes.byref(self.context)))

    def function(self, name):
        return getattr(self.library, f"{self.prefix}_{name}")

    def check(self, status):
        if status:
            raise RuntimeError(self.function("message")().decode())

    def run(self, images):
        """Probabilities, [count, classes], of normalized images."""
        images = numpy.ascontiguousarray(images, dtype=numpy.float32)
        if images.shape[1:] != self.shape:
            raise ValueError(f"images are {images.shape[1:]}, and the model takes {self.shape}")
        probabilities = numpy.empty((len(images), self.classes), dtype=numpy.float32)
        floats = ctypes.POINTER(ctypes.c_float)
        self.check(self.function("run")(
            self.context, images.ctypes.data_as(floats), ctypes.c_size_t(len(images)), None,
            probabilities.ctypes.data_as(floats)))
        return probabilities

    def close(self):
        self.function("context_destroy")(self.context)
        self.check(self.function("close")(self.model))


def main():
    if len(sys.argv) != 4:
        sys.exit("usage: classify.py LIBRARY WEIGHTS IMAGES.npy")
    model = Model(sys.argv[1], sys.argv[2])
    for index, row in enumerate(model.run(numpy.load(sys.argv[3]))):
        best = int(row.argmax())
        name = model.function("class_name")(best)
        print(f"{index}: {name.decode() if name else best} {row[best]:.3f}")
    model.close()


if __name__ == "__main__":
    main()
