"""The parent of an executor's Python workers: it imports their modules once, so that they share its memory.

Spark starts it in place of `pyspark.daemon` (`spark.python.daemon.module`) and has it fork a worker for each task that runs at
the same time. What is imported before the fork takes no memory in the workers, and no time when one starts.
"""

from __future__ import annotations

import gc

import pyarrow as pa
import pyspark.worker  # noqa: F401
from pyspark import daemon

import orderflow.broker.changelog
import orderflow.lake.packing
import orderflow.processing.final_flow
import orderflow.processing.storage  # noqa: F401

if __name__ == "__main__":
    pa.array([""])  # imports pandas: pyarrow checks whether a list is a pandas object
    gc.freeze()  # a collection would write to the shared pages
    daemon.manager()
