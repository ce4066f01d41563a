# python_tests.sh: Python's own tests of what leans on malloc: containers, strings, buffers, threads, forks, C extensions.
# A test's verdict must be the one it gets without us, whatever that is on this machine.
# runs: python3
# limit: 200 900
tests=(test_array test_bytes test_collections test_ctypes test_decimal test_deque test_dict test_exceptions test_fork1
    test_gc test_io test_itertools test_json test_list test_memoryview test_mmap test_pickle test_queue test_set
    test_sqlite3 test_struct test_thread test_threading_local test_unicode test_weakref test_xml_etree_c test_zlib)
[[ $SIZE == smoke ]] && tests=(test_array test_dict test_fork1 test_gc test_json test_list test_struct test_weakref) ||
    tests+=(test_ast test_buffer test_bz2 test_capi test_compile test_embed test_faulthandler
        test_hashlib test_lzma test_multiprocessing_fork test_os test_posix test_re test_signal
        test_ssl test_subprocess test_threading test_threadsignals test_tracemalloc)

# PYTHONMALLOC=malloc sends every object to malloc; Python's own pools would hide all but the large ones.
export PYTHONMALLOC=malloc PYTHONHASHSEED=0
/usr/bin/python3 -m test -j2 --timeout 300 --junit-xml=results.xml "${tests[@]}" >&2 || true
/usr/bin/python3 - <<'PY'
import xml.etree.ElementTree as tree

verdicts = []
for case in tree.parse("results.xml").iter("testcase"):
    verdict = next((child.tag for child in case if child.tag in ("failure", "error", "skipped")), "passed")
    verdicts.append(f"{case.get('name')} {verdict}")
assert len(verdicts) > 500, "too few tests have run"
print(*sorted(verdicts), sep="\n")
PY
