"""Interleaved rounds, medians and ratios."""

import statistics

GIB = float(1 << 30)


def sample(server, work):
    """Runs `work()` (a result of the load client) and adds what it cost the server."""
    before = server.cpu_seconds()
    result = work()
    cpu = server.cpu_seconds() - before
    moved = (result["bytes_in"] + result["bytes_out"]) / GIB
    return result | {
        "cpu_s": cpu,
        "cpu_s_per_gib": cpu / moved if moved else 0.0,
        "us_per_request": cpu * 1e6 / result["requests"] if result["requests"] else 0.0,
        "cpu_share": cpu / result["seconds"],
    }


def interleave(contestants, rounds):
    """A B A B: every contestant once a round; a dict of name to its samples."""
    samples = {name: [] for name in contestants}
    for number in range(rounds):
        # Every other round backwards, so that nobody always runs in another's wake.
        order = list(contestants)
        for name in order if number % 2 == 0 else reversed(order):
            samples[name].append(contestants[name]())
    return samples


def median(samples, field):
    return statistics.median(sample[field] for sample in samples)


def ratio(samples, others, field):
    """The median of the rounds' ratios."""
    return statistics.median(a[field] / b[field] for a, b in zip(samples, others) if b[field])


def percentile(samples, which):
    return statistics.median(sample["latency_us"][which] for sample in samples)


class Section:
    """What one part has to say; becomes a section of the report."""

    def __init__(self, title):
        self.title = title
        self.notes = []
        self.tables = []
        self.figures = []
        self.plots = []
        self.skipped = None

    def note(self, text):
        self.notes.append(text)

    def table(self, header, rows):
        self.tables.append([header, [[show(cell) for cell in row] for row in rows]])

    def figure(self, path, wanted, got, is_met):
        self.figures.append([path, wanted, show(got), bool(is_met)])
        print(f"  {path}: {show(got)} (wanted {wanted}){'' if is_met else '  <-- not met'}", flush=True)

    def plot(self, name, title, unit, groups, series):
        """`series` is a dict of name to one value for each group."""
        self.plots.append([name, title, unit, groups, series])

    def as_json(self):
        return vars(self)


def show(value):
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
