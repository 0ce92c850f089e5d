"""One registry entry for each new thing, then the program as it is. The only file that knows them all."""

import sys

from toys import family, loudest, median, summary

from atlas.__main__ import COMMANDS, main
from atlas.answers.formats import FORMATS, Format
from atlas.live.adapters.registry import FAMILIES
from atlas.schema.measures import MEASURES
from atlas.schema.tables import TABLES
from builders.build.products import PRODUCTS
from builders.export.registry import TARGETS
from builders.gaussians.statistics.registry import TILE_STATISTICS

FAMILIES["diffllama"] = family.__name__
TABLES["_median"] = median.TABLE
TILE_STATISTICS["median"] = median.__name__
MEASURES["median"] = median.MEASURE
TABLES["loudest_weight"] = loudest.TABLE
PRODUCTS["loudest"] = f"{loudest.__name__}:PRODUCT"
COMMANDS["loudest"] = ("toys.question:loudest", "The neurons with the largest weights.")
TARGETS["summary"] = summary.TARGET
FORMATS["markdown"] = Format("toys.markdown:write", (".md",))

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
