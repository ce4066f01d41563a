#!/usr/bin/env python3
"""test_symbols.py: the symbols of the shared library, the archive and the core archive, against the version map.

The map is the list of record: the library exports it exactly; it holds all 20 C++ operators and whatever the malloc.o
of this machine's libc.a defines; the archive defines the malloc family in one object; the core overrides nothing.
"""
import re

import harness

BM = "bm_"
TLS_BYTES = 64
DATA_BYTES = 4096
# Of the malloc family, but not in glibc 2.36's malloc.o: elsewhere in libc, dropped from it, or C23.
NOT_IN_MALLOC_O = {"reallocarray", "__libc_reallocarray", "cfree", "free_sized", "free_aligned_sized"}
# new/new[]: plain, nothrow, aligned, both; delete/delete[]: those and the two sized ones.
NEW_ENDS = ["", "RKSt9nothrow_t", "St11align_val_t", "St11align_val_tRKSt9nothrow_t"]
DELETE_ENDS = NEW_ENDS + [None, "mSt11align_val_t"]


HOT_COLD = "12__hot_cold_t"  # tcmalloc's hint, which follows the others


def operators():
    size = "m"
    names = {f"_Zn{kind}{size}{end}" for kind in "wa" for end in NEW_ENDS}
    names |= {f"_Zd{kind}Pv{size if end is None else end}" for kind in "la" for end in DELETE_ENDS}
    return names


def map_symbols(path):
    with open(path, encoding="utf-8") as file:
        text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)
    return set(re.findall(r"[A-Za-z_]\w*(?=\s*;)", text))


def defined(nm_arguments):
    """{object: {symbol}} of what is global or weak and defined; one object, "", for a file that is no archive."""
    objects, current = {}, ""
    for line in harness.output(["nm", "--defined-only", "--extern-only", *nm_arguments]).splitlines():
        if line.endswith(":"):
            current = line[:-1]
        elif line:
            objects.setdefault(current, set()).add(line.split()[-1])
    return objects


def all_of(objects):
    return set().union(*objects.values())


def main():
    args = harness.arguments(library="shared library", archive="static archive", core="core archive", map="version map")
    tap = harness.Tap()
    listed = map_symbols(args.map)
    exported = all_of(defined(["-D", args.library]))
    archive = defined([args.archive])
    core = all_of(defined([args.core]))
    libc = harness.output([args.cc, "-print-file-name=libc.a"]).strip()
    of_malloc = {s for s in defined([libc])["malloc.o"] if not s.startswith(".")}

    tap.equal("the library exports the version map, no less", listed - exported, set())
    tap.equal("the library exports the version map, no more", exported - listed, set())
    tap.check("there are 20 C++ operators", len(operators()) == 20, len(operators()))
    tap.equal("the library has all C++ operators", operators() - exported, set())
    hinted = {name + HOT_COLD for name in operators() if name.startswith("_Zn")}
    tap.equal("the library has tcmalloc's eight operators new with a hint, and no others",
              {name for name in exported if name.endswith(HOT_COLD)}, hinted)
    tap.check("libc's malloc.o was read", {"malloc", "free", "calloc"} <= of_malloc, of_malloc)
    tap.equal("the library has every symbol of libc's malloc.o", of_malloc - exported, set())
    tap.equal("the library has the rest of the malloc family", NOT_IN_MALLOC_O - exported, set())
    tap.equal("the archive has the whole map", listed - all_of(archive), set())
    homes = [name for name, symbols in archive.items() if "malloc" in symbols]
    tap.check("one object of the archive has malloc", len(homes) == 1, homes)
    tap.equal("that object has every symbol of libc's malloc.o", of_malloc - archive[homes[0]], set())
    tap.equal("the core has the bm_ functions", {s for s in listed if s.startswith(BM)} - core, set())
    tap.equal("the core overrides nothing", {s for s in listed if not s.startswith(BM)} & core, set())

    needed = re.findall(r"NEEDED.*\[(.*)\]", harness.output(["readelf", "-dW", args.library]))
    unexpected = [n for n in needed if not re.match(r"libc\.so|ld-linux", n)]
    tap.check("the library needs libc only", needed and not unexpected, needed)
    headers = harness.output(["readelf", "-lW", args.library])
    tls = [int(line.split()[5], 16) for line in headers.splitlines() if line.split()[:1] == ["TLS"]]
    tap.check(f"the library has at most {TLS_BYTES} bytes of TLS", sum(tls) <= TLS_BYTES, tls)
    # lib/base/startup_data.h; in large objects that have become initialised, a start would pay file pages, too.
    sections = harness.output(["readelf", "-SW", args.library])
    data = [int(size, 16) for size in re.findall(r" \.data +PROGBITS +\w+ +\w+ +(\w+)", sections)]
    tap.check(f"the library has at most a page of {DATA_BYTES} bytes of .data", len(data) == 1 and data[0] <= DATA_BYTES, data)
    tap.finish()


if __name__ == "__main__":
    main()
