# postgresql.sh: pgbench's tables made anew, its transactions by four clients, and a query that sorts and gathers them all.
# needs: postgresql
PATH=$(echo /usr/lib/postgresql/*/bin):$PATH
export PATH PGHOST="$1" PGUSER=me PGDATABASE=postgres
timeout 120 setpriv --reuid=nobody --clear-groups postgres -D "$1/data" -k "$1" -c listen_addresses= -c fsync=off \
    -c synchronous_commit=off -c work_mem=64MB >"$1/log" 2>&1 &
until psql -qc 'select 1' >/dev/null 2>&1; do sleep 0.02; done
set -e
pgbench --initialize --quiet --scale=3 2>/dev/null
pgbench --random-seed=42 --client=4 --jobs=2 --transactions=1500 >/dev/null 2>&1
psql -Atc 'select aid % 1001, count(*), string_agg(filler, aid::text order by aid) from pgbench_accounts group by 1' >/dev/null
kill -INT "$(head -n 1 "$1/data/postmaster.pid")"
wait $!
