# redis.sh: redis-server under redis-benchmark, which stays on its own allocator: strings, lists, hashes, sets, sorted sets.
# needs: redis-server redis-tools
# without: glibc (Debian's redis-server is linked with jemalloc: with nothing preloaded it is jemalloc that runs)
timeout 60 redis-server --port 0 --unixsocket "$1/socket" --save '' --appendonly no >"$1/log" &
unset LD_PRELOAD
until redis-cli -s "$1/socket" ping >/dev/null 2>&1; do sleep 0.02; done
redis-benchmark -s "$1/socket" -n 100000 -r 100000 -d 100 -P 16 -t set,lpush,sadd,hset,zadd,lpop,spop,zpopmin -q >"$1/log"
redis-benchmark -s "$1/socket" -n 100000 -r 100000 -d 700 -P 16 -t set,get -q >"$1/log"
redis-cli -s "$1/socket" shutdown nosave
wait $!
