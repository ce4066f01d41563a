# rocksdb.sh: RocksDB filled in random order, read and overwritten by two threads of db_bench.
# needs: rocksdb-tools
exec db_bench --db="$1/rocksdb" --benchmarks=fillrandom,readrandom,overwrite,readseq --num=100000 --value_size=200 --threads=2 \
    --write_buffer_size=8388608 --cache_size=16777216 --compression_type=lz4 --disable_wal=1 --seed=7 >/dev/null 2>&1
