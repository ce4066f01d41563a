# sqlite.sh: a database built, indexed, joined, altered and vacuumed; its dump compared.
# runs: sqlite3
rows=$([[ $SIZE == smoke ]] && echo 20000 || echo 300000)
sqlite3 data.db <<SQL
PRAGMA journal_mode = WAL;
PRAGMA cache_size = -20000;
CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT, price INT, body BLOB);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $rows)
INSERT INTO item SELECT i, printf('item %d', (i * 7919) % $rows), (i * i) % 10007, zeroblob(i % 300) FROM n;
CREATE INDEX by_name ON item(name);
CREATE INDEX by_price ON item(price, name);
SELECT count(*), sum(price), max(name) FROM item;
SELECT price % 13, count(*), length(group_concat(name)) FROM item GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM item a JOIN item b ON a.name = b.name AND a.id <> b.id;
UPDATE item SET body = CAST(hex(body) AS BLOB) WHERE id % 3 = 0;
DELETE FROM item WHERE price < 3000;
SELECT name, price FROM item ORDER BY substr(name, -2), price DESC, id LIMIT 20;
VACUUM;
PRAGMA integrity_check;
SQL
sqlite3 data.db .dump | md5sum
