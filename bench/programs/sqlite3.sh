# sqlite3.sh: a database in memory: filled, indexed, joined, grouped, changed.
# needs: sqlite3
exec sqlite3 :memory: <<'SQL'
CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT, price INT, body BLOB);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 250000)
INSERT INTO item SELECT i, printf('item %d', (i * 7919) % 250000), (i * i) % 10007, zeroblob(i % 300) FROM n;
CREATE INDEX by_name ON item(name);
CREATE INDEX by_price ON item(price, name);
SELECT price % 13, count(*), length(group_concat(name)) FROM item GROUP BY 1 ORDER BY 1;
SELECT count(*), sum(length(b.body)) FROM item a JOIN item b ON a.name = b.name WHERE a.price > 100;
SELECT name, price FROM item ORDER BY substr(name, -2), price DESC, id LIMIT 20;
UPDATE item SET body = CAST(hex(body) AS BLOB) WHERE id % 3 = 0;
DELETE FROM item WHERE price < 3000;
SELECT count(DISTINCT upper(name) || price) FROM item;
SQL
