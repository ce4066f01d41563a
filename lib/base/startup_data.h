// startup_data.h: where small variables lie that every start looks at.  layer: base
// All of .data fits one page (tests/interpose/test_symbols.py), which the loader writes to anyway, to clear what lies between it
// and .bss; each page of .bss is a page fault of its own.
#pragma once

#define BM_STARTUP_DATA [[gnu::section(".data.startup")]]
