# redis.sh: redis-server under its own benchmark, then a known data set, saved by a forked child and read back.
# runs: redis-server redis-benchmark redis-cli
# limit: 120 240
requests=$([[ $SIZE == smoke ]] && echo 5000 || echo 100000)
cli() { redis-cli -s "$PWD/socket" "$@"; }

redis-server --port 0 --unixsocket "$PWD/socket" --save '' --enable-debug-command yes --activedefrag no >server.log &
server=$!
until cli ping >/dev/null 2>&1; do
    kill -0 $server
    sleep 0.05
done
redis-benchmark -s "$PWD/socket" -q -n "$requests" -r 100000 -d 300 -P 16 -c 30 --threads 2 >/dev/null
cli flushall
for ((i = 0; i < requests; i++)); do
    echo "SET key:$i value-$((i * i))-$(((i * 7919) % 1000))"
    echo "APPEND text:$((i % 100)) $i,"
    echo "HSET hash:$((i % 300)) field$i $i"
    echo "ZADD scores $(((i * 31) % 5003)) member$i"
    echo "LPUSH list:$((i % 10)) $i"
done | cli | sort | uniq -c | md5sum
cli debug digest
cli bgsave | grep -o '^Background saving started'
until cli info persistence | grep -q rdb_bgsave_in_progress:0; do sleep 0.05; done
cli info persistence | grep -o 'rdb_last_bgsave_status:[a-z]*'
cli debug reload
cli debug digest
cli dbsize
cli shutdown nosave
wait $server
