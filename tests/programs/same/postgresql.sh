# postgresql.sh: initdb, then pgbench with several clients and a fixed seed; the sums in the tables are compared.
# runs: initdb postgres pgbench psql
# limit: 100 300
PATH=$(echo /usr/lib/postgresql/*/bin):$PATH
transactions=$([[ $SIZE == smoke ]] && echo 100 || echo 3000)
# initdb refuses to run as root.
as_user() { if ((EUID == 0)); then runuser -u postgres -- "$@"; else "$@"; fi; }
mkdir db
((EUID != 0)) || chown postgres db
cd db

as_user initdb --no-locale --encoding=UTF8 --auth=trust --username=me --no-sync data |
    grep -v -e 'pg_ctl' -e 'sharedbuffers' -e '^$' | sed "s|$PWD||g"
as_user postgres -D data -k "$PWD" -c listen_addresses= -c fsync=off -c max_parallel_workers_per_gather=2 \
    -c min_parallel_table_scan_size=0 >server.log 2>&1 &
server=$!
export PGHOST=$PWD PGUSER=me PGDATABASE=postgres
until psql -qc 'select 1' >/dev/null 2>&1; do
    kill -0 $server
    sleep 0.1
done
as_user pgbench --initialize --quiet --scale=3 2>/dev/null
as_user pgbench --random-seed=42 --client=4 --jobs=2 --transactions="$transactions" 2>/dev/null |
    grep -e 'number of' -e processed -e 'failed'
psql -Atc 'select count(*), sum(delta) from pgbench_history' \
    -c 'select sum(abalance), max(aid) from pgbench_accounts' \
    -c 'select aid % 11, count(*), sum(abalance), length(string_agg(filler, aid::text order by aid)) from pgbench_accounts group by 1 order by 1' \
    -c "select md5(string_agg(i::text, ',' order by md5(i::text))) from generate_series(1, 200000) i"
kill -INT "$(head -1 data/postmaster.pid)"
wait $server
grep -o 'database system is shut down' server.log
