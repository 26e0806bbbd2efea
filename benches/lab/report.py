"""benches/REPORT.md and its plots, from the last figures of every part."""

import json
import os
import platform
import re
import shutil
import subprocess

import network
import plots


def machine():
    cpu = open("/proc/cpuinfo").read()
    model = re.search(r"model name\s*:\s*(.*)", cpu)
    flags = set(re.search(r"flags\s*:\s*(.*)", cpu)[1].split()) if "flags" in cpu else set()
    shown = [f for f in ("avx2", "avx512f", "avx512vl", "sha_ni") if f in flags]
    memory = int(re.search(r"MemTotal:\s+(\d+)", open("/proc/meminfo").read())[1])
    return (f"{os.cpu_count()} processors, {model[1] if model else platform.machine()} ({' '.join(shown)}), "
            f"{memory / 2**20:.0f} GiB of memory, Linux {platform.release().split('-')[0]}, "
            f"{network.congestion_control()}")


def versions():
    def first(*command):
        run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return run.stdout.splitlines()[0].strip() if run.stdout else "?"
    commit = first("git", "rev-parse", "--short", "HEAD")
    wrk = re.match(r"wrk \S+", first("wrk", "-v"))
    others = [first(name, *how) for name, *how in (("haproxy", "-v"), ("oha", "--version")) if shutil.which(name)]
    return [f"glance {commit}", first("rustc", "--version"), first("nginx", "-v").replace("nginx version: ", ""),
            wrk[0] if wrk else "wrk", first("openssl", "version").split(" (")[0],
            *(version.split(" 20")[0] for version in others)]


def write(folder, sections, order):
    """`sections` is what the parts said (see Section), by name."""
    os.makedirs(f"{folder}/plots", exist_ok=True)
    known = [sections[name] | {"name": name} for name in order if name in sections]
    text = ["# What the node does beside its peers", "",
            "Written by `benches/run`; every part alone by `benches/run PART`.", ""]
    text += _figures(known)
    for section in known:
        text += _section(folder, section)
    with open(f"{folder}/REPORT.md", "w") as out:
        out.write("\n".join(text).rstrip() + "\n")


def _figures(known):
    rows = [figure for section in known for figure in section["figures"]]
    marked = [[path, wanted, got, "yes" if met else "**no**"] for path, wanted, got, met in rows]
    return ["## Figures", "",
            "One worker on one processor, the client on the other, files in memory unless a disk is named. Ratios "
            "are medians of the ratios of interleaved rounds; x is times the peer's.", "",
            *_table(["figure", "wanted", "measured", "reached"], marked), ""]


def _section(folder, section):
    text = [f"## {section['title']}", "", f"`benches/run {section['name']}`, {section['date']}. {section['machine']}. "
            f"{', '.join(section['versions'])}.", ""]
    if section["skipped"]:
        return [*text, f"Not measured: {section['skipped']}.", ""]
    for note in section["notes"]:
        text += [note, ""]
    for header, rows in section["tables"]:
        text += [*_table(header, rows), ""]
    for name, title, unit, groups, series in section["plots"]:
        with open(f"{folder}/plots/{name}.svg", "w") as out:
            out.write(plots.bars(title, unit, groups, series))
        text += [f"![{title}: {unit}](plots/{name}.svg)", ""]
    if section["commands"]:
        text += ["The load:", "", "```", *section["commands"], "```", ""]
    return text


def _table(header, rows):
    line = lambda cells: "| " + " | ".join(str(cell) for cell in cells) + " |"
    return [line(header), line(["---"] * len(header)), *map(line, rows)]


def load(path):
    if os.path.exists(path):
        with open(path) as file:
            return json.load(file)
    return {}


def save(path, sections):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as out:
        json.dump(sections, out, indent=1)
