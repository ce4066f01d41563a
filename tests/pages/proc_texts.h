// proc_texts.h: /proc/buddyinfo and /proc/pagetypeinfo of a machine with CMA.  layer: tests
// The blank that the kernel prints at the end of a row of numbers was lost on the way. buddyinfo was read at another moment.
#pragma once

namespace bm::test {

inline constexpr const char* kProcBuddyinfo =
    R"(Node 0, zone      DMA      3      2      2      1      4      2      3      2      3      3    332
Node 0, zone   Normal    100    462    550    288     98     48     25     14      5      3   6271
)";

inline constexpr const char* kProcPagetypeinfo =
    R"(Page block order: 9
Pages per block:  512

Free pages count per migrate type at order       0      1      2      3      4      5      6      7      8      9     10
Node    0, zone      DMA, type    Unmovable      0      0      0      0      0      0      0      0      0      0      0
Node    0, zone      DMA, type      Movable      3      2      2      1      4      2      3      2      3      3    268
Node    0, zone      DMA, type  Reclaimable      0      0      0      0      0      0      0      0      0      0      0
Node    0, zone      DMA, type          CMA      0      0      0      0      0      0      0      0      0      0     64
Node    0, zone      DMA, type   HighAtomic      0      0      0      0      0      0      0      0      0      0      0
Node    0, zone      DMA, type      Isolate      0      0      0      0      0      0      0      0      0      0      0
Node    0, zone   Normal, type    Unmovable     83     70     24     24     36     12      2      1      1      2      0
Node    0, zone   Normal, type      Movable    982    383    238     75     11      1      1      0      0      0   1809
Node    0, zone   Normal, type  Reclaimable      2      1      9     58     13      6      1      1      1      0      0
Node    0, zone   Normal, type          CMA     15     40    109     75     40     29     21     12      3      1   4462
Node    0, zone   Normal, type   HighAtomic      0      0      0      0      0      0      0      0      0      0      0
Node    0, zone   Normal, type      Isolate      0      0      0      0      0      0      0      0      0      0      0

Number of blocks type     Unmovable      Movable  Reclaimable          CMA   HighAtomic      Isolate
Node 0, zone      DMA            2         1918            0          128            0            0
Node 0, zone   Normal           56         5306           30         8944            0            0
)";

// The same with HighAtomic before CMA, as other kernels print it.
inline constexpr const char* kProcPagetypeinfoHighAtomicFirst =
    R"(Page block order: 9
Pages per block:  512

Free pages count per migrate type at order       0      1      2      3      4      5      6      7      8      9     10
Node    0, zone      DMA, type    Unmovable      0      0      0      0      0      0      0      0      0      0      0
Node    0, zone      DMA, type      Movable      3      2      2      1      4      2      3      2      3      3    268
Node    0, zone      DMA, type  Reclaimable      0      0      0      0      0      0      0      0      0      0      0
Node    0, zone      DMA, type   HighAtomic      0      0      0      0      0      0      0      0      0      0      0
Node    0, zone      DMA, type          CMA      0      0      0      0      0      0      0      0      0      0     64
Node    0, zone      DMA, type      Isolate      0      0      0      0      0      0      0      0      0      0      0
Node    0, zone   Normal, type    Unmovable     83     70     24     24     36     12      2      1      1      2      0
Node    0, zone   Normal, type      Movable    982    383    238     75     11      1      1      0      0      0   1809
Node    0, zone   Normal, type  Reclaimable      2      1      9     58     13      6      1      1      1      0      0
Node    0, zone   Normal, type   HighAtomic      0      0      0      0      0      0      0      0      0      0      0
Node    0, zone   Normal, type          CMA     15     40    109     75     40     29     21     12      3      1   4462
Node    0, zone   Normal, type      Isolate      0      0      0      0      0      0      0      0      0      0      0

Number of blocks type     Unmovable      Movable  Reclaimable   HighAtomic          CMA      Isolate
Node 0, zone      DMA            2         1918            0            0          128            0
Node 0, zone   Normal           56         5306           30            0         8944            0
)";

}  // namespace bm::test
