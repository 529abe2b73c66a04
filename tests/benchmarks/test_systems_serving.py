import http.server
import threading
import time

import numpy as np
import pandas as pd
import psutil
import pytest

from benchmarks.systems import endpoint as server
from benchmarks.systems import serving
from tests.settings import TINY


class Slow(http.server.BaseHTTPRequestHandler):
    """Takes 20 ms for an answer, and refuses what is not asked for."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(0.02)
        self.send_response(200 if body == b"good" else 400)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def endpoint():
    stub = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    thread = threading.Thread(target=stub.serve_forever)
    thread.start()
    yield server.Endpoint(stub.server_address[1], psutil.Process())
    stub.shutdown()
    thread.join()
    stub.server_close()


def test_latency_is_what_one_request_takes(endpoint):
    ms = server.latencies(endpoint, b"good", 0.3)

    assert 20 <= np.median(ms) < 60


def test_a_refused_request_is_no_measurement(endpoint):
    with pytest.raises(RuntimeError, match="refused"):
        server.latencies(endpoint, b"bad", 0.1)


def test_clients_add_up(endpoint):
    rate = server.rows_per_second(endpoint, b"good", 0.5)

    most = server.N_CLIENTS * server.ROWS_PER_REQUEST / 0.02
    assert most / 4 < rate <= most


def test_a_steady_load_counts_waiting_and_errors(endpoint):
    calm = server.steady_load(endpoint, b"good", rate=20, seconds=1)
    flood = server.steady_load(endpoint, b"bad", rate=1_000, seconds=0.2)

    assert len(calm.ms) == 20
    assert calm.good.all()
    assert not flood.good.any()
    assert flood.ms[-1] > 2 * np.median(calm.ms)


def test_the_last_line_holds_medians_and_the_median_of_ratios():
    values = {"one row p50 ms": ([5, 6, 30], [10, 10, 20]), "rows/s": ([900.0] * 3, [1_000] * 3)}
    rows = [
        (measure, model, block, value)
        for measure, both in values.items()
        for model, blocks in zip((serving.OURS, serving.OTHER), both, strict=True)
        for block, value in enumerate(blocks)
    ]

    line = serving.summary(pd.DataFrame(rows, columns=serving.COLUMNS))

    assert line == (
        "p50 ms ours 6.0 iforest 10.0 ratio 0.60 | rows/s ours 900 iforest 1000 ratio 0.90"
    )


@pytest.mark.slow
@pytest.mark.parametrize("style", ["columns", "tensor"])
def test_both_models_are_served_and_measured(style):
    figures = serving.measure(
        n_rows=300, n_columns=5, style=style, n_blocks=1, block_seconds=0.5, load_seconds=1,
        params=TINY,
    )  # fmt: skip

    assert set(figures["model"]) == {serving.OURS, serving.OTHER}
    assert figures.loc[figures["measure"] == "load errors", "value"].sum() == 0
    assert "ratio" in serving.summary(figures)
    assert "cold start s" in serving.table(figures)
