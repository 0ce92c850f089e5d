"""THE table of products: everything that a build can make. A new one is one line here and a Product beside what it
computes; the pipeline does not know which they are.
"""

from __future__ import annotations

import importlib

from builders.build.product import Product
from builders.config import BuildConfig

PRODUCTS = {
    "decode": "builders.decoding.product:PRODUCT",
    "weights": "builders.weights.product:PRODUCT",
    "gaussians": "builders.gaussians.product:PRODUCT",
    "intervals": "builders.intervals.product:PRODUCT",
    "detectors": "builders.detectors.product:PRODUCT",
    "exemplars": "builders.exemplars.product:PRODUCT",
    "second_order": "builders.second_order.product:PRODUCT",
    "gradients": "builders.gradients.product:PRODUCT",
    "graphs": "builders.graphs.product:PRODUCT",
    "descriptions": "builders.descriptions.product:PRODUCT",
    "embeddings": "builders.embeddings.product:PRODUCT",
}


def product(name: str) -> Product:
    """The product of that name; KeyError for one that is not there."""
    module, _, attribute = PRODUCTS[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def wanted(config: BuildConfig) -> list[Product]:
    """The products that a build of these options makes, in the order of the table."""
    return [each for each in map(product, PRODUCTS) if each.wanted(config)]
